"""What is in a dataset: sizes, turns, copies, balance, tasks, variety, and what shouldn't be."""

import random
from array import array
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Literal, TypeVar

from pydantic import Field

from ftctl.datasets.across import as_column, label_share, repeats
from ftctl.datasets.clusters import clusters
from ftctl.datasets.document import Document, Value
from ftctl.datasets.examine import LABEL_CHARACTERS
from ftctl.datasets.features import ChatExamples
from ftctl.datasets.fingerprints import answer_of, fingerprints
from ftctl.datasets.guidance import guidance
from ftctl.datasets.near import near_rows
from ftctl.datasets.read import OnProgress
from ftctl.datasets.rules.privacy import iter_hits
from ftctl.datasets.rules.types import Example
from ftctl.datasets.scan import masked_text
from ftctl.datasets.shapes import TOOL_CALL, families, shape_of, task_counts
from ftctl.datasets.tokens.texts import EstimateCounter
from ftctl.datasets.tokens.types import TokenCounter

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_T = TypeVar("_T")

SAMPLE_ROWS = 2_000  # whose words are counted: a share of different ones falls as texts add up
_KEPT = 10_000  # different forms or answers told apart
_SHOWN = 10
_BINS = 10
_BATCH = 1_000  # lines counted at once
_NO_MODEL = "no model was named; --model counts them"


class Bin(Value):
    """Rows whose value is from `low` to `high`, both included."""

    low: int
    high: int
    rows: int


class Share(Value):
    """Rows of one kind, and their share of those counted (0-1)."""

    name: str
    rows: int
    share: float


class TokenStats(Value):
    """Tokens of the examples; `says` tells how they were counted, `error` how far off they are."""

    exact: bool
    says: str
    error: str
    total: int
    trained: int = Field(description="those of answers, that loss counts on")
    mean: float
    median: float
    p95: float
    longest: int
    longest_line: int
    histogram: list[Bin]


class Copies(Value):
    """Rows that say again what an earlier one said; each row counts in one place only."""

    exact: int
    normalised: int = Field(description="the same but for case, spacing or punctuation")
    near: int | None = Field(description="nearly the same words; null where nobody looked")


class Labels(Value):
    """Answers that form a closed set."""

    different: int
    majority_share: float
    most: list[Share] = Field(description="the most common ones, personal data masked")


class Variety(Value):
    """How much differs: 1.0 where nothing is said twice.

    The n-grams are those of a seeded sample of rows, as their share falls the more text there is:
    compare files only where `sampled_rows` are alike.
    """

    different_prompts: float = Field(description="share of the rows")
    different_answers: float = Field(description="share of the rows")
    sampled_rows: int
    prompt_groups: int = Field(description="of the sample's prompts, by the words they share")
    largest_group: float = Field(description="share of the sample's prompts in the largest one")
    prompt_ngrams: dict[int, float] = Field(description="n → different runs of n words / all")
    answer_ngrams: dict[int, float]


class DataStats(Document):
    """One dataset in numbers; no text of it, but for labels."""

    schema_: Literal["ftctl.data-stats/1"] = Field("ftctl.data-stats/1", alias="schema")
    file: Path
    rows: int
    unreadable_rows: int
    tokens: TokenStats
    turns: dict[int, int] = Field(description="answers in an example → rows")
    copies: Copies
    labels: Labels | None = Field(description="null where answers are no closed set")
    tasks: list[Share] = Field(description="by the form of the last answer, most rows first")
    output_families: float = Field(description="how many forms of answer there are in effect")
    variety: Variety
    system_prompts: int = Field(description="different ones")
    without_system: int = Field(description="rows that have none")
    personal_data: dict[str, int] = Field(description="kind → how often")
    secrets: dict[str, int]
    guidance: list[str]


def stats(
    path: Path,
    *,
    counter: TokenCounter | None = None,
    near: bool = False,
    seed: int = 0,
    on_progress: OnProgress | None = None,
) -> DataStats:
    """Look at every row of a dataset.

    Args:
        path: OpenAI-format JSONL. Lines that aren't chat examples are counted and left out.
        counter: What counts tokens; estimated when left out.
        near: Whether to look for near-duplicates, too: that reads the file twice more.
        seed: Of the rows whose words are compared.
        on_progress: Called now and then with bytes read and to read, 0 where a pipe tells none.

    Raises:
        UsageError: the file can't be read, or not as often as that takes.
        DataInvalid: no line of it is a chat example.
    """
    examples = ChatExamples(path, on_progress=on_progress)
    seen = _Seen(counter or EstimateCounter(_NO_MODEL), seed)
    for line, example in examples:
        seen.add(line.number, line.data, example)
    return seen.stats(path, examples.unreadable, near_rows(path) if near else None)


class _Seen:
    """Sums and columns over the rows: 45 bytes a row, and a sample of the texts."""

    def __init__(self, counter: TokenCounter, seed: int) -> None:
        self.numbers = array("Q")
        self.exact = array("Q")
        self.normal = array("Q")
        self.prompts = array("Q")
        self.answers = array("Q")
        self.short = array("B")
        self.turns: Counter[int] = Counter()
        self.systems: Counter[int] = Counter()
        self.shapes: Counter[str] = Counter()
        self.labels: Counter[str] = Counter()
        self.pii: Counter[str] = Counter()
        self.secrets: Counter[str] = Counter()
        self.tokens = _Tokens(counter)
        self._sample: list[tuple[str, str]] = []
        self._random = random.Random(seed)  # noqa: S311 - a sample, no secret

    def add(self, number: int, data: bytes, example: Example) -> None:
        self.tokens.add(data)
        prints = fingerprints(example)
        self.numbers.append(number)
        self.exact.append(prints.exact)
        self.normal.append(prints.normal)
        self.prompts.append(prints.prompt)
        self.answers.append(prints.answer)
        self.turns[sum(message.role == "assistant" for message in example.messages)] += 1
        _count(self.systems, prints.system)
        answer = answer_of(example)
        _count(self.shapes, TOOL_CALL if answer is None else shape_of(answer))
        self.short.append(answer is not None and len(answer) <= LABEL_CHARACTERS)
        if answer is not None and self.short[-1]:
            _count(self.labels, answer.strip())
        for _, hits in iter_hits(example.row):
            for hit in hits:
                (self.pii if hit.category == "pii" else self.secrets)[hit.kind] += 1
        self._keep(example, answer)

    def _keep(self, example: Example, answer: str | None) -> None:
        """Every row is in the sample with the same chance."""
        place = len(self.numbers) - 1
        if place >= SAMPLE_ROWS:
            place = self._random.randrange(place + 1)
        if place < SAMPLE_ROWS:
            asked = " ".join(text for _, m, text in example.iter_texts() if m.role == "user")
            self._sample[place : place + 1] = [(asked, answer or "")]

    def stats(self, path: Path, unreadable: int, firsts: list[int] | None) -> DataStats:
        rows = len(self.numbers)
        said = DataStats(
            schema="ftctl.data-stats/1",
            file=path,
            rows=rows,
            unreadable_rows=unreadable,
            tokens=self.tokens.stats(self.numbers),
            turns=dict(sorted(self.turns.items())),
            copies=self._copies(firsts),
            labels=self._labels(),
            tasks=_shares(task_counts(self.shapes), rows, most=_KEPT),
            output_families=families(self.shapes),
            variety=self._variety(),
            system_prompts=len(self.systems) - (0 in self.systems),
            without_system=self.systems[0],
            personal_data=dict(self.pii.most_common()),
            secrets=dict(self.secrets.most_common()),
            guidance=[],
        )
        return said.model_copy(update={"guidance": list(guidance(said))})

    def _copies(self, firsts: list[int] | None) -> Copies:
        exact = set(repeats(as_column(self.exact))[0].tolist())
        normal = set(repeats(as_column(self.normal))[0].tolist()) - exact
        near = {place for place, first in enumerate(firsts or ()) if first != place}
        return Copies(
            exact=len(exact),
            normalised=len(normal),
            near=None if firsts is None else len(near - exact - normal),
        )

    def _labels(self) -> Labels | None:
        import numpy as np

        share = label_share(as_column(self.answers), np.frombuffer(self.short, dtype=np.uint8))
        if share is None:
            return None
        return Labels(
            different=len(np.unique(as_column(self.answers))),
            majority_share=share,
            most=_shares(self.labels, len(self.numbers), most=_SHOWN),
        )

    def _variety(self) -> Variety:
        import numpy as np

        rows = len(self.numbers)
        groups = clusters([asked for asked, _ in self._sample])
        return Variety(
            different_prompts=len(np.unique(as_column(self.prompts))) / rows,
            different_answers=len(np.unique(as_column(self.answers))) / rows,
            sampled_rows=len(self._sample),
            prompt_groups=len(groups),
            largest_group=groups[0] / len(self._sample),
            prompt_ngrams=_different(asked for asked, _ in self._sample),
            answer_ngrams=_different(answer for _, answer in self._sample),
        )


class _Tokens:
    """Tokens of each row, counted a batch of lines at a time."""

    def __init__(self, counter: TokenCounter) -> None:
        self._counter = counter
        self._held: list[bytes] = []
        self._totals = array("Q")
        self._trained = self._inexact = 0

    def add(self, data: bytes) -> None:
        self._held.append(data)
        if len(self._held) >= _BATCH:
            self._count()

    def _count(self) -> None:
        found = self._counter.count_lines(self._held)
        self._totals.extend(found.total)
        self._trained += sum(found.trained)
        self._inexact += found.inexact
        self._held = []

    def stats(self, numbers: Sequence[int]) -> TokenStats:
        import numpy as np

        if self._held:
            self._count()
        totals = as_column(self._totals)
        longest = int(totals.argmax())
        partly = f"{self._inexact:,} rows hold parts of which no rule is published"
        return TokenStats(
            exact=self._counter.exact and not self._inexact,
            says=self._counter.says,
            error=self._counter.error or (partly if self._inexact else ""),
            total=int(totals.sum()),
            trained=self._trained,
            mean=float(totals.mean()),
            median=float(np.median(totals)),
            p95=float(np.percentile(totals, 95)),
            longest=int(totals[longest]),
            longest_line=numbers[longest],
            histogram=list(_histogram(totals)),
        )


def _histogram(values: "NDArray[np.uint64]") -> Iterator[Bin]:
    """Bins of one width up to the 99th percentile, so that a giant doesn't flatten the others."""
    import numpy as np

    low, top = int(values.min()), int(values.max())
    width = 1 + (int(np.percentile(values, 99)) - low) // _BINS
    for place in range(_BINS + 1):
        if low > top:
            return
        high = top if place == _BINS else low + width - 1
        yield Bin(low=low, high=high, rows=int(((values >= low) & (values <= high)).sum()))
        low = high + 1


def _different(texts: Iterable[str]) -> dict[int, float]:
    """Of all runs of one, two and three words in some texts the share that are different."""
    seen: dict[int, set[int]] = {1: set(), 2: set(), 3: set()}
    total: Counter[int] = Counter()
    for text in texts:
        words = text.casefold().split()
        for size, found in seen.items():
            runs = [hash(run) for run in zip(*(words[i:] for i in range(size)), strict=False)]
            found.update(runs)
            total[size] += len(runs)
    return {size: len(found) / total[size] if total[size] else 1.0 for size, found in seen.items()}


def _shares(counts: Mapping[str, int], total: int, *, most: int) -> list[Share]:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [Share(name=masked_text(name), rows=n, share=n / total) for name, n in ordered]


def _count(counter: "Counter[_T]", value: _T) -> None:
    if value in counter or len(counter) < _KEPT:
        counter[value] += 1
