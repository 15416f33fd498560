"""What `check` says: the document of `ftctl data check --json`, and how it is collected."""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import Field, computed_field

from ftctl.datasets.document import Document, Value
from ftctl.datasets.fingerprints import BYTES_PER_TOKEN, ESTIMATE_ERROR
from ftctl.datasets.rules.table import Ruling, Severity, rule_on
from ftctl.datasets.rules.types import Finding
from ftctl.datasets.scan import masked_text
from ftctl.datasets.tokens.tally import Tally
from ftctl.datasets.tokens.types import TokenCounter

_UNPRINTABLE = re.compile(r"[\x00-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\ud800-\udfff]")


class Issue(Value):
    """One thing that providers mind at one place.

    `line` is 1-based, and 1 for what concerns the whole file; `path` is a JSON path such as
    `messages[2].content`, "" for the whole line. Nobody's rule, mere advice, has no providers.
    """

    file: str
    line: int
    path: str
    rule: str
    severity: Severity
    providers: tuple[str, ...]
    message: str
    hint: str


class ProviderVerdict(Value):
    """How one provider would take the files."""

    ok: bool
    errors: int
    warnings: int


ESTIMATE_SAYS = f"estimated as UTF-8 bytes / {BYTES_PER_TOKEN}, as no model was named (--model)"


class TokenEstimate(Value):
    """Tokens in the training files, in total and in the longest example: counted or estimated.

    With the method `none`, which says that nobody asked, the numbers say nothing. `trained` are
    the tokens that loss counts on, where they were counted; `exact` says that every token was
    counted with the model's own tokenizer, by a published rule; `above_limit` is how many examples
    are longer than the `limit` of the model.
    """

    method: Literal["exact", "estimate", "none"] = "estimate"
    source: str = f"UTF-8 bytes of the texts / {BYTES_PER_TOKEN}, and 4 tokens a message"
    error: str = ESTIMATE_ERROR
    total_tokens: int = 0
    max_example_tokens: int = 0
    max_example_line: int | None = None
    trained: int | None = None
    exact: bool = False
    encoding: str = ""
    says: str = ESTIMATE_SAYS
    limit: int | None = None
    above_limit: int | None = None

    @computed_field  # type: ignore[prop-decorator]
    @property
    def total(self) -> int:
        """The same as `total_tokens`."""
        return self.total_tokens

    @computed_field  # type: ignore[prop-decorator]
    @property
    def max_example(self) -> int:
        """The same as `max_example_tokens`."""
        return self.max_example_tokens


def counted(tallies: Sequence[Tally], counter: TokenCounter, limit: int | None) -> TokenEstimate:
    """What was counted in some files, as part of the document."""
    longest = max(tallies, key=lambda tally: tally.max_example)
    inexact = sum(tally.inexact for tally in tallies)
    exact = counter.exact and not inexact
    partly = (
        f"in {inexact:,} examples calls, images or nested schemas, of which no rule is published, "
        "or what the template refuses are counted by their text"
    )
    errors = [error for error in (counter.error, partly if inexact else "") if error]
    return TokenEstimate(
        method="exact" if exact else "estimate",
        source=counter.says,
        error="; ".join(errors),
        total_tokens=sum(tally.total for tally in tallies),
        max_example_tokens=longest.max_example,
        max_example_line=longest.max_example_line or None,
        trained=sum(tally.trained for tally in tallies),
        exact=exact,
        encoding=counter.encoding,
        says=counter.says,
        limit=limit,
        above_limit=sum(t.above_limit for t in tallies) if limit is not None else None,
    )


class Report(Document):
    """The result of a check: `ftctl.data-check/1`.

    `errors` and `warnings` count everything; `issues` holds the first of each rule, in order of
    file and line. `ok` is True when no asked provider has an error, as far as was read: `complete`
    is False when a person left off before the end. It, `rule_counts` and `lines` aren't part of the
    document: how many issues each rule has, stored or not, and how many lines were found clean at
    once (`fast`) or went through every rule (`slow`).
    """

    schema_: Literal["ftctl.data-check/1"] = Field("ftctl.data-check/1", alias="schema")
    ok: bool
    files: list[str]
    examples: int
    errors: int
    warnings: int
    issues: list[Issue]
    providers: dict[str, ProviderVerdict]
    tokens: TokenEstimate
    complete: bool = Field(default=True, exclude=True)
    rule_counts: dict[str, int] = Field(exclude=True)
    lines: dict[str, int] = Field(exclude=True)


class Collector:
    """Issues as they come: the first of each rule are kept, all are counted."""

    def __init__(
        self, files: Sequence[Path], providers: Sequence[str], max_errors: int, method: str
    ) -> None:
        self._order = {str(file): place for place, file in enumerate(files)}
        self._providers = tuple(providers)
        self._max_errors = max_errors
        self._method = method
        self._rulings: dict[str, list[Ruling]] = {}
        self._issues: list[Issue] = []
        self._kept: Counter[tuple[str, Severity]] = Counter()
        self._totals: Counter[Severity] = Counter()
        self._by_provider: Counter[tuple[str, Severity]] = Counter()
        self.rule_counts: Counter[str] = Counter()
        self.lines = Counter(fast=0, slow=0)

    def add(self, file: Path, line: int, finding: Finding) -> None:
        """Count a finding, and keep it if its rule has room."""
        self.count(finding.key, 1)
        for ruling in self._ruled(finding.key):
            place = (ruling.rule, ruling.severity)
            if self._kept[place] >= self._max_errors:
                continue
            self._kept[place] += 1
            issue = Issue(
                file=str(file),
                line=line,
                path=printable(finding.path),
                rule=ruling.rule,
                severity=ruling.severity,
                providers=ruling.providers,
                message=printable(finding.message),
                hint=printable((finding.hint or ruling.hint) + ruling.note),
            )
            self._issues.append(issue)

    def count(self, key: str, times: int) -> None:
        """Count findings that aren't kept."""
        for ruling in self._ruled(key):
            self._totals[ruling.severity] += times
            self.rule_counts[ruling.rule] += times
            for provider in ruling.providers:
                self._by_provider[provider, ruling.severity] += times

    def minded(self, key: str) -> bool:
        """Whether anybody who is asked minds what a row of the table is about."""
        return bool(self._ruled(key))

    def report(self, examples: int, tokens: TokenEstimate, *, complete: bool = True) -> Report:
        """Everything collected, as a document."""
        verdicts = {
            provider: ProviderVerdict(
                ok=not self._by_provider[provider, "error"],
                errors=self._by_provider[provider, "error"],
                warnings=self._by_provider[provider, "warning"],
            )
            for provider in self._providers
        }
        return Report(
            schema="ftctl.data-check/1",
            ok=all(verdict.ok for verdict in verdicts.values()),
            files=list(self._order),
            examples=examples,
            errors=self._totals["error"],
            warnings=self._totals["warning"],
            issues=sorted(self._issues, key=lambda i: (self._order[i.file], i.line)),
            providers=verdicts,
            tokens=tokens,
            complete=complete,
            rule_counts=dict(self.rule_counts),
            lines=dict(self.lines),
        )

    def _ruled(self, key: str) -> list[Ruling]:
        found = self._rulings.get(key)
        if found is None:
            found = self._rulings[key] = rule_on(key, self._providers, self._method)
        return found


def printable(text: str) -> str:
    """Text without what could move a cursor, hide, not be encoded, or give a secret away."""
    plain = _UNPRINTABLE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return masked_text(plain)
