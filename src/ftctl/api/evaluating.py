"""`evaluate`: models scored side by side on held-out examples, with paired intervals."""

import contextlib
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

from ftctl.api.model_handle import TunedModelHandle, find_model
from ftctl.config import Settings, load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.errors import Unsupported, UsageError
from ftctl.evaluation.baselines import few_shot, linear_classifier, most_frequent
from ftctl.evaluation.examples import ExampleFile, load_examples
from ftctl.evaluation.graders import get_grader
from ftctl.evaluation.results import Evaluation, Report, compare, report
from ftctl.evaluation.runner import Conversation, Target
from ftctl.evaluation.runner import evaluate as run_target

OnProgress = Callable[[str, int, int], None]
_BATCH = 64


def evaluate(
    targets: Sequence[str],
    *,
    data: Path | str,
    grader: str = "exact",
    against: str | None = None,
    baseline: bool = False,
    train: Path | str | None = None,
    few_shot_examples: int = 0,
    max_new_tokens: int | None = None,
    out_dir: Path | str | None = None,
    on_progress: OnProgress | None = None,
    settings: Settings | None = None,
) -> Report:
    """Score models on held-out examples and compare each with a reference.

    Args:
        targets: Jobs, folders, hub ids or base models' names.
        data: Held-out examples; the last assistant message is the right answer.
        grader: `exact`, `normalised`, `label` or `json-fields`.
        against: The reference, scored too; each target is compared with it, pair by pair.
        baseline: Also score what needs no language model, fitted on `train`.
        train: Training examples, for baselines and few-shot prompts; never the held-out ones.
        few_shot_examples: Also score the reference (or first target) with this many training
            examples in its prompt.
        max_new_tokens: Longest answer; the longest right answer and some when not given.
        out_dir: Where answers are kept; under the ftctl home when not given.
        on_progress: Told (name, answered, all).

    Raises:
        UsageError: an unknown target or grader, or an unreadable file.
        DataInvalid: a held-out example can't be graded.
    """
    settings = settings or load_settings()
    held_out = load_examples(Path(data))
    fitted_on = None if train is None else load_examples(Path(train))
    if (baseline or few_shot_examples) and fitted_on is None:
        raise UsageError(
            "baselines and few-shot prompts need training examples", hint="--train FILE"
        )
    folder = Path(out_dir) if out_dir else settings.home / "evals" / held_out.sha256[:12]
    score = _scorer(held_out, grader, folder, on_progress)
    names = list(dict.fromkeys([*([against] if against else []), *targets]))
    models = [_target(name, find_model(name, settings), held_out, max_new_tokens) for name in names]
    scored = {target.name: score(target) for target in models}
    beside: list[Evaluation] = []
    if few_shot_examples and fitted_on is not None:
        beside.append(score(few_shot(models[0], fitted_on, few_shot_examples)))
    if baseline and fitted_on is not None:
        beside += _without_a_model(fitted_on, score)
    compared = [
        compare(scored[name], scored[against]) for name in targets if against and name != against
    ]
    return report([scored[name] for name in names], beside, compared)


def _scorer(
    held_out: ExampleFile, grader: str, folder: Path, on_progress: OnProgress | None
) -> Callable[[Target], Evaluation]:
    chosen = get_grader(grader)

    def score(target: Target) -> Evaluation:
        def tell(done: int, total: int) -> None:
            if on_progress is not None:
                on_progress(target.name, done, total)

        return run_target(
            target, held_out, chosen, out_dir=folder, batch_size=_BATCH, on_progress=tell
        )

    return score


def _without_a_model(train: ExampleFile, score: Callable[[Target], Evaluation]) -> list[Evaluation]:
    found = [score(most_frequent(train))]
    with contextlib.suppress(Unsupported):  # answers that form no classes: it says nothing here
        found.append(score(linear_classifier(train)))
    return found


def _target(
    name: str, handle: TunedModelHandle, held_out: ExampleFile, max_new_tokens: int | None
) -> Target:
    """The model as something to ask, loaded at the first question that isn't answered yet."""
    where = handle.where
    weights = where.base_model
    if where.folder is not None:
        weights += " " + file_sha256(where.folder / "adapter_model.safetensors")
    longest = max(held_out.examples, key=lambda example: len(example.reference)).reference
    asked = hashlib.sha256(longest.encode()).hexdigest()[:12]
    limit = str(max_new_tokens) if max_new_tokens else f"longest answer {asked}"

    def answer(conversations: Sequence[Conversation]) -> Sequence[str]:
        model = handle.load()
        tokens = max_new_tokens or model.count_tokens(longest) + 8
        return model.answer(conversations, max_new_tokens=tokens)

    return Target(name=name, fingerprint=f"local/1 greedy {weights} {limit}", answer=answer)
