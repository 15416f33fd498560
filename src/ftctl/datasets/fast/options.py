"""How lines are looked at, small enough to be handed to other processes."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ftctl.datasets.examine import EVERYTHING, Asked
from ftctl.datasets.tokens.types import TokenCounter

if TYPE_CHECKING:  # which takes longer to import than a process needs to begin
    from ftctl.datasets.template_check import TemplateCheck


@dataclass(frozen=True, slots=True)
class Options:
    """How lines are looked at.

    Attributes:
        asked: What is looked for.
        kept: How many findings are kept of each row of the rule table; all are counted.
        nine: Whether ids of tool calls that aren't nine letters and digits matter.
        fast: False to let every line take every rule, whatever it looks like.
        counter: Counts tokens as the model's tokenizer does; None to estimate them.
        limit: How many tokens of an example the model keeps, as far as that is known.
        template: What the model's own template makes of a line; None where nobody asks.
    """

    asked: Asked = EVERYTHING
    kept: int = 50
    nine: bool = True
    fast: bool = True
    counter: TokenCounter | None = None
    limit: int | None = None
    template: "TemplateCheck | None" = None
