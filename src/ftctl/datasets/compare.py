"""How production differs from what a model was trained on."""

import random
from array import array
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from pydantic import Field

from ftctl.datasets.across import as_column
from ftctl.datasets.clusters import profiles, words
from ftctl.datasets.distances import (
    PERMUTATIONS,
    Distance,
    kinds_apart,
    numbers_apart,
    profiles_apart,
)
from ftctl.datasets.document import Document, Value
from ftctl.datasets.features import ChatExamples
from ftctl.datasets.fingerprints import BYTES_PER_TOKEN, answer_of, hash_of, normalise, system_print
from ftctl.datasets.read import OnProgress
from ftctl.datasets.rules.types import Example, JsonObject, shown

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

What = Literal["system prompts", "user prompts", "prompt length", "answer length", "turns"]
Verdict = Literal["alike", "slight", "clear", "strong", "too few rows"]

SAMPLE_ROWS = 2_000  # of each file, that distances are measured on
FEW_ROWS = 30  # on a side, below which nothing can be told
_P_VALUE = 0.01  # five tests: below 0.05 together
_CLEAR, _STRONG = 0.05, 0.2  # distance beyond chance; starting points, not measured
_KEPT = 10_000  # different system prompts
_SHOWN = 8
# Where logs and batch files keep the request that was sent.
_WITHIN = ("body", "request", "inputs", "input")


class Side(Value):
    """One of the two files; distances are measured on `sampled_rows`, shares on all rows."""

    file: Path
    rows: int
    unreadable_rows: int
    sampled_rows: int


class Difference(Value):
    """How far training and production lie apart in one respect.

    `distance` goes from 0 to 1; `chance` is the most that 95 % of random deals of the same rows
    give, `p_value` the share of deals that lie as far apart.
    """

    what: What
    verdict: Verdict
    distance: float
    chance: float
    p_value: float
    evidence: str
    advice: str = Field(description="empty where nothing has to be done")


class InBoth(Value):
    """A system prompt or a word, and the share of each side's rows that have it (0-1)."""

    text: str = Field(description="cut short, personal data masked")
    training: float
    log: float


class DataCompare(Document):
    """Training data beside production."""

    schema_: Literal["ftctl.data-compare/1"] = Field("ftctl.data-compare/1", alias="schema")
    training: Side
    log: Side
    alike: bool | None = Field(description="null where a side has too few rows to tell")
    differences: list[Difference]
    systems: list[InBoth] = Field(description="those whose shares differ most; '' is none")
    words: list[InBoth] = Field(description="words of prompts whose shares differ most")
    unlike_lines: list[int] = Field(description="lines of the log least like training, 1-based")
    seed: int
    permutations: int = PERMUTATIONS


class _Row(NamedTuple):
    number: int
    system: int
    prompt: str
    prompt_tokens: int
    answer_tokens: int | None
    turns: int


class _Data:
    """What is remembered of a file: a sample of its rows, and columns over all of them."""

    def __init__(self, path: Path, seed: int, on_progress: OnProgress | None) -> None:
        self.path = path
        self.rows = self.unreadable = 0
        self.sample: list[_Row] = []
        self.systems: Counter[int] = Counter()
        self.system_texts: dict[int, str] = {0: ""}
        self.prompts = array("Q")
        examples = ChatExamples(path, _request, on_progress)
        chance = random.Random(seed)  # noqa: S311 - a sample, no secret
        for line, example in examples:
            row = _row(line.number, example)
            place = chance.randrange(self.rows + 1) if self.rows >= SAMPLE_ROWS else self.rows
            if place < SAMPLE_ROWS:
                self.sample[place : place + 1] = [row]
            self.rows += 1
            self.prompts.append(hash_of(normalise(row.prompt)))
            self._add_system(row.system, example)
        self.unreadable = examples.unreadable

    def _add_system(self, system: int, example: Example) -> None:
        if system in self.systems or len(self.systems) < _KEPT:
            self.systems[system] += 1
        if system not in self.system_texts and len(self.system_texts) < _KEPT:
            said = [text for _, m, text in example.iter_texts() if m.role == "system"]
            self.system_texts[system] = " ".join(said)[:4096]

    def side(self) -> Side:
        return Side(
            file=self.path,
            rows=self.rows,
            unreadable_rows=self.unreadable,
            sampled_rows=len(self.sample),
        )

    def words(self) -> Counter[str]:
        """In how many prompts of the sample each word is."""
        return Counter(word for row in self.sample for word in words(row.prompt))


def compare(
    training: Path, log: Path, *, seed: int = 0, on_progress: OnProgress | None = None
) -> DataCompare:
    """Compare training data with what production saw.

    Args:
        training: OpenAI-format JSONL.
        log: The same; also requests with `messages` under `body`, `request` or `input`, with or
            without an answer.
        seed: Of the samples and of the random deals that distances are judged against.
        on_progress: Called now and then with bytes read and to read, of each file by itself.

    Raises:
        UsageError: a file can't be read.
        DataInvalid: a file has no chat example.
    """
    one, other = (_Data(path, seed, on_progress) for path in (training, log))
    rows, unlike = _profiles(one, other)
    differences = [
        _system_prompts(one, other, seed),
        _user_prompts(one, other, profiles_apart(rows, len(one.sample), seed)),
        *_lengths(one, other, seed),
        _turns(one, other, seed),
    ]
    few = any(found.verdict == "too few rows" for found in differences)
    return DataCompare(
        schema="ftctl.data-compare/1",
        training=one.side(),
        log=other.side(),
        alike=None if few else all(found.verdict == "alike" for found in differences),
        differences=differences,
        systems=_systems_apart(one, other),
        words=_words_apart(one, other),
        unlike_lines=unlike,
        seed=seed,
    )


def _request(row: JsonObject) -> JsonObject:
    """The example in a line of a log: the line itself, or the request in it."""
    if "messages" in row:
        return row
    for key in _WITHIN:
        inner = row.get(key)
        if isinstance(inner, dict) and "messages" in inner:
            return inner
        if isinstance(inner, list):
            return {"messages": inner}
    return row


def _row(number: int, example: Example) -> _Row:
    asked = [text for _, m, text in example.iter_texts() if m.role == "user"]
    answer = answer_of(example)
    prompt = "\n".join(asked)
    return _Row(
        number=number,
        system=system_print(example),
        prompt=prompt,
        prompt_tokens=_tokens(prompt),
        answer_tokens=None if answer is None else _tokens(answer),
        turns=sum(message.role == "user" for message in example.messages),
    )


def _tokens(text: str) -> int:
    return -(-len(text.encode("utf-8", "surrogatepass")) // BYTES_PER_TOKEN)


def _profiles(one: _Data, other: _Data) -> tuple["NDArray[np.float32]", list[int]]:
    """Each prompt's words as numbers, and the log's unlike lines."""
    import numpy as np

    rows = profiles([row.prompt for row in (*one.sample, *other.sample)])
    likeness = rows[len(one.sample) :] @ rows[: len(one.sample)].mean(axis=0)
    least = np.argsort(likeness, kind="stable")[:_SHOWN]
    return rows, sorted(other.sample[place].number for place in least.tolist())


def _difference(
    what: What, found: Distance, sides: tuple[int, int], evidence: str, advice: str
) -> Difference:
    beyond = found.value - found.chance
    verdict: Verdict
    if min(sides) < FEW_ROWS:
        verdict = "too few rows"
    elif found.p_value >= _P_VALUE:
        verdict = "alike"
    else:
        verdict = "strong" if beyond >= _STRONG else "clear" if beyond >= _CLEAR else "slight"
    return Difference(
        what=what,
        verdict=verdict,
        distance=found.value,
        chance=found.chance,
        p_value=found.p_value,
        evidence=evidence,
        advice=advice if verdict in ("clear", "strong") else "",
    )


def _system_prompts(one: _Data, other: _Data, seed: int) -> Difference:
    found = kinds_apart([r.system for r in one.sample], [r.system for r in other.sample], seed)
    new = sum(n for system, n in other.systems.items() if system and system not in one.systems)
    evidence = (
        f"{new / other.rows:.0%} of the log's rows have a system prompt that no training row has; "
        f"without one: {one.systems[0] / one.rows:.0%} in training, "
        f"{other.systems[0] / other.rows:.0%} in the log"
    )
    advice = "train with the system prompts that production sends, in the shares it sends them"
    return _difference("system prompts", found, _sizes(one, other), evidence, advice)


def _user_prompts(one: _Data, other: _Data, found: Distance) -> Difference:
    import numpy as np

    prompts = [as_column(side.prompts) for side in (one, other)]
    again = float(np.isin(prompts[1], prompts[0]).mean())
    known = one.words()
    said = other.words()
    new = sum(n for word, n in said.items() if word not in known) / max(1, said.total())
    evidence = (
        f"{again:.0%} of the log's prompts are in training, but for case and punctuation; "
        f"{new:.0%} of its words are in no training prompt"
    )
    advice = "answer some of the log's prompts that are least like training, and train on them too"
    return _difference("user prompts", found, _sizes(one, other), evidence, advice)


def _lengths(one: _Data, other: _Data, seed: int) -> Iterator[Difference]:
    asked = [[row.prompt_tokens for row in side.sample] for side in (one, other)]
    advice = "add rows of the lengths that production sees"
    yield _length("prompt length", asked[0], asked[1], seed, advice)
    answers = [
        [row.answer_tokens for row in side.sample if row.answer_tokens is not None]
        for side in (one, other)
    ]
    if answers[0] and answers[1]:
        advice = "find out which length is wanted: a tuned model answers as long as its rows do"
        yield _length("answer length", answers[0], answers[1], seed, advice)


def _length(what: What, one: list[int], other: list[int], seed: int, advice: str) -> Difference:
    import numpy as np

    told = " against ".join(
        f"{np.median(side):,.0f} (95 % up to {np.percentile(side, 95):,.0f})"
        for side in (one, other)
    )
    evidence = f"median of estimated tokens, training against log: {told}"
    found = numbers_apart(one, other, seed)
    return _difference(what, found, (len(one), len(other)), evidence, advice)


def _turns(one: _Data, other: _Data, seed: int) -> Difference:
    turns = [[row.turns for row in side.sample] for side in (one, other)]
    told = " against ".join(f"{sum(n > 1 for n in side) / len(side):.0%}" for side in turns)
    evidence = f"more than one question in a row, training against log: {told}"
    advice = "add conversations of as many turns as production has"
    found = kinds_apart(turns[0], turns[1], seed)
    return _difference("turns", found, _sizes(one, other), evidence, advice)


def _sizes(one: _Data, other: _Data) -> tuple[int, int]:
    return len(one.sample), len(other.sample)


def _systems_apart(one: _Data, other: _Data) -> list[InBoth]:
    texts = other.system_texts | one.system_texts
    found = [
        InBoth(
            text=shown(texts[system], 80)[1:-1] if texts.get(system) else "",
            training=one.systems[system] / one.rows,
            log=other.systems[system] / other.rows,
        )
        for system in {*one.systems, *other.systems}
    ]
    return sorted(found, key=_apart)[:_SHOWN]


def _words_apart(one: _Data, other: _Data) -> list[InBoth]:
    known, said = one.words(), other.words()
    sizes = _sizes(one, other)
    found = [
        InBoth(text=word, training=known[word] / sizes[0], log=said[word] / sizes[1])
        for word in {*known, *said}
        if known[word] + said[word] >= max(3, 0.02 * min(sizes))
    ]
    return sorted((word for word in found if -_apart(word)[0] >= 0.05), key=_apart)[:_SHOWN]


def _apart(both: InBoth) -> tuple[float, str]:
    return -abs(both.training - both.log), both.text
