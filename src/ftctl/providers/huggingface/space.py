"""AutoTrain in a Docker Space: a legacy way to run a job, whose outcome is inferred.

AutoTrain has been dormant since 2025-01 and its Space needs a paid plan. The container pauses its
own Space when it ends, well or not: only what it pushed, and the title of the discussion that it
opens, tell which. Calls and their order: AutoTrain 0.8.36, its last release. Never run live.
"""

import json
import logging
from collections.abc import Mapping
from functools import partial
from typing import TYPE_CHECKING, Any

from ftctl.errors import NotFound, Unsupported
from ftctl.job import JobSpec, JobState
from ftctl.providers.base import RemoteFile
from ftctl.providers.huggingface import wire as wire
from ftctl.providers.huggingface.connection import HubConnection
from ftctl.providers.huggingface.plan import Plan
from ftctl.providers.huggingface.repos import Repos

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_log = logging.getLogger(__name__)

PREFIX = "spaces/"  # begins the id of a job that is a Space
_ENDED = ("PAUSED", "SLEEPING")  # well or not
# The Space's own stages; what a stage in `_ENDED` means is inferred.
SPACE_STATUS: dict[str, JobState] = {
    "NO_APP_FILE": JobState.QUEUED,
    "BUILDING": JobState.QUEUED,
    "APP_STARTING": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "RUNNING_BUILDING": JobState.RUNNING,
    "RUNNING_APP_STARTING": JobState.RUNNING,
    "CONFIG_ERROR": JobState.FAILED,
    "BUILD_ERROR": JobState.FAILED,
    "RUNTIME_ERROR": JobState.FAILED,
    "STOPPED": JobState.FAILED,
    "DELETING": JobState.FAILED,
}
_FLAVORS = ("t4-", "l4x", "l40sx", "a10g-", "a100-")  # Spaces have no others, 2026-08
_RELEASE = "0.8.36"
_DOCKERFILE = f"""\
FROM huggingface/autotrain-advanced:latest
CMD pip install autotrain-advanced=={_RELEASE} && autotrain api --host 0.0.0.0 --port 7860
"""
_README = """\
---
title: {name}
emoji: 🚀
colorFrom: green
colorTo: indigo
sdk: docker
pinned: false
tags: [ftctl, ftctl-{marker}]
---
A fine-tuning job of ftctl, run by AutoTrain.
"""


class Spaces:
    """Jobs that are Spaces.

    Args:
        at: Who is asked.
        repos: The repositories of the same hub.
    """

    def __init__(self, at: HubConnection, repos: Repos) -> None:
        self._at = at
        self._repos = repos

    def check(self, spec: JobSpec, plan: Plan) -> None:
        """Refuse what AutoTrain or a Space doesn't do.

        Raises:
            Unsupported: with what to leave out.
        """
        asked = {*spec.options, *spec.hyperparameters.model_dump(exclude_none=True)}
        left = asked & {"namespace", "image", "beta", "max_steps"}
        if spec.validation is not None:
            left.add("--validation")
        if spec.method != "sft":
            left.add(f"--method {spec.method}")
        if left:
            raise Unsupported(
                f"the engine autotrain-space does nothing with {', '.join(sorted(left))}",
                hint="leave it out, or leave out --engine: Jobs do",
            )
        if not plan.machine.name.startswith(_FLAVORS):
            raise Unsupported(
                f"no Space has {plan.machine.name}", hint="--set flavor=a10g-large, or a100-large"
            )

    def create(
        self, spec: JobSpec, plan: Plan, files: Mapping[str, RemoteFile], marker: str
    ) -> str:
        """Make a private Space and give it what starts it last; done again, it goes on.

        Raises:
            Unavailable: no readable answer; it may have started.
            ProviderError: a definite no; it hasn't.
        """
        _log.warning(
            "%s: AutoTrain is legacy: its Space needs a paid plan, it trains on every token of a "
            "chat, knows neither tools nor weights, and how it ended is inferred",
            marker,
        )
        me = self._repos.me
        arguments = wire.run_arguments(spec, plan, files, marker, me)
        order: dict[str, Any] = json.loads(arguments["env"][wire.ORDER])
        space = _space_of(me, marker)
        self._repos.make(
            space, "space", private=True, space_sdk="docker", space_hardware=plan.machine.name
        )
        for key, value in self._secrets(order, me).items():
            self._at.ask(f"keep a secret of {space}", partial(_keep, space, key, value))
        self._at.ask(
            f"keep the order of {space}",
            lambda api: api.add_space_variable(space, wire.ORDER, json.dumps(order)),
        )
        # Nobody visits it, so this is its time limit: asleep, it costs nothing.
        self._at.ask(
            f"limit the time of {space}",
            lambda api: api.set_space_sleep_time(space, plan.timeout_s),
        )
        readme = _README.format(name=wire.slug(spec.name), marker=marker)
        program = {"README.md": readme.encode(), "Dockerfile": _DOCKERFILE.encode()}
        self._repos.send(space, "space", program, message=f"ftctl {marker}")
        return f"{PREFIX}{space}"

    def find(self, marker: str) -> str | None:
        """The Space of that marker, once it has what starts it."""
        space = _space_of(self._repos.me, marker)
        try:
            held = self._repos.show(space, "space")
        except NotFound:
            return None
        started = any(entry.rfilename == "Dockerfile" for entry in held.siblings or ())
        return f"{PREFIX}{space}" if started else None

    def look(self, remote_id: str) -> wire.Job:
        """One look at a Space; what it came to is inferred when it has ended."""
        space = remote_id.removeprefix(PREFIX)
        variables = self._at.ask(f"show {space}", lambda api: api.get_space_variables(space))
        runtime = self._at.ask(f"show {space}", lambda api: api.get_space_runtime(space))
        stage, said = str(runtime.stage), str(runtime.raw.get("errorMessage") or "")
        order = variables[wire.ORDER].value if wire.ORDER in variables else ""
        job = wire.Job(
            id=space.rpartition("/")[2],
            status=wire.Status(stage=stage, message=said),
            environment={wire.ORDER: order},
            flavor=runtime.hardware or runtime.requested_hardware,
            inferred=SPACE_STATUS.get(stage),
        )
        named: dict[str, Any] = {}
        if job.order is not None:
            named["labels"] = {wire.MARKER: job.order.marker}
        if stage in _ENDED:
            state, why = self._infer(space, stage, job.order)
            said = f"{why} (inferred); {said}" if said else f"{why} (inferred)"
            named["inferred"] = state
            named["status"] = wire.Status(stage=stage, message=said)
        return job.model_copy(update=named)

    def cancel(self, remote_id: str) -> None:
        """Pause the Space, and its bill."""
        space = remote_id.removeprefix(PREFIX)
        self._at.ask(f"pause {space}", lambda api: api.pause_space(space))

    def _infer(self, space: str, stage: str, order: wire.Order | None) -> tuple[JobState, str]:
        """What a Space that stands still came to, and what says so."""
        if order is not None and self._repos.find_adapter(order.repo) is not None:
            return JobState.SUCCEEDED, f"it stands still and {order.repo} holds an adapter"
        titles = self._at.ask(
            f"show the discussions of {space}",
            lambda api: [
                d.title.lower() for d in api.get_repo_discussions(space, repo_type="space")
            ],
        )
        if any("failed" in title for title in titles):
            return JobState.FAILED, "its discussion says that it failed"
        if any("finished" in title for title in titles):
            return JobState.SUCCEEDED, "its discussion says that it finished"
        if stage == "SLEEPING":
            return JobState.FAILED, "it reached its time limit"
        return JobState.CANCELLED, "it was paused before it said anything"

    def _secrets(self, order: dict[str, Any], me: str) -> dict[str, str]:
        """What AutoTrain reads when it starts."""
        project = order["repo"].rpartition("/")[2]
        key = self._at.credential().key
        micro = order.get("micro_batch_size", 2)
        params = {
            "model": order["base"],
            "project_name": project,
            "data_path": order["data"],
            "train_split": "train",
            "text_column": "messages",
            "chat_template": "tokenizer",
            "trainer": "sft",
            "epochs": max(1, round(order["epochs"])),
            "batch_size": micro,
            "gradient_accumulation": max(1, order["batch_size"] // micro),
            "block_size": order["max_length"],
            "model_max_length": order["max_length"],
            "lr": order["learning_rate"],
            "warmup_ratio": order["warmup_fraction"],
            "weight_decay": order["weight_decay"],
            "seed": order["seed"],
            "peft": True,
            "quantization": None,
            "lora_r": order["lora_r"],
            "lora_alpha": order["lora_alpha"],
            "lora_dropout": order["lora_dropout"],
            "push_to_hub": True,
            "username": me,
            "token": key,
        }
        return {
            "HF_TOKEN": key,
            "AUTOTRAIN_USERNAME": me,
            "PROJECT_NAME": project,
            "TASK_ID": "9",
            "PARAMS": json.dumps(params),
            "DATA_PATH": order["data"],
            "MODEL": order["base"],
        }


def _space_of(me: str, marker: str) -> str:
    return f"{me}/autotrain-{wire.slug(marker)}"


def _keep(space: str, key: str, value: str, api: "HfApi") -> None:
    api.add_space_secret(space, key, value)
