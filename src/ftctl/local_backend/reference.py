"""What the base model thinks of the answers: computed once, kept in the run folder.

A batch's row is written as soon as it is known, so that whoever is killed goes on behind it; and
the numbers are read back as they were written, so that a resumed run is the one it was.
"""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from ftctl.local_backend.data import sequences_of
from ftctl.local_backend.losses import summed_by_row
from ftctl.local_backend.memory import breaking_off
from ftctl.local_backend.model import as_base
from ftctl.local_backend.pairs import Pair
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.sharding import model_of

if TYPE_CHECKING:
    from torch import Tensor

Scorer = Any  # as `make_scorer` builds it


class Reference:
    """Log-probabilities of a dataset's answers under the base model.

    Args:
        pairs: Whose answers.
        sha256: The dataset's hash: what was computed of another one doesn't count.
        run: Where they are kept.
    """

    def __init__(self, pairs: Sequence[Pair], sha256: str, run: RunFolder) -> None:
        self._pairs, self._sha256, self._run = pairs, sha256, run
        self._known: dict[int, list[float]] = {}
        for row in run.rows(run.reference_file):
            if row.get("data_sha256") == sha256:
                self._take(row)

    def complete(self, scorer: Scorer, plan: Plan, pad_id: int, prefix: int) -> Iterator[int]:
        """Compute what isn't known yet, telling how many pairs are known after each batch.

        Args:
            scorer: Of a model whose adapter is switched off meanwhile; one without an adapter must
                be the base still, which it is before a run's first step and before a checkpoint
                is loaded.
            plan: The run's choices; its micro-batch and its way to compute a loss hold here, too.
            pad_id: The padding token.
            prefix: How many first tokens all sequences share.
        """
        import torch

        longest_first = sorted(self._pairs, key=lambda pair: -pair.length)
        for part in plan.micro_batches(longest_first, prefix):
            if all(pair.line in self._known for pair in part):
                continue
            batch = plan.batch_of(sequences_of(part), pad_id, prefix)
            was_training = scorer.training
            with breaking_off(len(part)), torch.no_grad(), as_base(model_of(scorer)):
                found = -summed_by_row(scorer.eval()(batch), batch)  # [2N]
            scorer.train(was_training)
            row = {
                "data_sha256": self._sha256,
                "lines": [pair.line for pair in part],
                "logps": found.reshape(-1, 2).tolist(),
            }
            self._run.append(self._run.reference_file, row)
            self._take(row)
            yield len(self._known)

    def of(self, pairs: Sequence[Pair], device: str) -> "Tensor":
        """The log-probabilities of both answers of each pair: [N, 2]."""
        import torch

        return torch.tensor([self._known[pair.line] for pair in pairs], device=device)

    def _take(self, row: dict[str, Any]) -> None:
        """Remember a row; one that a hand has broken is computed again."""
        lines, logps = row.get("lines"), row.get("logps")
        if isinstance(lines, list) and isinstance(logps, list) and len(lines) == len(logps):
            self._known |= {
                line: both
                for line, both in zip(lines, logps, strict=True)
                if isinstance(line, int) and _is_pair_of_numbers(both)
            }


def _is_pair_of_numbers(value: object) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(isinstance(n, float) for n in value)
