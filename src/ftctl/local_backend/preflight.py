"""Checks that take seconds, made before the first step: each would cost a run if it came later."""

from collections.abc import Sequence
from typing import Any

from ftctl.datasets.render import Tokenizer, prompt_text
from ftctl.errors import DataInvalid, JobFailed
from ftctl.local_backend.data import Example, Item, sequences_of
from ftctl.local_backend.objectives import Objective
from ftctl.local_backend.sharding import Layout
from ftctl.local_backend.shards import whole

Scorer = Any  # as `make_scorer` builds it
_COMPARED = 16  # examples whose text is compared with what serving would ask


def check_examples(
    examples: Sequence[Item], tokenizer: Tokenizer, stop_ids: frozenset[int]
) -> list[str]:
    """Look at the rendered examples: would the model stop, and be asked as it was trained?

    Args:
        examples: What is trained on.
        tokenizer: The model's.
        stop_ids: Tokens that end an answer when the model is served.

    Returns:
        What was found, in words.

    Raises:
        DataInvalid: no answer ends in a stop token, or a prompt is served in other tokens than
            it was trained in.
    """
    sequences = sequences_of(examples)
    stops = sum(_last_trained(sequence) in stop_ids for sequence in sequences)
    if stop_ids and not stops:
        example = sequences[0]
        last = tokenizer.decode([_last_trained(example)])
        raise DataInvalid(
            f"line {example.line}: the last token that is trained on is {last!r}, and no answer "
            "of the file ends in one that stops the model: it would never learn to stop",
            hint="use a chat template that closes the assistant's message with the stop token",
        )
    compared = sorted(sequences, key=lambda sequence: sequence.length)[:: _stride(len(sequences))]
    for sequence in compared:
        _require_same_prompt(sequence, tokenizer)
    return [
        f"{stops} of {len(sequences)} answers end in a stop token",
        f"{len(compared)} prompts are served in the tokens they are trained in",
    ]


def heaviest_of(examples: Sequence[Item], count: int) -> list[Item]:
    """The longest of some examples."""
    return sorted(examples, key=lambda example: -example.length)[:count]


def check_step(
    layout: Layout,
    scorer: Scorer,
    objective: Objective[Any],
    examples: Sequence[Item],
    micro_batch: int,
) -> str:
    """Take the heaviest micro-batch forward and backward, and see that a gradient comes of it.

    What doesn't fit fails now, not in hour three. Random generators are put back, and gradients
    taken away: the run is the one that it would have been. Every process does the same.

    Args:
        layout: How the model lies across processes.
        scorer: The model.
        objective: What its loss is.
        examples: The longest ones.
        micro_batch: How many may go through at once.

    Returns:
        What was found, in words.

    Raises:
        JobFailed: the gradient is zero or no number: nothing would be learned.
    """
    import torch

    heaviest = objective.parts(examples, micro_batch)[0]
    chance = torch.get_rng_state()
    scorer.train()
    with layout.adding_up(scorer):
        loss = objective.measure(scorer, heaviest).loss / objective.weight(heaviest)
        layout.backward(loss, last=True)
    gradients = [w.grad for w in scorer.parameters() if w.requires_grad and w.grad is not None]
    norms = [whole(gradient.float().norm()) for gradient in gradients]
    norm = float(torch.stack(norms).norm()) if norms else 0.0
    layout.forget()
    torch.set_rng_state(chance)
    lines = ", ".join(str(example.line) for example in heaviest[:10])
    if not norm > 0 or norm == float("inf"):  # not a number, too
        raise JobFailed(
            f"the gradient of the longest examples is {norm:g} (loss {loss.item():.3f}, lines "
            f"{lines}): nothing would be learned",
            hint="look at these lines with `ftctl data show`; or the base model is damaged",
        )
    return (
        f"the heaviest micro-batch fits ({len(heaviest)} examples of up to {heaviest[0].length} "
        f"tokens, gradient norm {norm:.3g})"
    )


def _stride(count: int) -> int:
    return max(1, count // _COMPARED)


def _last_trained(example: Example) -> int:
    mask = example.rendered.mask
    return example.rendered.ids[len(mask) - 1 - mask[::-1].index(1)]


def _require_same_prompt(example: Example, tokenizer: Tokenizer) -> None:
    """What serving would send up to the last answer has to be what training began with."""
    last = max(i for i, m in enumerate(example.messages) if m["role"] == "assistant")
    text = prompt_text(tokenizer, example.messages[:last], example.tools)
    served: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
    trained = example.rendered.ids[: len(served)]
    if served != trained:
        pairs = enumerate(zip(served, trained, strict=False))
        at = next((i for i, (a, b) in pairs if a != b), len(trained))
        asked, learned = (tokenizer.decode(ids[at : at + 8]) for ids in (served, trained))
        raise DataInvalid(
            f"line {example.line}: served, the prompt has {asked!r} at token {at}, where training "
            f"has {learned!r}: the model would be asked in other tokens than it learned",
            hint="the tokenizer joins tokens across messages; use a template with special tokens "
            "between them",
        )
