"""Who applies which rule at which severity: the one table, and what it says of a finding."""

import difflib
from collections.abc import Sequence
from typing import Literal, NamedTuple

from ftctl.datasets.rules import (
    table_across,
    table_content,
    table_methods,
    table_structure,
    table_text,
    table_tools,
)
from ftctl.datasets.rules.rule import Rule
from ftctl.errors import UsageError

Severity = Literal["error", "warning"]

USUAL = ("openai", "mistral", "local")  # whose rules are applied when nobody is named
PROVIDERS = (
    *("openai", "azure", "mistral", "huggingface", "together", "fireworks"),
    *("gemini", "bedrock", "local", "autotrain"),
)
GENERATIONS = ("mistral-v3", "mistral-v7", "mistral-v11")  # of Mistral's tokenizer

SECTIONS: dict[str, dict[str, Rule]] = {
    "Bytes, files, JSON": table_text.ROWS,
    "Structure and roles": table_structure.ROWS,
    "Content, images, weight": table_content.ROWS,
    "Tools": table_tools.ROWS,
    "DPO and RFT": table_methods.ROWS,
    "Counts, length, across lines": table_across.ROWS,
}
RULES: dict[str, Rule] = {key: rule for rows in SECTIONS.values() for key, rule in rows.items()}

_STRICTEST = "EW?-"


class Ruling(NamedTuple):
    """A finding as one severity's group of providers sees it.

    Attributes:
        rule: Its id.
        severity: Of the group.
        providers: Who they are.
        hint: How to mend it, where a finding says nothing more exact.
        note: What follows any hint: whose text doesn't say so.
    """

    rule: str
    severity: Severity
    providers: tuple[str, ...]
    hint: str
    note: str = ""


def providers_named(text: str | None) -> tuple[str, ...]:
    """Whom a list such as `openai,local` names, known or not; `all` names everybody.

    Args:
        text: None for the usual ones.
    """
    if text is None:
        return USUAL
    return PROVIDERS if text.strip() == "all" else tuple(name.strip() for name in text.split(","))


def known_providers(names: Sequence[str]) -> tuple[str, ...]:
    """The same names, each once.

    Raises:
        UsageError: there are none, or one that the table doesn't have; names the nearest.
    """
    known = PROVIDERS + GENERATIONS
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name.lower(), known, n=1)
            meant = f"did you mean {near[0]}? " if near else ""
            raise UsageError(
                f"no rules are known for the provider {name!r}",
                hint=f"{meant}known: {', '.join(known)}",
            )
    if not names:
        raise UsageError("no provider to check for", hint=f"--for {','.join(USUAL)}")
    return tuple(dict.fromkeys(names))


def letter_of(rule: Rule, provider: str, method: str = "sft") -> str:
    """How a provider takes what a rule is about: `E`, `W`, `?` or `-`.

    `mistral` means the strictest tokenizer that customers still meet: what v3 alone refuses is
    no more than a warning.

    Args:
        rule: The row of the table.
        provider: One of `PROVIDERS`, or of `GENERATIONS`.
        method: How the model will be tuned; OpenAI's rules differ by it.
    """
    letters = rule.letters
    if provider == "openai":
        return letters[f"openai-{method}"]
    if provider != "mistral":
        return letters[provider]
    oldest, *later = (letters[name] for name in GENERATIONS)
    if oldest == "E" and set(later) == {"-"}:
        return "W"
    return min(oldest, *later, key=_STRICTEST.index)


def rule_on(key: str, providers: tuple[str, ...], method: str = "sft") -> list[Ruling]:
    """What a row of the table means to some providers: one ruling per severity, errors first.

    Advice that is no provider's rule is a warning of nobody. Where no text of a provider's says
    that it minds, a note tells.
    """
    row = RULES[key]
    rule, _, variant = key.partition("/")
    if variant == "advice":
        return [Ruling(rule, "warning", (), row.hint)]
    taken = {provider: letter_of(row, provider, method) for provider in providers}
    refused = tuple(provider for provider, letter in taken.items() if letter == "E")
    warned = tuple(provider for provider, letter in taken.items() if letter in "W?")
    unsure = ", ".join(provider for provider in warned if taken[provider] == "?")
    note = f" (unverified for {unsure})" if unsure else ""
    rulings = (
        Ruling(rule, "error", refused, row.hint),
        Ruling(rule, "warning", warned, row.hint, note),
    )
    return [ruling for ruling in rulings if ruling.providers]
