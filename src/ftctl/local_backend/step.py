"""One optimiser step: shared out between processes, taken again where memory ran out."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from ftctl.errors import JobFailed
from ftctl.local_backend.data import Item
from ftctl.local_backend.memory import (
    OutOfMemory,
    breaking_off,
    give_memory_back,
    is_out_of_memory,
)
from ftctl.local_backend.objectives import Objective
from ftctl.local_backend.sharding import Layout

if TYPE_CHECKING:
    import torch

_Result = TypeVar("_Result")
Scorer = Any  # as `make_scorer` builds it, then as it was prepared
_NAMED = 20


class Stepped(NamedTuple):
    """What a step was.

    Attributes:
        loss: Mean loss in nats per trained token or pair, over all processes.
        grad_norm: Gradient norm before clipping.
        means: Of what else the objective measures.
        micro_batch: How many lines may go through at once; fewer than asked where memory ran out.
    """

    loss: float
    grad_norm: float
    means: dict[str, float]
    micro_batch: int


@dataclass
class _Sums:
    """What one process adds up over its share of a step."""

    loss: float = 0.0
    others: dict[str, float] = field(default_factory=dict)


def take_step(
    layout: Layout,
    scorer: Scorer,
    objective: Objective[Any],
    examples: Sequence[Item],
    *,
    micro_batch: int,
    seed: int,
    learning_rate: float,
) -> Stepped:
    """One optimiser step over micro-batches that weigh as much as they hold.

    Every micro-batch's summed loss is divided by the trained tokens, or pairs, of the whole step,
    so the gradient is that of one big batch whatever the micro-batch size and however many
    processes share it. Where memory runs out, all begin the step again with half as much at once.

    Args:
        layout: How the model lies across processes.
        scorer: The model.
        objective: What its loss is.
        examples: Of the step, the same in every process.
        micro_batch: How many lines may go through at once.
        seed: Of this step's dropout.
        learning_rate: The run's, of which a lower one is proposed where numbers end.

    Raises:
        JobFailed: loss or gradient is no number.
        OutOfMemory: not even one line fits.
    """
    weight = objective.weight(examples)

    def attempt(size: int) -> _Sums:
        _seed(seed, layout.team.index)
        return _add_up(layout, scorer, objective, examples, size, weight)

    def most(size: int) -> int:
        shares = share_out(examples, layout.team.count)
        return max(len(part) for share in shares for part in objective.parts(share, size))

    all_sums, micro_batch = until_it_fits(layout, micro_batch, attempt, most)
    loss = sum(sums.loss for sums in all_sums)
    norm = layout.update() if math.isfinite(loss) else math.nan
    if not (math.isfinite(loss) and math.isfinite(norm)):
        layout.forget()
        raise JobFailed(
            f"the loss is no longer a number (loss {loss:g}, gradient norm {norm:g}), "
            + _blame(layout, scorer, objective, examples),
            hint="look at these lines, or submit again with a lower rate: "
            f"--set learning_rate={learning_rate / 4:g}",
        )
    means: dict[str, float] = {}
    for sums in all_sums:
        for name, value in sums.others.items():
            means[name] = means.get(name, 0.0) + value / weight
    return Stepped(loss, norm, means, micro_batch)


def until_it_fits(
    layout: Layout,
    micro_batch: int,
    attempt: Callable[[int], _Result],
    most: Callable[[int], int],
) -> tuple[list[_Result], int]:
    """Try with half as much at once wherever any process ran out of memory; all do the same.

    Args:
        layout: How the model lies across processes.
        micro_batch: How many lines may go through at once at first.
        attempt: What takes them; speaks with no other process where the model isn't split.
        most: How many do go through at once where so many may.

    Returns:
        What each process found, and the size that it was found with.

    Raises:
        OutOfMemory: not even one line fits.
        BrokenOff: the model is split, and the others wait in the middle of a layer.
    """
    if layout.is_split:
        with breaking_off(most(micro_batch)):
            return layout.team.gathered(attempt(micro_batch)), micro_batch
    while True:
        found, short = None, ""
        try:
            found = attempt(micro_batch)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            short = str(error).strip().splitlines()[0] if str(error).strip() else "no memory"
        told = layout.team.gathered((found, short))
        if not any(short for _, short in told):
            return [result for result, _ in told if result is not None], micro_batch
        layout.forget()
        give_memory_back()
        tried = most(micro_batch)
        if tried == 1:
            raise OutOfMemory(next(short for _, short in told if short))
        micro_batch = tried // 2


def share_out(examples: Sequence[Item], count: int) -> list[list[Item]]:
    """A step's examples for each process, so that their tokens come out as equal as may be.

    The longest go first, each to who has least. The order within a share is the step's own.
    """
    shares: list[list[int]] = [[] for _ in range(count)]
    tokens = [0] * count
    heavy = [sum(sequence.length for sequence in example.sequences) for example in examples]
    for place in sorted(range(len(examples)), key=lambda place: -heavy[place]):
        least = tokens.index(min(tokens))
        shares[least].append(place)
        tokens[least] += heavy[place]
    return [[examples[place] for place in sorted(share)] for share in shares]


def _add_up(
    layout: Layout,
    scorer: Scorer,
    objective: Objective[Any],
    examples: Sequence[Item],
    micro_batch: int,
    weight: int,
) -> _Sums:
    """Forward and backward over this process's share; what it measured.

    Gradients of several processes are averaged in the end where a model is split, and summed where
    it isn't; here every loss is scaled so that both give the same.
    """
    team, scale = layout.team, 1.0
    shares = share_out(examples, team.count)
    parts = objective.parts(shares[team.index], micro_batch)
    real = len(parts)
    if layout.is_split:
        # All have to gather weights equally often: who has less to do repeats a line for nothing.
        rounds = max(len(objective.parts(share, micro_batch)) for share in shares)
        parts += [[examples[0]]] * (rounds - real)
        scale = float(team.count)
    sums = _Sums()
    with layout.adding_up(scorer):
        for place, part in enumerate(parts):
            measured = objective.measure(scorer, part)
            loss, counts = measured.loss / weight, place < real
            layout.backward(loss * (scale if counts else 0.0), last=place == len(parts) - 1)
            if counts:
                sums.loss += loss.item()
                for name, value in measured.sums.items():
                    sums.others[name] = sums.others.get(name, 0.0) + value
    return sums


def _seed(seed: int, index: int) -> None:
    """Dropout depends on the step and the process alone, whatever ran before it."""
    import torch

    torch.manual_seed(seed * 1_000_003 + index)


def _blame(
    layout: Layout, scorer: Scorer, objective: Objective[Any], examples: Sequence[Item]
) -> str:
    """From which lines of a step it comes that its loss or gradient is no number."""
    lines = sorted(_lines_without_loss(scorer, objective, examples))
    if lines:
        return f"which comes from the loss of lines {_named(lines)}"
    if not layout.is_split:
        lines = sorted(_lines_without_gradient(layout, scorer, objective, examples))
    if lines:
        return f"which comes from the gradient of lines {_named(lines)}"
    return f"on the examples of lines {_named([example.line for example in examples])}"


def _named(lines: Sequence[int]) -> str:
    more = f" and {len(lines) - _NAMED} more" if len(lines) > _NAMED else ""
    return ", ".join(map(str, lines[:_NAMED])) + more


def _lines_without_loss(
    scorer: Scorer, objective: Objective[Any], examples: Sequence[Item]
) -> list[int]:
    """Examples whose loss alone is no number; every process looks at all of them."""
    import torch

    with torch.no_grad():
        return [
            example.line
            for example in examples
            if not math.isfinite(objective.measure(scorer, [example]).loss.item())
        ]


def _lines_without_gradient(
    layout: Layout, scorer: Scorer, objective: Objective[Any], examples: Sequence[Item]
) -> list[int]:
    """Examples whose loss is a number and whose gradient isn't."""
    lines = []
    with layout.adding_up(scorer):
        for example in examples:
            layout.backward(objective.measure(scorer, [example]).loss, last=False)
            if not all(_is_finite(weight.grad) for weight in scorer.parameters()):
                lines.append(example.line)
            layout.forget()
    return lines


def _is_finite(gradient: "torch.Tensor | None") -> bool:
    return gradient is None or bool(gradient.isfinite().all())
