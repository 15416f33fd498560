"""The recipe: set up, loop, save. LoRA SFT and DPO on accelerate, to be read from the top."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from ftctl.datasets.digest import file_sha256
from ftctl.datasets.render import Tokenizer, load_tokenizer
from ftctl.errors import DataInvalid, StoreError, UsageError
from ftctl.local_backend import checkpoint
from ftctl.local_backend.base_models import find_base
from ftctl.local_backend.checkpoint import Progress
from ftctl.local_backend.data import (
    Example,
    Item,
    Loaded,
    load_examples,
    longest_taken,
    sequences_of,
    shared_prefix,
)
from ftctl.local_backend.generate import stop_ids_of
from ftctl.local_backend.loop import Interrupted, Loop, Watch, run_steps
from ftctl.local_backend.model import Trainable, load_tuned_weights, weights_file
from ftctl.local_backend.objectives import Imitation, Objective, Preference
from ftctl.local_backend.optimizer import make_optimizer
from ftctl.local_backend.output import write_output
from ftctl.local_backend.pairs import load_pairs
from ftctl.local_backend.plan import Plan, make_plan
from ftctl.local_backend.preflight import check_examples, check_step, heaviest_of
from ftctl.local_backend.processes import join, require_processes
from ftctl.local_backend.reference import Reference
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig
from ftctl.local_backend.run_options import RunOptions, options_of
from ftctl.local_backend.sharding import layout_of
from ftctl.local_backend.step import until_it_fits
from ftctl.local_backend.trackers import Trackers, trackers_of
from ftctl.local_backend.validation import Answers, Preferences, Validation, held_out

Scorer = Any  # as `make_scorer` builds it, around a PeftModel


def train(config: WorkerConfig, run: RunFolder, watch: Watch) -> Progress:
    """Run one attempt to its end: from the newest checkpoint to the finished adapter.

    Raises:
        Interrupted: a stop was asked for, and a checkpoint written.
        JobFailed: the loss is no longer a number, or nothing would be learned.
        DataInvalid: a line is no example, none can be trained on, or too many are too long.
        UsageError: the model can't be loaded.
        StoreError: a data file isn't the one that was submitted.
    """
    opened = _open(config, run, watch)
    plan, options, examples = opened.plan, opened.options, opened.examples
    made = _make(opened, run, watch)
    at = checkpoint.restore(run, made.model, made.optimizer)
    checkpoint.drop_rows_after(run, at.step)
    if at.step:
        _tell(run, f"goes on from step {at.step} of {plan.total_steps}")
        _tell_of_processes(opened, at.processes, run)
    else:
        made = _preflight(opened, made, run, watch)
    names = trackers_of(options.track) if run.writes else ()
    told = plan.model_dump(exclude_none=True) | {
        "model": Path(config.model).name,  # where it lies here is nobody's business
        "method": config.method,
    }
    trackers = Trackers(run, names, config.name, told, lambda said: _tell(run, said))

    def report(*said: str, **fields: object) -> None:
        trackers.follow()
        watch.report(*said, **fields)

    at = run_steps(made, examples, at, run, replace(watch, report=report))
    trackers.follow()
    trackers.close()
    if run.writes:
        _save(opened, made, at, run, watch)
    return at


@dataclass(frozen=True)
class _Opened:
    """What a run begins with: its orders, what they name, and the plan."""

    config: WorkerConfig
    base: Path | str
    tokenizer: Tokenizer
    pad_id: int
    options: RunOptions
    examples: Sequence[Item]
    plan: Plan

    @property
    def trainable(self) -> Trainable:
        """What of the base is trained."""
        return Trainable(self.config.tuning, self.config.hyperparameters, self.options)


def _open(config: WorkerConfig, run: RunFolder, watch: Watch) -> _Opened:
    require_unchanged(config.data, config.data_sha256)
    if config.validation is not None and config.validation_sha256 is not None:
        require_unchanged(config.validation, config.validation_sha256)
    watch.report("loading", f"loading {config.model}")
    base = find_base(config.model, config.home)
    tokenizer = load_tokenizer(base)
    # It fills up rows: never trained on, never seen.
    pad_id = tokenizer.pad_token_id if tokenizer.pad_token_id is not None else 0
    options = options_of(config.method, config.options)
    require_processes(options, config.tuning, resumed=bool(checkpoint.whole_steps(run)))
    loaded = load_training(config, tokenizer, options, run)
    settings, examples = config.hyperparameters, loaded.examples
    plan = _plan(
        run, watch, lambda: make_plan(base, settings, examples, pad_id, options, config.tuning)
    )
    _tell(run, f"{plan.total_steps} steps ({plan.steps_reason}), {len(examples)} examples")
    return _Opened(config, base, tokenizer, pad_id, options, examples, plan)


def _make(opened: _Opened, run: RunFolder, watch: Watch) -> Loop:
    """Model, optimiser, objective and validation, ready for the first step."""
    config, plan = opened.config, opened.plan
    team = join(run, opened.options.processes, plan.device)
    layout = layout_of(team, plan.device, opened.options, half=plan.dtype == "bf16")
    if team.count > 1:
        _tell(run, f"{team.count} processes, {opened.options.sharding}: they share every step")
    _seed_everything(plan.seed)
    model = opened.trainable.load(opened.base, plan.torch_dtype(), plan.device)
    make = partial(make_optimizer, weight_decay=plan.weight_decay)
    scorer, optimizer = layout.prepare(plan.scorer(model), make)
    setting = _Setting(config, run, watch, scorer, plan, opened.pad_id, opened.tokenizer)
    objective = setting.objective(opened.examples, config.data_sha256, plan.prefix_tokens)
    validation = setting.validation()
    return Loop(layout, scorer, model, optimizer, plan, objective, validation)


def _preflight(opened: _Opened, made: Loop, run: RunFolder, watch: Watch) -> Loop:
    """What would cost a run if it came to light later; with less at once where memory is short."""
    watch.report("loading", "checking examples, then the heaviest of them")
    plan, layout, objective = opened.plan, made.layout, made.objective
    stops = stop_ids_of(made.model, opened.tokenizer)
    found = check_examples(opened.examples, opened.tokenizer, stops)
    if layout.steps_alone:
        heaviest = heaviest_of(opened.examples, plan.batch_size)
        said, size = until_it_fits(
            layout,
            plan.micro_batch_size,
            lambda size: check_step(layout, made.scorer, objective, heaviest, size),
            lambda size: len(objective.parts(heaviest, size)[0]),
        )
        found.append(said[0])
        if size != plan.micro_batch_size:
            found.append(f"memory is short: {size} examples at once, as many to a step as before")
            plan = plan.model_copy(update={"micro_batch_size": size})
            run.write(run.plan_file, plan)
    _tell(run, f"checked: {'; '.join(found)}")
    return replace(made, plan=plan)


def _save(opened: _Opened, made: Loop, at: Progress, run: RunFolder, watch: Watch) -> None:
    config, plan = opened.config, opened.plan
    watch.report("saving", "writing what was tuned", step=at.step, total_steps=plan.total_steps)
    if plan.gives_up_at(at.step, at.best_step) and at.step < plan.total_steps:
        _tell(run, f"stopped at step {at.step}: no validation since step {at.best_step} was better")
    kept, model = at.best_step or at.step, made.model
    if made.layout.is_split:  # a part of it is here: put the kept weights on a whole one
        model = opened.trainable.load(opened.base, plan.torch_dtype(), "cpu")
    if made.layout.is_split or kept != at.step:
        load_tuned_weights(model, checkpoint.folder_of(run, kept) / weights_file(model))
    if kept != at.step:
        _tell(run, f"keeps step {kept}, the best on the validation data")
    asked = [_system_prompt(example.sequences[0]) for example in opened.examples]
    write_output(run, config, plan, at, model, opened.tokenizer, opened.base, system_prompts=asked)


def require_unchanged(file: Path, sha256: str) -> None:
    """Refuse data that aren't those that were submitted.

    Raises:
        StoreError: they were changed, or are gone.
    """
    try:
        found = file_sha256(file)
    except UsageError as error:
        raise StoreError(
            f"the job's data can't be read any more: {error.message}",
            hint="submit the job again with --new",
        ) from None
    if found != sha256:
        raise StoreError(
            f"{file}: the data was changed after the job was submitted (its sha256 is {found}, "
            f"not {sha256})",
            hint="submit the job again with --new",
        )


@dataclass(frozen=True)
class _Setting:
    """What an objective is made of: the same for the training and the validation data."""

    config: WorkerConfig
    run: RunFolder
    watch: Watch
    scorer: Scorer
    plan: Plan
    pad_id: int
    tokenizer: Tokenizer

    def objective(self, examples: Sequence[Any], sha256: str, prefix: int) -> Objective[Any]:
        """The loss on these lines; for DPO with the base's view of them, computed once a run."""
        if self.config.method == "sft":
            return Imitation(self.plan, self.pad_id, prefix)
        reference = Reference(examples, sha256, self.run)
        for known in reference.complete(self.scorer, self.plan, self.pad_id, prefix):
            said = f"the base's view of {known} of {len(examples)} pairs is known"
            self.watch.report("loading", said)
            if self.watch.stopping():
                raise Interrupted
        return Preference(self.plan, self.pad_id, prefix, reference)

    def validation(self) -> Validation | None:
        """What scores checkpoints, where there are validation data."""
        config = self.config
        if config.validation is None or config.validation_sha256 is None:
            return None
        loaded = load_lines(config.validation, self.tokenizer, config, self.run)
        examples: list[Any] = held_out(loaded.examples)
        shared = self.plan.loss == "shared prefix"
        prefix = shared_prefix(sequences_of(examples)) if shared else 0
        objective = self.objective(examples, config.validation_sha256, prefix)
        if config.method == "sft":
            return Validation(Answers(examples, objective, self.tokenizer), len(examples))
        return Validation(Preferences(examples, objective), len(examples))


def load_training(
    config: WorkerConfig, tokenizer: Tokenizer, options: RunOptions, run: RunFolder
) -> Loaded[Any]:
    """The training data, as `load_lines` has them.

    Raises:
        DataInvalid: too much of them is too long.
    """
    loaded = load_lines(config.data, tokenizer, config, run)
    if loaded.too_long_share > options.max_left_out:
        raise DataInvalid(
            f"{config.data}: {loaded.too_long_share:.1%} of the tokens stand in examples that are "
            f"too long, more than {options.max_left_out:.1%}: {loaded.remarks[0]}",
            hint="raise max_length as said, or allow it: "
            f"--set max_left_out={math.ceil(loaded.too_long_share * 100) / 100:g}",
        )
    return loaded


def load_lines(
    file: Path, tokenizer: Tokenizer, config: WorkerConfig, run: RunFolder
) -> Loaded[Any]:
    """The lines of a file; what was left out of it is told once a run, not every attempt."""
    base = find_base(config.model, config.home)
    longest = longest_taken(base, config.hyperparameters.max_length)
    load: Callable[[Path, Tokenizer, int], Loaded[Any]] = (
        load_pairs if config.method == "dpo" else load_examples
    )
    loaded = load(file, tokenizer, longest)
    told = {row.get("message") for row in run.rows(run.events_file)}
    for remark in loaded.remarks:
        message = f"{file}: {remark}"
        if message not in told:
            run.append(run.events_file, {"level": "warning", "message": message})
    return loaded


def _plan(run: RunFolder, watch: Watch, make: Callable[[], Plan]) -> Plan:
    """The plan of the first attempt, kept for every later one."""
    try:
        plan = run.read(run.plan_file, Plan)
    except StoreError as error:  # a new one differs at most in what was timed
        _tell(run, f"{error.message}; planned anew")
        plan = None
    if plan is None:
        watch.report("loading", "timing one batch to choose format and number of steps")
        plan = make()
        run.write(run.plan_file, plan)
        beta = "" if plan.beta is None else f"; dpo with beta {plan.beta:g}"
        _tell(run, f"{plan.device_name}; {plan.dtype_reason}; {plan.loss_reason}{beta}")
    return plan


def _tell_of_processes(opened: _Opened, before: int, run: RunFolder) -> None:
    """A step is the same for any number of processes, but for what dropout takes."""
    now = opened.options.processes
    if now != before:
        dropout = opened.config.hyperparameters.lora_dropout
        taken = ", but for what dropout takes, which each draws for itself" if dropout else ""
        _tell(run, f"processes: {now} instead of {before}; every step is as it would be{taken}")


def _system_prompt(example: Example) -> str | None:
    """What the system says in a conversation, where it says something."""
    said = (m.get("content") for m in example.messages if m["role"] in ("system", "developer"))
    return next((text for text in said if isinstance(text, str)), None)


def _seed_everything(seed: int) -> None:
    import torch

    torch.manual_seed(seed)


def _tell(run: RunFolder, message: str) -> None:
    run.append(run.events_file, {"level": "info", "message": message})
