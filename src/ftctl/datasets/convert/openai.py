"""OpenAI's chat format: tools, weights, images, the role developer; legacy functions are read.

Source: the fine-tuning guides and the public specification before 2026-08.
"""

from ftctl.datasets.convert.chat import read_conversation, write_conversation
from ftctl.datasets.convert.example import Example, Notes
from ftctl.datasets.convert.reduce import as_fitted
from ftctl.datasets.convert.says import ANY_ADDRESS, Says
from ftctl.datasets.rules.types import JsonObject

SAYS = Says(
    weights=True,
    names=True,
    tool_names=True,
    developer=True,
    systems=True,
    refusals=True,
    parts=True,
    images=ANY_ADDRESS,
    details=True,
    tools=True,
    several_calls=True,
    own_ids=True,
    text_beside_calls=True,
    parallel=True,
    strict=True,
    open_end=True,
    same_speaker=True,
)


read = read_conversation


def write(example: Example, notes: Notes) -> JsonObject | None:
    """An example as a row; None where all of it is left out."""
    conversation = as_fitted(example, SAYS, notes)
    return None if conversation is None else write_conversation(conversation)
