"""Every rule on the messages of a conversation and what stands beside them, in order."""

from ftctl.datasets.rules import content, structure, tool_calls, tools

RULES = (
    *structure.RULES,
    content.content,
    content.empty,
    content.parts,
    content.images,
    content.weights,
    *tools.RULES,
    *tool_calls.RULES,
)
