"""Score checkpoints on validation examples by what they answer, not by their loss alone."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from ftctl.datasets.render import Tokenizer, prompt_text
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.data import Example, collate, shared_prefix
from ftctl.local_backend.generate import generate
from ftctl.local_backend.model import merged
from ftctl.local_backend.plan import Plan
from ftctl.local_backend.run_folder import RunFolder

Model = Any  # a PeftModel
_MOST_EXAMPLES = 48
# Answers longer than this are hardly ever matched word for word: only their loss is taken.
_LONGEST_ANSWER_TOKENS = 64


class Validation:
    """A fixed slice of the validation examples; the best step so far is the one to keep.

    Args:
        examples: The validation file, in its order; the first ones are used.
        tokenizer: The model's.
        pad_id: The padding token.
        plan: The run's choices.
    """

    def __init__(
        self, examples: Sequence[Example], tokenizer: Tokenizer, pad_id: int, plan: Plan
    ) -> None:
        self._examples = sorted(examples[:_MOST_EXAMPLES], key=lambda example: example.length)
        self._tokenizer, self._pad_id, self._plan = tokenizer, pad_id, plan
        self._prefix = shared_prefix(self._examples) if plan.loss == "shared prefix" else 0

    def score(self, model: Model, at: Progress, run: RunFolder) -> Progress:
        """Measure loss and exact matches, write them down, and say whether this step is best.

        Ties in exact matches go to the lower loss: for free text, where nothing matches exactly,
        loss decides alone.
        """
        import torch

        model.eval()
        with torch.no_grad(), merged(model):
            loss = self._loss(model)
            matches = self._exact_match(model)
        model.train()
        row = {"kind": "validation", "step": at.step, "loss": loss, "exact_match": matches}
        run.append(run.metrics_file, row | {"examples": len(self._examples)})
        said = f"validation at step {at.step}: loss {loss:.3f}"
        if matches is not None:
            said += f", {matches:.1%} of {len(self._examples)} answers exact"
        run.append(run.events_file, {"level": "info", "message": said})
        result = (matches or 0.0, -loss)
        if at.best_score is None or result > at.best_score:
            return replace(at, best_step=at.step, best_score=result)
        return at

    def _loss(self, model: Model) -> float:
        size, total, trained = self._plan.micro_batch_size, 0.0, 0
        for start in range(0, len(self._examples), size):
            part = self._examples[start : start + size]
            batch = collate(part, self._pad_id, self._prefix, self._plan.device)
            total += self._plan.loss_function()(model, batch).item()
            trained += sum(example.rendered.trained_tokens for example in part)
        return total / trained

    def _exact_match(self, model: Model) -> float | None:
        pairs = [self._prompt_and_answer(example) for example in self._examples]
        longest = max(len(self._ids(answer)) for _, answer in pairs)
        if longest > _LONGEST_ANSWER_TOKENS:
            return None
        stop = self._tokenizer.eos_token_id
        answers = generate(
            model,
            [self._ids(prompt) for prompt, _ in pairs],
            stop_ids=frozenset() if stop is None else frozenset({stop}),
            max_new_tokens=longest + 2,
        )
        told = [self._tokenizer.decode(ids, skip_special_tokens=True) for ids in answers]
        right = [a.strip() == b.strip() for a, (_, b) in zip(told, pairs, strict=True)]
        return sum(right) / len(right)

    def _prompt_and_answer(self, example: Example) -> tuple[str, str]:
        """The conversation up to its last assistant message, and that message."""
        last = max(i for i, m in enumerate(example.messages) if m["role"] == "assistant")
        prompt = prompt_text(self._tokenizer, example.messages[:last], example.tools)
        return prompt, str(example.messages[last].get("content") or "")

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids
