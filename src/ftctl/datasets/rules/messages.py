"""Every rule on the messages of a conversation and what stands beside them, in order."""

from ftctl.datasets.rules import content, image_skipped, structure, tool_calls, tools
from ftctl.datasets.rules.types import Example

# What they look at is in the messages of any conversation.
TALK_RULES = (
    *structure.RULES,
    content.content,
    content.empty,
    content.parts,
    content.images,
    image_skipped.skipped,
    content.weights,
)
RULES = (*TALK_RULES, *tools.RULES, *tool_calls.RULES)


def has_tools(example: Example) -> bool:
    """Whether there is anything for the rules on tools and calls to look at."""
    if "tools" in example.row or "parallel_tool_calls" in example.row:
        return True
    return any(m.role == "tool" or "tool_calls" in m.fields for m in example.messages)
