"""What a step is taken on: the loss of a method over some lines, and what it is divided by."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from ftctl.local_backend.data import Example, Item, sequences_of
from ftctl.local_backend.losses import summed_by_row
from ftctl.local_backend.pairs import Pair
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.preference import preference_loss
from ftctl.local_backend.reference import Reference

if TYPE_CHECKING:
    from torch import Tensor

Scorer = Any  # a batch in, the loss of each trained token out; as `make_scorer` builds it
_Seen = TypeVar("_Seen", bound=Item)


@dataclass(frozen=True, slots=True)
class Measured:
    """A micro-batch's loss, summed, with gradients; and what else was summed over it."""

    loss: "Tensor"
    sums: dict[str, float] = field(default_factory=dict)


class Objective(Protocol[_Seen]):
    """How a method sees a micro-batch."""

    def weight(self, items: Sequence[_Seen]) -> int:
        """What sums over these lines are divided by, so that no micro-batch weighs too much."""

    def parts(self, items: Sequence[_Seen], most: int | None = None) -> list[list[_Seen]]:
        """The micro-batches of some lines, the heaviest first, of at most so many lines each."""

    def measure(self, scorer: Scorer, items: Sequence[_Seen]) -> Measured:
        """The loss and the rest, summed over the lines."""


class Imitation:
    """SFT: the loss of every trained token, in nats.

    Args:
        plan: The run's choices.
        pad_id: The padding token.
        prefix: How many first tokens all examples share.
    """

    def __init__(self, plan: Plan, pad_id: int, prefix: int) -> None:
        self._plan, self._pad_id, self._prefix = plan, pad_id, prefix

    def weight(self, items: Sequence[Example]) -> int:
        """The trained tokens."""
        return trained_tokens(items)

    def parts(self, items: Sequence[Example], most: int | None = None) -> list[list[Example]]:
        """The micro-batches, the heaviest first."""
        return self._plan.micro_batches(items, self._prefix, most)

    def measure(self, scorer: Scorer, items: Sequence[Example]) -> Measured:
        """The loss summed over the trained tokens."""
        return Measured(scorer(self._plan.batch_of(items, self._pad_id, self._prefix)).sum())


class Preference:
    """DPO: the loss of every pair, with the margin and how often the right answer is ahead.

    Args:
        plan: The run's choices.
        pad_id: The padding token.
        prefix: How many first tokens all sequences share.
        reference: What the base model thinks of these pairs.
    """

    def __init__(self, plan: Plan, pad_id: int, prefix: int, reference: Reference) -> None:
        self._plan, self._pad_id, self._prefix = plan, pad_id, prefix
        self._reference = reference

    def weight(self, items: Sequence[Pair]) -> int:
        """The pairs."""
        return len(items)

    def parts(self, items: Sequence[Pair], most: int | None = None) -> list[list[Pair]]:
        """The micro-batches, the heaviest first."""
        return self._plan.micro_batches(items, self._prefix, most)

    def measure(self, scorer: Scorer, items: Sequence[Pair]) -> Measured:
        """The loss and the rewards, summed over the pairs."""
        batch = self._plan.batch_of(sequences_of(items), self._pad_id, self._prefix)
        policy = -summed_by_row(scorer(batch), batch)  # [2N]
        base = self._reference.of(items, self._plan.device)
        assert self._plan.beta is not None  # noqa: S101 - every plan of dpo has one
        loss, margins = preference_loss(policy.reshape(-1, 2), base, self._plan.beta)
        ahead = (margins > 0).sum().item()
        sums = {"reward_margin": margins.sum().item(), "reward_accuracy": float(ahead)}
        return Measured(loss, sums)


def trained_tokens(items: Sequence[Item]) -> int:
    """The tokens of some lines that loss counts on."""
    return sum(item.trained_tokens for item in items)
