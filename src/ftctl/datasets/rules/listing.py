"""The rule table as `ftctl data rules` and the documentation give it."""

from collections.abc import Sequence
from datetime import date
from typing import Literal

from pydantic import Field

from ftctl.datasets.document import Document, Value
from ftctl.datasets.rules.rule import READ, SOURCES, Rule
from ftctl.datasets.rules.table import PROVIDERS, SECTIONS, known_providers, letter_of
from ftctl.errors import UsageError

METHODS = ("sft", "dpo", "rft")
Taken = Literal["error", "warning", "unverified"]
_WORDS: dict[str, Taken] = {"E": "error", "W": "warning", "?": "unverified"}


class ListedRule(Value):
    """One row of the table, for the providers asked for.

    `severities` leaves out who doesn't mind; `unverified` is a warning without a text of that
    provider's. `fixed` says whether `data check --fix` mends it, at least where `limit` says so.
    """

    rule: str
    variant: str
    section: str
    checks: str
    limit: str
    severities: dict[str, Taken]
    hint: str
    fixed: bool
    source: str
    as_of: date


class Rules(Document):
    """The document of `ftctl data rules --json`: `ftctl.data-rules/1`.

    `sources` says where the rules of a provider come from when `source` of a row is empty.
    """

    schema_: Literal["ftctl.data-rules/1"] = Field("ftctl.data-rules/1", alias="schema")
    method: str | None
    rules: list[ListedRule]
    sources: dict[str, str]
    as_of: date = READ


def rules_for(providers: Sequence[str] = PROVIDERS, method: str | None = None) -> Rules:
    """The rows that at least one of some providers minds.

    Args:
        providers: Of `PROVIDERS` or `GENERATIONS`.
        method: How models are tuned; None for the rules of every method, those on chat examples
            as they hold for sft.

    Raises:
        UsageError: a provider or a method is unknown.
    """
    providers = known_providers(providers)
    if method is not None and method not in METHODS:
        known = ", ".join(METHODS)
        raise UsageError(f"no rules are known for the method {method!r}", hint=f"known: {known}")
    found = [
        listed
        for section, rows in SECTIONS.items()
        for key, rule in rows.items()
        if (listed := _listed(section, key, rule, providers, method)) is not None
    ]
    whose = [name.partition("-")[0] for name in providers]
    return Rules(
        schema="ftctl.data-rules/1",
        method=method,
        rules=found,
        sources={name: SOURCES[name] for name in whose},
    )


def _listed(
    section: str, key: str, rule: Rule, providers: Sequence[str], method: str | None
) -> ListedRule | None:
    name, _, variant = key.partition("/")
    own = name[:3] if name.startswith(("dpo-", "rft-")) else None
    if own is not None and method not in (None, own):
        return None
    letters = {
        provider: letter_of(rule, provider, own or method or "sft") for provider in providers
    }
    severities = {who: _WORDS[letter] for who, letter in letters.items() if letter != "-"}
    if not severities:
        return None
    return ListedRule(
        rule=name,
        variant=variant,
        section=section,
        checks=rule.checks,
        limit=rule.limit,
        severities=severities,
        hint=rule.hint,
        fixed=rule.certain,
        source=rule.source,
        as_of=rule.as_of,
    )
