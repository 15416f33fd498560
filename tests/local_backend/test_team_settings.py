"""What several processes can't do is said before a job is made; who was lost, as it was."""

from importlib.util import find_spec
from typing import Any

import pytest

from ftctl.errors import Unsupported, UsageError
from ftctl.job import Tuning
from ftctl.local_backend.processes import OUT_OF_MEMORY, Lost, Onlooker, Team, require_processes
from ftctl.local_backend.run_options import RunOptions


@pytest.mark.parametrize(
    ("options", "tuning", "says"),
    [
        ({"sharding": "full_shard"}, "lora", "between processes, and there is one"),
        ({"sharding": "zero2"}, "lora", "between processes, and there is one"),
        ({"sharding": "hybrid_shard", "processes": 2}, "lora", "4 or more, not 2"),
        ({"sharding": "hybrid_shard", "processes": 5}, "lora", "even number of processes"),
        ({"sharding": "shard_grad_op", "processes": 2}, "qlora", "four bits can't be split"),
    ],
)
def test_settings_that_contradict_each_other(
    options: dict[str, Any], tuning: Tuning, says: str
) -> None:
    with pytest.raises(UsageError, match=says) as caught:
        require_processes(RunOptions(**options), tuning)
    assert "--set" in caught.value.hint or "leave sharding out" in caught.value.hint


@pytest.mark.skipif(find_spec("deepspeed") is not None, reason="it is there")
@pytest.mark.parametrize(
    ("stage", "instead"), [("zero2", "shard_grad_op"), ("zero3", "full_shard")]
)
def test_without_deepspeed_zero_is_refused_with_what_does_the_same(
    stage: Any, instead: str
) -> None:
    with pytest.raises(Unsupported, match=f"sharding={stage} needs DeepSpeed") as caught:
        require_processes(RunOptions(sharding=stage, processes=2), "lora")
    assert caught.value.exit_code == 3
    assert "pip install deepspeed" in caught.value.hint
    assert f"--set sharding={instead}" in caught.value.hint


@pytest.mark.parametrize("options", [{}, {"wrap": "size"}, {"sharding": "ddp"}])
def test_one_process_needs_nothing(options: dict[str, Any]) -> None:
    require_processes(RunOptions(**options), "qlora")


@pytest.mark.parametrize(
    ("status", "says"),
    [
        (-9, "process 1 of 2 was killed from outside (SIGKILL)"),
        (OUT_OF_MEMORY, "process 1 of 2 ran out of memory"),
        (1, "process 1 of 2 ended with status 1"),
    ],
)
def test_who_was_lost_is_said_as_it_was(status: int, says: str) -> None:
    assert str(Lost(1, 2, status)).startswith(says)
    assert Lost(1, 2, status).out_of_memory is (status == OUT_OF_MEMORY)


def test_one_process_agrees_with_itself() -> None:
    assert Team().leads
    assert Team().gathered("a") == ["a"]
    assert Team().told("a") == "a"


def test_who_only_helps_writes_nothing(tmp_path: Any) -> None:
    run = Onlooker(tmp_path)
    run.check_fence()
    run.write(run.plan_file, {"a": 1})
    run.append(run.events_file, {"a": 1})
    assert not run.writes
    assert list(tmp_path.iterdir()) == []
