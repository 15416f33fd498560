"""Score checkpoints on validation examples by what they answer or prefer, not by loss alone."""

from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from itertools import takewhile
from typing import Any

from ftctl.datasets.render import Tokenizer, prompt_text
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.data import Example, Row
from ftctl.local_backend.generate import generate, stop_ids_of
from ftctl.local_backend.model import merged
from ftctl.local_backend.objectives import Objective
from ftctl.local_backend.run_folder import RunFolder
from ftctl.local_backend.sharding import Layout, model_of
from ftctl.local_backend.shards import is_split
from ftctl.local_backend.step import until_it_fits

Scorer = Any  # as `make_scorer` builds it
_MOST_EXAMPLES = 48
# Answers longer than this are hardly ever matched word for word: only their loss is taken.
_LONGEST_ANSWER_TOKENS = 64


def held_out(examples: Sequence[Row]) -> list[Row]:
    """The slice of a validation file that is scored: its first lines, by length."""
    return sorted(examples[:_MOST_EXAMPLES], key=lambda example: example.length)


@dataclass(frozen=True, slots=True)
class Score:
    """What a checkpoint is worth.

    Attributes:
        share: Of the examples, how many it answers, or prefers, as it should; None is not asked.
        says: What that share is of.
        loss: Of the examples; decides between equal shares, and alone where there is none.
        numbers: All that was measured, for the metrics.
    """

    share: float | None
    says: str
    loss: float
    numbers: dict[str, float | None]


class Validation:
    """Scores checkpoints; the best step so far is the one to keep.

    Args:
        judge: Scores a model, which is set to answer.
        count: How many examples that takes.
    """

    def __init__(self, judge: Callable[[Scorer, int], Score], count: int) -> None:
        self._judge, self._count = judge, count

    def score(self, layout: Layout, scorer: Scorer, at: Progress, run: RunFolder) -> Progress:
        """Score the model, write it down, and say whether this step is the best.

        Ties go to the lower loss: for free text, where nothing matches exactly, loss decides
        alone.

        Raises:
            OutOfMemory: not even one example fits.
            BrokenOff: memory ran out, and the model is split.
        """
        scorer.eval()
        attempt = partial(self._scored, scorer)
        (found, *_), _ = until_it_fits(layout, self._count, attempt, lambda size: size)
        scorer.train()
        row = {"kind": "validation", "step": at.step, "loss": found.loss} | found.numbers
        run.append(run.metrics_file, row | {"examples": self._count})
        said = f"validation at step {at.step}: loss {found.loss:.3f}"
        if found.share is not None:
            said += f", {found.share:.1%} of {self._count} {found.says}"
        run.append(run.events_file, {"level": "info", "message": said})
        result = (found.share or 0.0, -found.loss)
        if at.best_score is None or result > at.best_score:
            return replace(at, best_step=at.step, best_score=result)
        return at

    def _scored(self, scorer: Scorer, most: int) -> Score:
        """Score with so many at once; merged, as long as there is memory for all of them."""
        import torch

        model = model_of(scorer)
        apart = is_split(model) or most < self._count
        with torch.no_grad(), nullcontext() if apart else merged(model):
            return self._judge(scorer, most)


def mean_of(
    scorer: Scorer, objective: Objective[Row], items: Sequence[Row], most: int
) -> tuple[float, dict[str, float]]:
    """Loss and the other numbers of an objective over some lines, of at most so many at once."""
    total, sums = 0.0, dict[str, float]()
    for chosen in objective.parts(items, most):
        part = objective.measure(scorer, chosen)
        total += part.loss.item()
        sums = {name: sums.get(name, 0.0) + value for name, value in part.sums.items()}
    weight = objective.weight(items)
    return total / weight, {name: value / weight for name, value in sums.items()}


class Preferences:
    """Scores by how often the right answer's reward is ahead.

    Args:
        pairs: Of the validation file.
        objective: DPO's.
    """

    def __init__(self, pairs: Sequence[Row], objective: Objective[Row]) -> None:
        self._pairs, self._objective = pairs, objective

    def __call__(self, scorer: Scorer, most: int) -> Score:
        """The share of right preferences, the margin and the loss."""
        loss, means = mean_of(scorer, self._objective, self._pairs, most)
        return Score(means["reward_accuracy"], "preferences right", loss, {**means})


class Answers:
    """Scores by how many answers are the expected ones, word for word.

    Args:
        examples: Of the validation file.
        objective: SFT's.
        tokenizer: The model's.
    """

    def __init__(
        self,
        examples: Sequence[Example],
        objective: Objective[Example],
        tokenizer: Tokenizer,
    ) -> None:
        self._examples, self._objective = examples, objective
        self._tokenizer = tokenizer

    def __call__(self, scorer: Scorer, most: int) -> Score:
        """The share of exact answers, and the loss."""
        loss, _ = mean_of(scorer, self._objective, self._examples, most)
        matches = self._exact_match(scorer, most)
        return Score(matches, "answers exact", loss, {"exact_match": matches})

    def _exact_match(self, scorer: Scorer, most: int) -> float | None:
        stops = stop_ids_of(model_of(scorer), self._tokenizer)
        pairs = [self._prompt_and_answer(example, stops) for example in self._examples]
        longest = max(len(answer) for _, answer in pairs)
        if longest > _LONGEST_ANSWER_TOKENS:
            return None
        answers = list[list[int]]()
        for start in range(0, len(pairs), most):
            answers += scorer(
                partial(
                    generate,
                    prompts=[prompt for prompt, _ in pairs[start : start + most]],
                    stop_ids=stops,
                    max_new_tokens=longest + 2,
                )
            )
        right = [
            self._tokenizer.decode(found).strip() == self._tokenizer.decode(wanted).strip()
            for found, (_, wanted) in zip(answers, pairs, strict=True)
        ]
        return sum(right) / len(right)

    def _prompt_and_answer(
        self, example: Example, stops: frozenset[int]
    ) -> tuple[list[int], list[int]]:
        """The conversation up to its last assistant message, and that message as it is trained."""
        last = max(i for i, m in enumerate(example.messages) if m["role"] == "assistant")
        text = prompt_text(self._tokenizer, example.messages[:last], example.tools)
        prompt: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        answer = takewhile(lambda token: token not in stops, example.rendered.ids[len(prompt) :])
        return prompt, list(answer)
