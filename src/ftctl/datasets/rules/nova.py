"""What only Amazon's Nova refuses in a chat example.

Source: AWS's checker for Nova data and Nova's data page, which names fewer strings; read 2026-11.
"""

import re
from collections.abc import Iterator

from ftctl.datasets.rules.types import Example, Finding

RESERVED = re.compile(
    r"(?:System|SYSTEM|User|USER|Bot|BOT|Assistant|ASSISTANT|Thought):"
    r"|\[EOS\]|<image>|<video>|<unk>"
)


def reserved(example: Example) -> Iterator[Finding]:
    """`reserved-string`: what Nova's own template is made of."""
    for path, _, text in example.iter_texts():
        if found := RESERVED.search(text):
            yield Finding("reserved-string", path, f"the reserved string {found[0]}")


def with_tools(example: Example) -> Iterator[Finding]:
    """`tools-unsupported`: SFT for Nova knows no tools."""
    if example.row.get("tools"):
        yield Finding("tools-unsupported", "tools", "the example declares tools")
        return
    for message in example.messages:
        if message.calls:
            path = f"{message.path}.tool_calls"
            yield Finding("tools-unsupported", path, "the example calls tools")
            return


RULES = (reserved, with_tools)
