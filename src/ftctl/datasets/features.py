"""What the advisor needs to know of a dataset: measured in one pass, as fast as it is checked."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from heapq import heappush, heapreplace
from pathlib import Path
from zlib import crc32

from pydantic import Field
from typing_extensions import override

from ftctl.datasets.across import Lines, as_column, label_share
from ftctl.datasets.check import collector_off
from ftctl.datasets.document import Value
from ftctl.datasets.fast.options import Options
from ftctl.datasets.fast.part import Part
from ftctl.datasets.fast.processes import doing
from ftctl.datasets.fast.worker import Task
from ftctl.datasets.fingerprints import BYTES_PER_TOKEN, answer_of, canonical, normal_column
from ftctl.datasets.read import TELL_LINES, Line, LineReader, OnProgress, joined, ranges, read_range
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.structure import chat_example
from ftctl.datasets.rules.types import Example, JsonObject
from ftctl.datasets.shapes import TOOL_CALL, families, shape_of
from ftctl.errors import DataInvalid

# Different lines whose lengths and forms are looked at. A mean is then off by a 45th of its spread:
# 2 % where lengths spread as far as their mean, more where a few lines are very long.
SAMPLE = 2_000


class DatasetFeatures(Value):
    """A dataset in numbers. Token counts are estimates, UTF-8 bytes / 4 (+13 % on English).

    Rows, duplicates, system prompts, labels, personal data and secrets are of all lines; lengths,
    the shared start, forms and turns are of at most two thousand different lines, the same ones
    whatever the order and however often each stands there.
    """

    rows: int = Field(description="lines that are chat examples")
    unreadable_rows: int = Field(description="lines that aren't, and count nowhere else")
    effective_rows: int = Field(description="different examples, after normalisation")
    mean_input_tokens: float = Field(description="before the last answer, tools included")
    p95_input_tokens: float = Field(description="95 % of the examples have at most this many")
    mean_output_tokens: float = Field(description="in the last answer")
    p95_output_tokens: float = Field(description="95 % of the answers have at most this many")
    shared_prefix_tokens: int = Field(
        description="at the start of every example alike: what a prompt cache would hold"
    )
    distinct_system_prompts: int = Field(description="without the lines that have none")
    output_families: float = Field(
        description="2 to the entropy of the answers' forms (JSON keys, SQL, code, length): the "
        "effective number of tasks by output shape, 1 when all look alike"
    )
    label_count: int | None = Field(description="different answers, when they form a closed set")
    majority_share: float | None = Field(
        description="share of the most common answer (0-1), when answers form a closed set"
    )
    turns_mean: float = Field(description="assistant messages in an example")
    pii_hits: int = Field(description="texts with e-mail addresses, cards, phones, IBANs")
    secret_hits: int = Field(description="texts with keys, tokens or credentials")


def measure(path: Path) -> DatasetFeatures:
    """Measure a dataset.

    Lines that aren't chat examples are counted and left out: `ftctl data check` names them.

    Raises:
        UsageError: the file can't be read.
        DataInvalid: no line of it is a chat example.
    """
    lines, sample, counts = Lines(), Sample(), Counter[str]()
    lines_read = 0
    with collector_off():
        for part in _parts(path):
            lines.extend(part.lines, lines_read)
            lines_read += part.lines_read
            counts += part.counts
            for line, count in part.sample.counts.items():
                sample.add(line, count)
    seen = _Seen.of(sample)
    if not seen.times:
        few = "no line is" if not lines.count else "hardly any line is"
        said = f"{path}: {few} a chat example"
        raise DataInvalid(said, hint=f"ftctl data check {path}")
    return _features(lines, seen, counts, lines_read)


class Sample:
    """Different lines, those with the least checksums, and how often each stands in the file."""

    def __init__(self) -> None:
        self.counts: dict[bytes, int] = {}
        self._ranked: list[tuple[int, bytes]] = []  # the greatest checksum first

    def add(self, line: bytes, count: int = 1) -> None:
        """Count a line, and keep it where its checksum is small enough."""
        rank = crc32(line)
        full = len(self._ranked) == SAMPLE
        if full and rank > -self._ranked[0][0]:
            return
        if line in self.counts:
            self.counts[line] += count
            return
        if full:
            _, out = heapreplace(self._ranked, (-rank, line))
            del self.counts[out]
        else:
            heappush(self._ranked, (-rank, line))
        self.counts[line] = count


class SampledPart(Part):
    """What a run of lines shows, as checking sees it, and a sample of them."""

    def __init__(self, known_format: str | None) -> None:
        super().__init__(Options(kept=0), known_format)
        self.sample = Sample()

    @override
    def look(self, pieces: Iterable[bytes | Line]) -> None:
        """Look at blocks of whole lines, and at lines too long for a block."""
        super().look(self._sampled(pieces))

    def _sampled(self, pieces: Iterable[bytes | Line]) -> Iterator[bytes | Line]:
        for piece in pieces:
            lines = piece.split(b"\n") if isinstance(piece, bytes) else [piece.data]
            for line in lines:
                if line:
                    self.sample.add(line.removesuffix(b"\r"))
            yield piece


class SampledTask(Task):
    """Lines of a file to be measured, maybe by another process."""

    __slots__ = ()

    @override
    def done(self) -> SampledPart:
        """What the lines show."""
        part = SampledPart(self.known_format)
        part.look(read_range(self.path, self.start, self.end))
        return part


def _parts(path: Path) -> Iterator[SampledPart]:
    """A file's lines in their order, by several processes where that helps."""
    with LineReader(path) as reader:
        if not reader.plain:
            part = SampledPart(None)
            part.look(joined(reader))
            yield part
            return
        start = 3 if reader.bom else 0
        spans = ranges(path, start)
        tasks = (SampledTask(path, begin, end, None, Options()) for begin, end in spans)
        with doing(reader.size_bytes) as done:
            yield from done(tasks)


class ChatExamples:
    """The chat examples of a file and the lines they stand on, read once from first to last.

    Args:
        path: The file.
        view: What makes an example of a line's object, where it isn't one by itself.
        on_progress: Called now and then with bytes read and to read, 0 where a pipe tells none.

    Attributes:
        unreadable: How many lines aren't chat examples, known once all are read.
    """

    def __init__(
        self,
        path: Path,
        view: Callable[[JsonObject], JsonObject] | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        self._path = path
        self._view = view
        self._on_progress = on_progress
        self.unreadable = 0

    def __iter__(self) -> Iterator[tuple[Line, Example]]:
        """Each example.

        Raises:
            UsageError: the file can't be read.
            DataInvalid: no line of it is a chat example.
        """
        found = False
        with LineReader(self._path) as reader:
            for line in reader:
                if self._on_progress is not None and line.number % TELL_LINES == 0:
                    self._on_progress(reader.read_bytes, reader.size_bytes)
                parsed = parse_line(line.data, ended=line.ended)
                row = parsed.value
                if self._view is not None and isinstance(row, dict):
                    row = self._view(row)
                example = chat_example(row)
                if example is not None:
                    found = True
                    yield line, example
                elif not parsed.findings or parsed.findings[0].key != "blank-line":
                    self.unreadable += 1
        if not found:
            said = f"{self._path}: no line is a chat example"
            raise DataInvalid(said, hint=f"ftctl data check {self._path}")


def _features(
    lines: Lines, seen: "_Seen", counts: Counter[str], lines_read: int
) -> DatasetFeatures:
    import numpy as np

    prints = lines.prints
    assert prints is not None  # noqa: S101 - duplicates were asked for
    prompt, answer = map(as_column, (prints.prompt, prints.answer))
    short = np.full(lines.count, prints.all_label_like, dtype=np.uint8)
    share = label_share(answer, short)
    times = np.array(seen.times, dtype=np.int64)
    inputs, outputs = np.repeat(seen.inputs, times), np.repeat(seen.outputs, times)
    prefix = (seen.prefix or "").encode("utf-8", "surrogatepass")
    return DatasetFeatures(
        rows=lines.count,
        unreadable_rows=lines_read - counts["blank-line"] - lines.count,
        effective_rows=len(np.unique(normal_column(prompt, answer))),
        mean_input_tokens=float(inputs.mean()),
        p95_input_tokens=float(np.percentile(inputs, 95)),
        mean_output_tokens=float(outputs.mean()),
        p95_output_tokens=float(np.percentile(outputs, 95)),
        shared_prefix_tokens=len(prefix) // BYTES_PER_TOKEN,
        distinct_system_prompts=len(lines.systems) - (0 in lines.systems),
        output_families=families(seen.shapes),
        label_count=None if share is None else len(np.unique(answer)),
        majority_share=share,
        turns_mean=seen.turns / float(times.sum()),
        pii_hits=counts["pii"],
        secret_hits=counts["secret"],
    )


class _Seen:
    """Lengths and forms of examples, and how often each stands in the file."""

    def __init__(self) -> None:
        self.times, self.inputs, self.outputs = array("Q"), array("Q"), array("Q")
        self.turns = 0
        self.shapes: Counter[str] = Counter()
        self.prefix: str | None = None

    @classmethod
    def of(cls, sample: Sample) -> "_Seen":
        """What the chat examples among some lines show."""
        seen = cls()
        for line, count in sample.counts.items():
            example = chat_example(parse_line(line).value)
            if example is not None:
                seen.add(example, count)
        return seen

    def add(self, example: Example, times: int) -> None:
        self.times.append(times)
        self.turns += times * sum(message.role == "assistant" for message in example.messages)
        answer = answer_of(example)
        self.shapes[TOOL_CALL if answer is None else shape_of(answer)] += times
        last = max((m.index for m in example.messages if m.role == "assistant"), default=-1)
        size_in = size_out = 0
        prompt: list[str] = []
        for _, message, text in example.iter_texts():
            size = len(text.encode("utf-8", "surrogatepass"))
            if message.index == last:
                size_out += size
            else:
                size_in += size
                prompt.append(f"{message.role}\n{text}\n")
        self.inputs.append(-(-(size_in + _tools_bytes(example)) // BYTES_PER_TOKEN))
        self.outputs.append(-(-size_out // BYTES_PER_TOKEN))
        whole = "".join(prompt)
        self.prefix = whole if self.prefix is None else _shared_start(self.prefix, whole)


def _tools_bytes(example: Example) -> int:
    tools = example.row.get("tools")
    return len(canonical(tools).encode("utf-8", "surrogatepass")) if tools else 0


def _shared_start(one: str, other: str) -> str:
    if other.startswith(one):
        return one
    shared = next(
        (i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b),
        min(len(one), len(other)),
    )
    return one[:shared]
