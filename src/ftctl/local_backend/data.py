"""From a dataset file to batches: rendered once, ordered by seed, padded on the right."""

import json
import math
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from ftctl.datasets.read import LineReader
from ftctl.datasets.render import Message, Rendered, Tokenizer, render
from ftctl.errors import DataInvalid, UsageError
from ftctl.local_backend.attention import Layout

if TYPE_CHECKING:
    from torch import Tensor

DEFAULT_MAX_LENGTH = 2048  # tokens in an example, unless set
# Batches sorted by length together: padding stays small and the order stays random enough.
_WINDOW_BATCHES = 8
_LINES_NAMED = 10


@dataclass(frozen=True, slots=True)
class Example:
    """One rendered example and where it came from."""

    line: int
    rendered: Rendered
    messages: list[Message]
    tools: list[Any] | None

    @property
    def length(self) -> int:
        """Tokens in the example."""
        return len(self.rendered.ids)

    @property
    def trained_tokens(self) -> int:
        """Tokens that loss counts on."""
        return self.rendered.trained_tokens

    @property
    def sequences(self) -> "tuple[Example, ...]":
        """What of it goes through the model: itself."""
        return (self,)


class Item(Protocol):
    """What steps are made of: one line of a dataset, as one sequence or several."""

    @property
    def line(self) -> int:
        """Its line in the dataset file."""

    @property
    def length(self) -> int:
        """Tokens in its longest sequence."""

    @property
    def trained_tokens(self) -> int:
        """Tokens that loss counts on; 0 where it can't be trained on."""

    @property
    def sequences(self) -> tuple[Example, ...]:
        """What of it goes through the model."""


Row = TypeVar("Row", bound=Item)
Make = Callable[[int, Any], Row]  # of a line's number and its JSON


@dataclass(frozen=True, slots=True)
class Batch:
    """Examples side by side, padded on the right.

    Attributes:
        ids: Token ids, [B, T].
        mask: 1 where loss counts, [B, T].
        prefix: How many first tokens are the same in every row.
        lines: The examples' lines in the dataset file.
    """

    ids: "Tensor"
    mask: "Tensor"
    prefix: int
    lines: list[int]


@dataclass(frozen=True, slots=True)
class Loaded(Generic[Row]):
    """A dataset file, rendered.

    Attributes:
        examples: Those that can be trained on; never none.
        remarks: For people: which lines were left out, and why.
        too_long_share: Of all tokens, those left out because their example was too long.
    """

    examples: list[Row]
    remarks: list[str]
    too_long_share: float = 0.0


def longest_taken(base: Path | str, asked: int | None) -> int:
    """How long an example may be, in tokens: as asked, else as long as the model takes, up to 2048.

    Args:
        base: Folder or hub id of the base model.
        asked: The job's `max_length`.

    Raises:
        UsageError: the model has a table of positions, with fewer than were asked for.
    """
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(str(base), trust_remote_code=False).get_text_config()
    except (OSError, ValueError, KeyError):  # why, whoever loads the model says better
        config = None
    places = getattr(config, "max_position_embeddings", None) or asked or DEFAULT_MAX_LENGTH
    if asked is None:
        return min(DEFAULT_MAX_LENGTH, places)
    # Positions that are computed go on behind what a model was trained with.
    if asked > places and not getattr(config, "rope_parameters", None):
        raise UsageError(
            f"max_length={asked}: {Path(base).name} has a table of {places} positions",
            hint=f"--set max_length={places}, or leave it out",
        )
    return asked


def load_examples(file: Path, tokenizer: Tokenizer, max_length: int) -> Loaded[Example]:
    """Read and render a chat dataset; raises and leaves out as `load_rows`."""

    def make(number: int, row: Any) -> Example:  # noqa: ANN401 - any JSON
        messages, tools = row["messages"], row.get("tools")
        return Example(number, render(tokenizer, messages, tools), messages, tools)

    return load_rows(file, make, max_length, "a chat example")


def load_rows(file: Path, make: Make[Row], max_length: int, what: str) -> Loaded[Row]:
    """Read a dataset, making an example of each line.

    Examples that are too long are left out whole, because cutting them would cut answers off;
    so are those in which no token is trained, such as when all answers have weight 0.

    Args:
        file: OpenAI-format JSONL.
        make: Renders a line.
        max_length: Longest sequence allowed, in tokens.
        what: What each line has to be.

    Raises:
        DataInvalid: a line can't be rendered, or no example is left.
    """
    examples: list[Row] = []
    too_long: list[Row] = []
    untrained: list[Row] = []
    with LineReader(file) as lines:
        for line in lines:
            if not line.data.strip():
                continue
            example = _made(file, line.number, line.data, make, what)
            if not example.trained_tokens:
                untrained.append(example)
            elif example.length > max_length:
                too_long.append(example)
            else:
                examples.append(example)
    count = len(examples) + len(too_long) + len(untrained)
    remarks = []
    hint = f"ftctl data check {file}"
    if too_long:
        longest = max(example.length for example in too_long)
        hint = f"submit again with --set max_length={longest}, or shorten these lines"
        longer = f"longer than {max_length} tokens (--set max_length={longest} keeps them)"
        remarks.append(_left_out(too_long, count, longer))
    if untrained:
        remarks.append(_left_out(untrained, count, "without a token to train on"))
    if not examples:
        why = "; ".join(remarks) or "it is empty"
        raise DataInvalid(f"{file}: no example to train on: {why}", hint=hint)
    cut = sum(example.length for example in too_long)
    return Loaded(examples, remarks, cut / (cut + sum(example.length for example in examples)))


def _left_out(examples: Sequence[Item], count: int, why: str) -> str:
    """Why some of `count` examples aren't used; beyond the first lines only their number."""
    lines = ", ".join(str(example.line) for example in examples[:_LINES_NAMED])
    if len(examples) > _LINES_NAMED:
        lines += f" and {len(examples) - _LINES_NAMED} more"
    return f"{len(examples)} of {count} examples left out, {why}: lines {lines}"


def _made(file: Path, number: int, line: bytes, make: Make[Row], what: str) -> Row:
    try:
        return make(number, json.loads(line))
    except DataInvalid as error:
        raise DataInvalid(f"{file}:{number}: {error.message}", hint=error.hint) from None
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataInvalid(
            f"{file}:{number}: not {what} ({error})", hint=f"ftctl data check {file}"
        ) from None


def sequences_of(items: Sequence[Item]) -> list[Example]:
    """Every sequence of some items, in their order."""
    return [sequence for item in items for sequence in item.sequences]


def count_tokens(sequences: Sequence[Example]) -> int:
    """All their tokens, padding not counted."""
    return sum(sequence.length for sequence in sequences)


def shared_prefix(examples: Sequence[Example]) -> int:
    """How many first tokens all examples share, none of them trained on.

    At least two tokens of every example stay outside, so that there is something to predict
    from and something to predict.
    """
    first, last = (
        chosen(examples, key=lambda example: example.rendered.ids).rendered.ids
        for chosen in (min, max)
    )
    # What the smallest and the largest share, everything between them shares too.
    common = next(
        (i for i, (a, b) in enumerate(zip(first, last, strict=False)) if a != b),
        min(len(first), len(last)),
    )
    untrained = min(example.rendered.mask.index(1) for example in examples)
    return max(0, min(common, untrained - 1))


def steps_per_epoch(count: int, batch_size: int) -> int:
    """Optimiser steps in one pass; the last one may be smaller."""
    return math.ceil(count / batch_size)


def iter_step_batches(
    examples: Sequence[Row], batch_size: int, seed: int, first_step: int, total_steps: int
) -> Iterator[list[Row]]:
    """The examples of each step from `first_step` on.

    Which examples a step sees depends on the seed and the step alone, so that a resumed run
    goes on exactly where it stopped.
    """
    per_epoch = steps_per_epoch(len(examples), batch_size)
    order: list[list[Row]] = []
    known_epoch = -1
    for step in range(first_step, total_steps):
        epoch, place = divmod(step, per_epoch)
        if epoch != known_epoch:
            order, known_epoch = _epoch_order(examples, batch_size, seed, epoch), epoch
        yield order[place]


def _epoch_order(
    examples: Sequence[Row], batch_size: int, seed: int, epoch: int
) -> list[list[Row]]:
    chance = random.Random(f"{seed}-{epoch}")  # noqa: S311 - reproducible, not secret
    shuffled = list(examples)
    chance.shuffle(shuffled)
    window = batch_size * _WINDOW_BATCHES
    ordered = [
        example
        for start in range(0, len(shuffled), window)
        for example in sorted(shuffled[start : start + window], key=lambda e: e.length)
    ]
    batches = [ordered[i : i + batch_size] for i in range(0, len(ordered), batch_size)]
    chance.shuffle(batches)
    return batches


def collate(examples: Sequence[Example], pad_id: int, prefix: int, device: str) -> Batch:
    """Put examples side by side; padding comes last and is never trained on."""
    import torch

    width = max(example.length for example in examples)
    ids = torch.full((len(examples), width), pad_id)  # [B, T]
    mask = torch.zeros_like(ids)  # [B, T]
    for row, example in enumerate(examples):
        ids[row, : example.length] = torch.tensor(example.rendered.ids)
        mask[row, : example.length] = torch.tensor(example.rendered.mask)
    return Batch(ids.to(device), mask.to(device), prefix, [example.line for example in examples])


@dataclass(frozen=True, slots=True)
class Pack:
    """Examples one after the other in one row, without padding.

    Attributes:
        ids: Token ids, [1, T]; the prefix that all share stands there once.
        positions: Of each token in its own example, [1, T].
        predicts: Places of the tokens that predict a trained one, [N].
        targets: Ids of the trained tokens, [N].
        rows: Which example each of them is of, [N].
        layout: Where the examples are.
        lines: Their lines in the dataset file.
    """

    ids: "Tensor"
    positions: "Tensor"
    predicts: "Tensor"
    targets: "Tensor"
    rows: "Tensor"
    layout: Layout
    lines: list[int]


def collate_pack(examples: Sequence[Example], prefix: int, device: str) -> Pack:
    """Put examples one after the other, behind the first tokens that they share."""
    import torch

    ids = list(examples[0].rendered.ids[:prefix])
    positions, predicts, rows = list(range(prefix)), list[int](), list[int]()
    for row, example in enumerate(examples):
        # A token is predicted at the place before it; the first one behind the prefix, whose
        # place before is shared, is never trained on.
        start = len(ids) - prefix - 1
        trained = [place for place, on in enumerate(example.rendered.mask) if on and place]
        predicts += [start + place for place in trained]
        rows += [row] * len(trained)
        ids += example.rendered.ids[prefix:]
        positions += range(prefix, example.length)
    whole = torch.tensor(ids)
    places = torch.tensor(predicts)
    return Pack(
        ids=whole[None].to(device),
        positions=torch.tensor(positions)[None].to(device),
        predicts=places.to(device),
        targets=whole[places + 1].to(device),
        rows=torch.tensor(rows).to(device),
        layout=Layout(prefix, tuple(example.length - prefix for example in examples)),
        lines=[example.line for example in examples],
    )
