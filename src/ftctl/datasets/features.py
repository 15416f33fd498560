"""What the advisor needs to know of a dataset, measured in one pass."""

from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from ftctl.datasets.across import label_share
from ftctl.datasets.examine import LABEL_CHARACTERS
from ftctl.datasets.fingerprints import BYTES_PER_TOKEN, answer_of, canonical, fingerprints
from ftctl.datasets.read import TELL_LINES, Line, LineReader, OnProgress
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.privacy import iter_hits
from ftctl.datasets.rules.structure import iter_messages_problems
from ftctl.datasets.rules.types import Example, JsonObject, read_example
from ftctl.datasets.shapes import TOOL_CALL, families, shape_of
from ftctl.errors import DataInvalid

_SHAPES_KEPT = 10_000


class DatasetFeatures(BaseModel):
    """A dataset in numbers. Token counts are estimates, UTF-8 bytes / 4 (+13 % on English)."""

    model_config = ConfigDict(extra="forbid", frozen=True)

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
    pii_hits: int = Field(description="e-mail addresses, cards, phones, IBANs found")
    secret_hits: int = Field(description="keys, tokens and credentials found")


def measure(path: Path) -> DatasetFeatures:
    """Measure a dataset.

    Lines that aren't chat examples are counted and left out: `ftctl data check` names them.

    Raises:
        UsageError: the file can't be read.
        DataInvalid: no line of it is a chat example.
    """
    measured = _Measured()
    examples = ChatExamples(path)
    for _, example in examples:
        measured.add(example)
    return measured.features(examples.unreadable)


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
                if isinstance(row, dict) and next(iter_messages_problems(row), None) is None:
                    found = True
                    yield line, read_example(row)
                elif not parsed.findings or parsed.findings[0].key != "blank-line":
                    self.unreadable += 1
        if not found:
            said = f"{self._path}: no line is a chat example"
            raise DataInvalid(said, hint=f"ftctl data check {self._path}")


class _Measured:
    """Sums and columns over the examples: 41 bytes a row."""

    def __init__(self) -> None:
        self.rows = self.turns = self.pii_hits = self.secret_hits = 0
        self.inputs = array("Q")
        self.outputs = array("Q")
        self.normal = array("Q")
        self.answers = array("Q")
        self.short = array("B")
        self.systems: set[int] = set()
        self.shapes: Counter[str] = Counter()
        self.prefix: str | None = None

    def add(self, example: Example) -> None:
        self.rows += 1
        prints = fingerprints(example)
        self.normal.append(prints.normal)
        self.answers.append(prints.answer)
        if prints.system and len(self.systems) < _SHAPES_KEPT:
            self.systems.add(prints.system)
        self.turns += sum(message.role == "assistant" for message in example.messages)
        answer = answer_of(example)
        self.short.append(answer is not None and len(answer) <= LABEL_CHARACTERS)
        shape = TOOL_CALL if answer is None else shape_of(answer)
        if shape in self.shapes or len(self.shapes) < _SHAPES_KEPT:
            self.shapes[shape] += 1
        self._texts(example)

    def _texts(self, example: Example) -> None:
        for _, hits in iter_hits(example.row):
            self.pii_hits += sum(hit.category == "pii" for hit in hits)
            self.secret_hits += sum(hit.category == "secret" for hit in hits)
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
        if self.prefix is None:
            self.prefix = "".join(prompt)
        elif self.prefix:
            self.prefix = _shared_start(self.prefix, "".join(prompt))

    def features(self, unreadable: int) -> DatasetFeatures:
        import numpy as np

        inputs = np.frombuffer(self.inputs, dtype=np.uint64)
        outputs = np.frombuffer(self.outputs, dtype=np.uint64)
        answers = np.frombuffer(self.answers, dtype=np.uint64)
        share = label_share(answers, np.frombuffer(self.short, dtype=np.uint8))
        prefix = (self.prefix or "").encode("utf-8", "surrogatepass")
        return DatasetFeatures(
            rows=self.rows,
            unreadable_rows=unreadable,
            effective_rows=len(np.unique(np.frombuffer(self.normal, dtype=np.uint64))),
            mean_input_tokens=float(inputs.mean()),
            p95_input_tokens=float(np.percentile(inputs, 95)),
            mean_output_tokens=float(outputs.mean()),
            p95_output_tokens=float(np.percentile(outputs, 95)),
            shared_prefix_tokens=len(prefix) // BYTES_PER_TOKEN,
            distinct_system_prompts=len(self.systems),
            output_families=families(self.shapes),
            label_count=None if share is None else len(np.unique(answers)),
            majority_share=share,
            turns_mean=self.turns / self.rows,
            pii_hits=self.pii_hits,
            secret_hits=self.secret_hits,
        )


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
