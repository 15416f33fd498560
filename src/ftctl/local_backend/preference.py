"""The loss of DPO: prefer the one answer, measured against the model without its adapter.

Source: Rafailov et al. 2023, "Direct Preference Optimization", equation 7.
"""

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from torch import Tensor


class Preference(NamedTuple):
    """What a batch of pairs shows.

    Attributes:
        loss: Summed over the pairs, in nats.
        margins: By how much the preferred answer's reward is the larger, for each pair: [N].
    """

    loss: "Tensor"
    margins: "Tensor"


def preference_loss(policy: "Tensor", reference: "Tensor", beta: float) -> Preference:
    """DPO's loss over pairs.

    Args:
        policy: Log-probabilities of the answers by the model that is trained: [N, 2], the
            preferred one first.
        reference: The same by the model without its adapter: [N, 2].
        beta: How closely it keeps to the reference.
    """
    from torch.nn import functional

    rewards = beta * (policy - reference)  # [N, 2]
    margins = rewards[:, 0] - rewards[:, 1]  # [N]
    return Preference(-functional.logsigmoid(margins).sum(), margins.detach())
