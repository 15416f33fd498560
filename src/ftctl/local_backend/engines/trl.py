"""TRL as the engine: its SFT or DPO trainer in our worker's own process, on rows that we rendered.

Source: TRL 1.16 with transformers 5.24.
"""

import importlib.metadata
import json
import math
import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ftctl.datasets.render import Tokenizer, load_tokenizer
from ftctl.errors import ExtraMissing, JobFailed, Unsupported
from ftctl.job import JobSpec
from ftctl.local_backend.base_models import find_base, quiet_transformers
from ftctl.local_backend.checkpoint import Progress, drop_rows_after
from ftctl.local_backend.engines.output import Engine, write_engine_output
from ftctl.local_backend.engines.trainer import Checkpoints, renamed
from ftctl.local_backend.engines.trl_settings import (
    NO_LOSS,
    not_carried,
    rows_of,
    settings_of,
)
from ftctl.local_backend.hardware import find_device
from ftctl.local_backend.loop import Interrupted, Watch
from ftctl.local_backend.model import Trainable, adapter_config
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig
from ftctl.local_backend.run_options import RunOptions, options_of
from ftctl.local_backend.train import load_lines, load_training, require_unchanged
from ftctl.local_backend.validation import held_out

Trainer = Any  # TRL's, around what is trained


def require_trl(spec: JobSpec) -> None:
    """Refuse what TRL can't be told, before anything is made.

    Raises:
        ExtraMissing: it isn't installed.
        Unsupported: it has no setting of that kind.
    """
    if find_spec("trl") is None:
        raise ExtraMissing("trl", "--engine trl")
    left = not_carried(spec.hyperparameters, spec.options)
    if left:
        raise Unsupported(
            f"--engine trl has no setting for {', '.join(left)}",
            hint="leave them out, or leave --engine out",
        )


def train(config: WorkerConfig, run: RunFolder, watch: Watch) -> Progress:
    """Run one attempt to its end, from TRL's newest checkpoint to our output folder.

    Raises:
        Interrupted: a stop was asked for, and a checkpoint written.
        JobFailed: the loss is no longer a number.
        DataInvalid: a line can't be trained on as it is.
        UsageError: the model can't be loaded.
        StoreError: a data file isn't the one that was submitted.
    """
    require_unchanged(config.data, config.data_sha256)
    if config.validation is not None and config.validation_sha256 is not None:
        require_unchanged(config.validation, config.validation_sha256)
    watch.report("loading", f"TRL loads {config.model}")
    base, options = find_base(config.model, config.home), options_of(config.method, config.options)
    tokenizer = load_tokenizer(base)
    examples = load_training(config, tokenizer, options, run).examples
    data = {"train_dataset": rows_of(config.data, examples)}
    if config.validation is not None:
        watched = load_lines(config.validation, tokenizer, config, run).examples
        data["eval_dataset"] = rows_of(config.validation, held_out(watched))
    settings = settings_of(
        config.hyperparameters,
        options,
        config.tuning,
        len(examples),
        validate=config.validation is not None,
    )
    folder = run.path / "trl"
    folder.mkdir(exist_ok=True)
    engine = Engine("trl", "TRL", importlib.metadata.version("trl"), folder / "trl.json")
    engine.settings.write_text(json.dumps(settings, indent=1), encoding="utf-8")
    kept = Checkpoints(run, folder / "output")
    following = _Following(run, watch, kept, settings["max_steps"], kept.resumed())
    drop_rows_after(run, following.at.step)
    if following.at.step < following.total_steps:
        setting = _Setting(config, options, base, tokenizer, settings)
        with quiet_transformers():
            following.follow(setting.trainer(data, following))
    at = following.at
    watch.report("saving", "writing what was tuned", step=at.step, total_steps=at.step)
    write_engine_output(
        run, config, at, base, engine, kept.made / f"checkpoint-{at.best_step or at.step}"
    )
    return at


@dataclass
class _Following:
    """Hears of each step of TRL's, and has it stop.

    Attributes:
        at: How far it is.
        seen: Progress by step, for the checkpoints that are yet to be written.
    """

    run: RunFolder
    watch: Watch
    kept: Checkpoints
    total_steps: int
    at: Progress
    seen: dict[int, Progress] = field(default_factory=dict)
    _tokens: int = 0  # since the last step
    _trained: int = 0
    _since: float = 0.0  # when it ended
    _stopped: bool = False

    def follow(self, trainer: Trainer) -> None:
        """Train to the end, or until a stop is asked for.

        Raises:
            Interrupted: it was, and there is a checkpoint.
            JobFailed: the loss is no longer a number.
        """
        step = self.at.step
        if step:
            self._tell(f"goes on from TRL's checkpoint of step {step}")
        else:
            self._tell(f"{self.total_steps} steps, {len(trainer.train_dataset)} examples")
        self._since = time.monotonic()
        trainer.train(
            resume_from_checkpoint=str(self.kept.made / f"checkpoint-{step}") if step else None
        )
        if self._stopped:
            raise Interrupted

    def count(self, inputs: Mapping[str, Any]) -> None:
        """A micro-batch is about to go through the model."""
        told = inputs["labels"].ne(NO_LOSS) if "labels" in inputs else inputs["completion_mask"]
        self._tokens += int(inputs["attention_mask"].sum())
        self._trained += int(told.sum())

    def logged(self, step: int, figures: Mapping[str, float]) -> bool:
        """Figures of a step, of a validation, or others; returns whether it is to stop there."""
        if "eval_loss" in figures:
            row = {"kind": "validation", "step": step, **renamed(figures, "eval_")}
            self.run.append(self.run.metrics_file, row)
            self._tell(f"validation at step {step}: loss {row['loss']:.3f}")
            self._since = time.monotonic()
        elif "loss" in figures:
            self._stepped(step, renamed(figures))
        else:
            return False
        self._stopped = step < self.total_steps and self.watch.stopping()
        return self._stopped

    def _stepped(self, step: int, figures: dict[str, float]) -> None:
        if not math.isfinite(figures["loss"]):
            raise JobFailed(
                f"the loss of step {step} is no longer a number",
                hint="submit again with a smaller learning rate",
            )
        now = time.monotonic()
        seconds, self._since = now - self._since, now
        speed = self._tokens / max(seconds, 1e-9)
        self.at = at = replace(
            self.at,
            step=step,
            tokens=self.at.tokens + self._tokens,
            trained_tokens=self.at.trained_tokens + self._trained,
            seconds=self.at.seconds + seconds,
        )
        self._tokens = self._trained = 0
        row = {"kind": "step", "step": step, **figures, "tokens_per_s": speed}
        self.run.append(self.run.metrics_file, row | {"trained_tokens": at.trained_tokens})
        shown = ("loss", "reward_margin", "reward_accuracy")
        self.watch.report(
            "training",
            f"step {step} of {self.total_steps}",
            step=step,
            total_steps=self.total_steps,
            tokens_per_s=speed,
            eta_s=(self.total_steps - step) * at.seconds / step,
            **{name: figures[name] for name in shown if name in figures},
        )

    def saved(self, best_step: int) -> None:
        """TRL has written a checkpoint."""
        self.at = replace(self.at, best_step=best_step)
        self.seen = {self.at.step: self.at}
        self.kept.note(self.seen)
        self._since = time.monotonic()

    def _tell(self, message: str) -> None:
        self.run.append(self.run.events_file, {"level": "info", "message": message})


@dataclass(frozen=True)
class _Setting:
    """What a trainer of TRL's is made of."""

    config: WorkerConfig
    options: RunOptions
    base: Path | str
    tokenizer: Tokenizer
    settings: dict[str, Any]

    def trainer(self, data: Mapping[str, list[dict[str, list[int]]]], told: _Following) -> Trainer:
        """TRL's trainer for the method, which tells of each step."""
        import torch
        from datasets import Dataset  # type: ignore[attr-defined]  # not our folder of that name
        from transformers import PrinterCallback, set_seed
        from trl import DPOConfig, DPOTrainer, SFTConfig, SFTTrainer

        device, tuning = find_device(), self.config.tuning
        half = device == "cuda" and torch.cuda.is_bf16_supported()
        set_seed(self.settings["seed"])  # for the adapter, which is made before TRL sets it
        trainable = Trainable(tuning, self.config.hyperparameters, self.options)
        # With all weights trained, the master copy is the model: half precision is autocast's.
        dtype = torch.bfloat16 if half and tuning != "full" else torch.float32
        model = trainable.load_bare(self.base, dtype, device)
        kind, how = (DPOTrainer, DPOConfig) if "beta" in self.settings else (SFTTrainer, SFTConfig)
        args = how(
            **self.settings,
            output_dir=str(told.kept.made),
            bf16=half,
            use_cpu=device == "cpu",
            dataloader_pin_memory=device == "cuda",
        )
        if args.n_gpu > 1:
            args._n_gpu = 1  # noqa: SLF001 - else the batch would be as many times larger
        adapter = (
            None if tuning == "full" else adapter_config(model, trainable.settings, self.options)
        )
        trainer = _listening(kind, told)(
            model=model,
            args=args,
            processing_class=self.tokenizer,
            peft_config=adapter,
            callbacks=[_callback(told)],
            **{name: Dataset.from_list(rows) for name, rows in data.items()},
        )
        trainer.remove_callback(PrinterCallback)
        return trainer


def _listening(kind: Any, told: _Following) -> Any:  # noqa: ANN401 - TRL's classes
    """A trainer of TRL's that takes rows as they are, and lets each batch be counted."""

    class Listening(kind):  # type: ignore[misc]
        def _prepare_dataset(self, dataset: Any, *_: Any, **__: Any) -> Any:  # noqa: ANN401
            return dataset  # rendered and tokenized by us

        def training_step(self, model: Any, inputs: Any, *more: Any, **named: Any) -> Any:  # noqa: ANN401
            told.count(inputs)
            return super().training_step(model, inputs, *more, **named)

    return Listening


def _callback(told: _Following) -> Any:  # noqa: ANN401 - a TrainerCallback
    from transformers import TrainerCallback

    class Teller(TrainerCallback):  # type: ignore[misc]
        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401
            if state.global_step >= state.max_steps:
                control.should_evaluate = args.eval_strategy != "no"

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:  # noqa: ANN401, ARG002
            if told.logged(state.global_step, logs or {}):
                control.should_training_stop = control.should_save = True
                control.should_evaluate = False

        def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:  # noqa: ANN401, ARG002
            told.saved(state.best_global_step or 0)

    return Teller()
