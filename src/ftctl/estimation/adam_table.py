"""What full training with Adam takes by the well-known rule of thumb, as `accelerate` tells it.

Model, gradients and optimiser alone: no activations, no adapter, no context. It stands beside our
own figures because it is what people have seen elsewhere.
"""

from typing import Literal

from pydantic import BaseModel, ConfigDict

Dtype = Literal["float32", "float16", "bfloat16"]

# In multiples of the weights in fp32: model, gradients, backward pass, optimiser step. In half
# precision the model stays there in fp32, and gradients take half. Source: `estimate-memory` of
# Hugging Face's accelerate, its table for bert-base-cased.
_SHARES: dict[Dtype, tuple[float, float, float, float]] = {
    "float32": (1, 1, 2, 4),
    "float16": (1, 0.5, 1, 2),
    "bfloat16": (1, 0.5, 1, 2),
}


class AdamRow(BaseModel):
    """Bytes of each stage of full training in one number format."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    dtype: Dtype
    model: int
    gradients: int
    backward_pass: int
    optimiser_step: int

    @property
    def highest(self) -> int:
        """The largest of the stages."""
        return max(self.model, self.gradients, self.backward_pass, self.optimiser_step)


def adam_table(parameters: int) -> tuple[AdamRow, ...]:
    """A row for each number format."""
    rows = []
    for dtype, shares in _SHARES.items():
        model, gradients, backward, step = (int(share * 4 * parameters) for share in shares)
        rows.append(
            AdamRow(
                dtype=dtype,
                model=model,
                gradients=gradients,
                backward_pass=backward,
                optimiser_step=step,
            )
        )
    return tuple(rows)


def size_text(number: float) -> str:
    """Bytes as MiB with one digit, from 1,024 MiB on as GiB with two: `413.2 MiB`, `1.61 GiB`."""
    mib = number / 2**20
    return f"{mib:.1f} MiB" if mib < 1024 else f"{mib / 1024:,.2f} GiB"
