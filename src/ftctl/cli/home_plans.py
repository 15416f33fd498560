"""How the planner's answer is shown: verdict, terms, what would fit, what to choose."""

from typing import TYPE_CHECKING

from ftctl.cli.render import Output

if TYPE_CHECKING:
    from ftctl.estimation.home_plan import HomePlan

_NAMES = {"lora": "LoRA", "qlora": "QLoRA", "full": "full"}


def show_home_plan(out: Output, plan: "HomePlan") -> None:
    """Four short tables, the verdict first and the choice last."""
    from ftctl.estimation.adam_table import size_text

    out.plain(f"on {plan.cards}: {plan.verdict}; {plan.says}")
    out.table(
        ("memory of each card", "GiB", "of"),
        [(term.name, f"{term.gib:.2f}", term.says) for term in plan.terms],
    )
    out.table(
        ("full training by accelerate", "model", "gradients", "backward", "optimiser", "highest"),
        [
            (
                row.dtype,
                *(
                    size_text(size)
                    for size in (
                        row.model,
                        row.gradients,
                        row.backward_pass,
                        row.optimiser_step,
                        row.highest,
                    )
                ),
            )
            for row in plan.adam
        ],
    )
    largest = {found.tuning: found.model for found in plan.largest_models}
    out.table(
        ("here", "", "micro-batch, tokens", "longest example, tokens", "largest model"),
        [
            (
                _NAMES[reach.tuning],
                f"{reach.verdict}: {reach.says}",
                f"{reach.micro_batch_tokens:,}",
                f"{reach.sequence_tokens:,}",
                largest.get(reach.tuning, "none"),
            )
            for reach in plan.reach
        ],
    )
    flags = plan.recommended.flags() if plan.recommended else ""
    out.plain(f"choose: {plan.choose}{f' ({flags})' if flags else ''}")
