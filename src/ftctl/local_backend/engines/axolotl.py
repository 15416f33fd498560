"""Axolotl as the engine: its preprocess, train and inference as processes of our worker.

They share the worker's process group, so what ends the worker ends them. Axolotl is installed by
the user, in an environment of its own or in ours; only its command is looked for.

Source: Axolotl 0.19.0's command line.
"""

import contextlib
import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Generator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ftctl.datasets.convert.convert import Wish, convert_into
from ftctl.datasets.digest import file_sha256
from ftctl.errors import DataInvalid, JobFailed, StoreError, Unsupported
from ftctl.job import JobSpec
from ftctl.local_backend.base_models import find_base
from ftctl.local_backend.checkpoint import Progress, drop_rows_after
from ftctl.local_backend.engines.axolotl_config import Wanted, config_of, not_carried, written
from ftctl.local_backend.engines.axolotl_figures import Figures, figures_in
from ftctl.local_backend.engines.output import Engine, write_engine_output
from ftctl.local_backend.engines.trainer import Checkpoints
from ftctl.local_backend.hardware import find_device
from ftctl.local_backend.loop import Interrupted, Watch
from ftctl.local_backend.run_folder import RunFolder, WorkerConfig

_STOP_S, _ANSWER_S = 20.0, 300.0
_QUIET = {"AXOLOTL_DO_NOT_TRACK": "1", "DO_NOT_TRACK": "1", "PYTHONUNBUFFERED": "1"}
# On a CPU it would choose half precision and kernels that only GPUs have.
_ON_CPU: dict[str, Any] = {"bf16": False, "fp16": False, "tf32": False} | dict.fromkeys(
    ("lora_mlp_kernel", "lora_qkv_kernel", "lora_o_kernel", "lora_embedding_kernel"), False
)
_NO_MEMORY = ("out of memory", "outofmemoryerror")

# Axolotl must not train on when its worker was killed: a resumed one would write where it writes.
_DIES_WITH_US = """
import ctypes, os, signal, sys
try:
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG; kept by the program that follows
except (AttributeError, OSError):  # not Linux: it ends when it next prints into the broken pipe
    pass
os.execv(sys.argv[1], sys.argv[1:])
"""


def find_axolotl() -> Path:
    """Axolotl's command: beside this Python, or on the path.

    Raises:
        Unsupported: it isn't installed.
    """
    found = shutil.which("axolotl", path=str(Path(sys.executable).parent)) or shutil.which(
        "axolotl"
    )
    if found is None:
        raise Unsupported(
            "--engine axolotl needs Axolotl, and there is no command `axolotl` on the path",
            hint="python -m venv ax && ax/bin/pip install axolotl==0.19.0, then "
            "PATH=$PWD/ax/bin:$PATH; or leave --engine out",
        )
    return Path(found)


def require_axolotl(spec: JobSpec, base: str) -> None:
    """Refuse what Axolotl can't be told, before anything is made.

    Raises:
        Unsupported: it isn't installed, or a setting has no key of its.
    """
    find_axolotl()
    wanted = Wanted(
        base, spec.method, spec.tuning, spec.hyperparameters, spec.options, data=spec.data
    )
    left = not_carried(wanted)
    if left:
        raise Unsupported(
            f"--engine axolotl has no setting for {', '.join(left)}",
            hint="leave them out, or leave --engine out",
        )


def train(config: WorkerConfig, run: RunFolder, watch: Watch) -> Progress:
    """Run one attempt to its end, from Axolotl's newest checkpoint to our output folder.

    Raises:
        Interrupted: a stop was asked for; Axolotl's last checkpoint stays.
        JobFailed: Axolotl failed.
        MemoryError: it ran out of memory.
        DataInvalid: a row can't be said in its format.
        StoreError: a data file isn't the one that was submitted.
    """
    work = _Work(config, run, watch, find_axolotl(), run.path / "axolotl")
    base = find_base(config.model, config.home)
    yaml = work.write_config(base)
    made = work.folder / "output"
    if not (work.folder / "prepared.done").exists():
        watch.report("loading", "Axolotl prepares the data")
        for _ in work.lines("preprocess", str(yaml)):
            pass
        (work.folder / "prepared.done").touch()
    at = work.train(yaml, made)
    watch.report("saving", "reading the model back", step=at.step, total_steps=at.step)
    engine = Engine("axolotl", "Axolotl", version_of(work.command), yaml)
    at = replace(at, best_step=Checkpoints(run, made).best(at.step))
    write_engine_output(run, config, at, base, engine, made)
    work.ask(yaml, made)
    return at


def version_of(command: Path) -> str:
    """Axolotl's version, as its installation says it; no program is started for it."""
    places = command.resolve().parent.parent.glob("lib/python*/site-packages/axolotl-*.dist-info")
    found = [place.name.removeprefix("axolotl-").removesuffix(".dist-info") for place in places]
    return found[0] if found else "of unknown version"


@dataclass
class _Work:
    """One attempt's work with Axolotl.

    Attributes:
        command: Axolotl's.
        folder: Where its files stand: configuration, prepared data, checkpoints.
        seen: Progress by step, for the checkpoints that are yet to be written.
    """

    config: WorkerConfig
    run: RunFolder
    watch: Watch
    command: Path
    folder: Path
    seen: dict[int, Progress] = field(default_factory=dict)

    def write_config(self, base: Path | str) -> Path:
        """The configuration, and the rows that it names; the same for every attempt."""
        config, watched = self.config, self.config.validation
        self.folder.mkdir(exist_ok=True)
        wanted = Wanted(
            base=str(base),
            method=config.method,
            tuning=config.tuning,
            settings=config.hyperparameters,
            options=config.options,
            data=self._rows(config.data, config.data_sha256),
            validation=watched and self._rows(watched, config.validation_sha256),
            output=self.folder / "output",
        )
        keys = config_of(wanted) | {
            "dataset_prepared_path": str(self.folder / "prepared"),
            "auto_resume_from_checkpoints": True,
            "logging_steps": 1,
            "trust_remote_code": False,
        }
        if find_device() == "cpu":
            keys |= _ON_CPU
        file = self.folder / "axolotl.yml"
        file.write_text(written(keys), encoding="utf-8")
        return file

    def _rows(self, file: Path, sha256: str | None) -> Path:
        """The rows as Axolotl reads them: the file itself where it can."""
        if file_sha256(file) != sha256:
            raise StoreError(
                f"{file}: the data was changed after the job was submitted",
                hint="submit the job again with --new",
            )
        done = convert_into(self.folder / "rows", file, Wish(target="axolotl"))
        if not done.ok:
            first = done.issues[0]
            raise DataInvalid(
                f"{file}:{first.line}: {first.message}",
                hint=f"ftctl data convert {file} --to axolotl -o NEW shows them all",
            )
        return file if done.out is None else Path(done.out)

    def train(self, yaml: Path, made: Path) -> Progress:
        """Axolotl's training, its figures kept as they come."""
        kept = Checkpoints(self.run, made)
        begun = kept.resumed()
        drop_rows_after(self.run, begun.step)
        if begun.step:
            self._tell(f"goes on from Axolotl's checkpoint of step {begun.step}")
        self.watch.report("loading", f"Axolotl loads {self.config.model}", step=begun.step)
        figures, started = Figures(begun), time.monotonic()
        command = self.lines("train", str(yaml), "--launcher", "python")
        try:
            with contextlib.closing(command) as lines:  # whatever happens here, it ends too
                for line in lines:
                    row = figures.read(line)
                    if row is not None:
                        spent = time.monotonic() - started
                        figures.at = replace(figures.at, seconds=begun.seconds + spent)
                        self.seen[figures.at.step] = figures.at
                        self.run.append(self.run.metrics_file, row)
                        self._report(row, figures, spent / max(1, figures.at.step - begun.step))
                        kept.note(self.seen)
        finally:
            kept.note(self.seen)
        return figures.at

    def _report(self, row: dict[str, Any], figures: Figures, seconds_per_step: float) -> None:
        step, total = figures.at.step, figures.total_steps
        if row["kind"] == "validation":
            self._tell(f"validation at step {step}: loss {row['loss']:.3f}")
            return
        shown = {
            key: row[key] for key in ("loss", "reward_margin", "reward_accuracy") if key in row
        }
        self.watch.report(
            "training",
            f"step {step} of {total}" if total else f"step {step}",
            step=step,
            total_steps=total,
            eta_s=max(0, total - step) * seconds_per_step,
            **shown,
        )

    def ask(self, yaml: Path, made: Path) -> None:
        """Axolotl's inference on the first question, told as an event; no reason to fail."""
        question = _first_question(self.config.data)
        if not question or self.watch.stopping():
            return
        where = (
            f"--base-model={made}" if self.config.tuning == "full" else f"--lora-model-dir={made}"
        )
        words = ("inference", str(yaml), "--launcher", "python", where)
        try:
            said = "\n".join(self.lines(*words, said=question, limit_s=_ANSWER_S))
        except (JobFailed, MemoryError, Interrupted) as error:
            self._tell(f"Axolotl's inference gave no answer: {error}", "warning")
            return
        answer = " ".join(_answer_in(said, question).split())
        self._tell(f"Axolotl's inference answers the first example: {answer[:200]!r}")

    def lines(
        self, *words: str, said: str = "", limit_s: float | None = None
    ) -> Generator[str, None, None]:
        """Run a command of Axolotl's to its end, line by line, each step of a bar as one.

        Args:
            words: The command.
            said: What it reads.
            limit_s: How long it may take.

        Raises:
            Interrupted: a stop was asked for.
            JobFailed: it failed, or took too long.
            MemoryError: it ran out of memory.
        """
        child = subprocess.Popen(  # noqa: S603 - the user's own installation
            [sys.executable, "-I", "-S", "-c", _DIES_WITH_US, str(self.command), *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="replace",
            env=self._environment(),
            cwd=self.folder,
        )
        assert child.stdin is not None  # noqa: S101 - both are pipes
        assert child.stdout is not None  # noqa: S101
        threading.Thread(target=self._end, args=(child, limit_s), daemon=True).start()
        last: list[str] = []
        try:
            with child.stdout:
                with contextlib.suppress(BrokenPipeError), child.stdin:
                    child.stdin.write(said)  # it may have ended before it reads
                for line in child.stdout:
                    if line.strip():
                        last = [*last[-30:], line.strip()]
                        self._log(line)
                        yield line.rstrip("\n")
            code = child.wait()
        finally:
            if child.poll() is None:
                child.terminate()
                child.wait()
        if code == 0:
            return
        if self.watch.stopping():
            raise Interrupted
        raise _failure(words[0], code, last, self.run)

    def _end(self, child: subprocess.Popen[str], limit_s: float | None) -> None:
        """End a command when a stop is asked for, or when it takes too long."""
        give_up = None if limit_s is None else time.monotonic() + limit_s
        while child.poll() is None:
            late = give_up is not None and time.monotonic() > give_up
            if late or self.watch.stopping():
                child.terminate()
                try:
                    child.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    child.kill()
                return
            time.sleep(0.2)

    def _environment(self) -> dict[str, str]:
        """Ours, without what would bring our packages into its environment."""
        ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        path = f"{self.command.parent}{os.pathsep}{ours.get('PATH', os.defpath)}"
        offline = {"HF_HUB_OFFLINE": "1"} if Path(self.config.model).exists() else {}
        return ours | _QUIET | offline | {"PATH": path}

    def _tell(self, message: str, level: str = "info") -> None:
        self.run.append(self.run.events_file, {"level": level, "message": message})

    def _log(self, line: str) -> None:
        """What it prints into the worker's log, but for the steps of bars."""
        if "%|" not in line or figures_in(line):
            sys.stderr.write(line if line.endswith("\n") else line + "\n")


def _failure(what: str, code: int, last: list[str], run: RunFolder) -> Exception:
    """What a failed command means: its last error is the reason."""
    errors = [
        line for line in last if line.split(":")[0].split(".")[-1].endswith(("Error", "Exit"))
    ]
    reason = (errors or last or ["it said nothing"])[-1][:500]
    if any(word in " ".join(last).lower() for word in _NO_MEMORY):
        return MemoryError(reason)
    return JobFailed(
        f"axolotl {what} ended with {code}: {reason}", hint=f"all that it said is in {run.log_file}"
    )


def _first_question(data: Path) -> str:
    """The first thing that a user says in the data; empty where none does."""
    with data.open("rb") as stream:
        try:
            row = json.loads(stream.readline())
            messages = row.get("messages") or row["input"]["messages"]
            said = next(m["content"] for m in messages if m["role"] == "user")
        except (ValueError, KeyError, TypeError, AttributeError, StopIteration):
            return ""
    return said if isinstance(said, str) else ""


def _answer_in(said: str, question: str) -> str:
    """What it printed after the question, between its lines of equals signs."""
    blocks = said.split("=" * 80)
    return blocks[-3].rpartition(question)[2] if len(blocks) > 3 else said[-500:]
