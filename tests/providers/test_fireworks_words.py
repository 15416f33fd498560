"""What Fireworks says, in our words: every word of its types, and what a create holds."""

import json
from pathlib import Path
from typing import Any

import pytest

from ftctl.errors import UsageError
from ftctl.fault_words import FaultWord, word_of
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.providers.base import RemoteFile
from ftctl.providers.fireworks import request as asking
from ftctl.providers.fireworks import wire as wire
from ftctl.providers.fireworks.results import without_folder
from ftctl.testing.fireworks_requests import DpoCreate, SftCreate

# The states of the SDK (fireworks-ai 1.2.30), each with the state that the research gives it.
# Of CREATING two of its tables differ (validating, queued): the map of the wires is followed.
STATUS: dict[str, JobState | None] = {
    "UNSPECIFIED": None,
    "CREATING": JobState.VALIDATING,
    "CREATING_INPUT_DATASET": JobState.VALIDATING,
    "VALIDATING": JobState.VALIDATING,
    "PENDING": JobState.QUEUED,
    "RE_QUEUEING": JobState.QUEUED,
    "RUNNING": JobState.RUNNING,
    "WRITING_RESULTS": JobState.RUNNING,
    "IDLE": JobState.PAUSED,
    "PAUSED": JobState.PAUSED,
    "CANCELLING": JobState.CANCELLING,
    "CANCELLED": JobState.CANCELLED,
    "COMPLETED": JobState.SUCCEEDED,
    "EARLY_STOPPED": JobState.SUCCEEDED,
    "FAILED": JobState.FAILED,
    "EXPIRED": JobState.FAILED,
    "DELETING": JobState.FAILED,
    "DELETING_CLEANING_UP": JobState.FAILED,
}
# Of the research of peers: reinforcement jobs, and the end of one that failed.
OTHERS: dict[str, JobState | None] = {
    "EVALUATION": JobState.RUNNING,
    "ROLLOUT": JobState.RUNNING,
    "POLICY_UPDATE": JobState.RUNNING,
    "FAILED_CLEANING_UP": JobState.FAILED,
}
NAME = "accounts/me/supervisedFineTuningJobs/job-1"


def job(state: str, name: str = NAME, **fields: Any) -> wire.Job:
    shown = {"name": name, "state": f"JOB_STATE_{state}", "outputModel": "m"}
    return wire.Job.model_validate(shown | fields)


def spec(**fields: Any) -> JobSpec:
    base = {"provider": "fireworks", "model": "qwen3-8b", "data": Path("t.jsonl"), "name": "n"}
    return JobSpec(**(base | {"data_sha256": "0" * 64} | fields))


FILES = {"training": RemoteFile("accounts/me/datasets/ftctl-0", "0" * 64)}
BOTH = FILES | {"validation": RemoteFile("accounts/me/datasets/ftctl-1", "1" * 64)}


@pytest.mark.parametrize("word", STATUS | OTHERS)
def test_each_state_is_the_one_that_the_table_says(word: str) -> None:
    seen = wire.snapshot_of(job(word))
    assert (seen.state, seen.provider_status) == ((STATUS | OTHERS)[word], f"JOB_STATE_{word}")
    assert (seen.fine_tuned_model is not None) == (word in ("COMPLETED", "EARLY_STOPPED"))
    assert (seen.error is not None) == (seen.state is JobState.FAILED)


def test_every_state_is_mapped() -> None:
    assert set(wire.STATUS) == set(STATUS) | set(OTHERS)


@pytest.mark.parametrize("word", ["JOB_STATE_PONDERING", "PONDERING", ""])
def test_a_new_word_decides_nothing_and_is_kept(word: str) -> None:
    seen = wire.snapshot_of(job("").model_copy(update={"state": word}))
    assert (seen.state, seen.provider_status) == (None, word)


@pytest.mark.parametrize(
    ("state", "code", "word"),
    [
        ("FAILED", "RESOURCE_EXHAUSTED", FaultWord.QUOTA),
        ("FAILED", "INTERNAL", FaultWord.CAPACITY),
        ("EXPIRED", None, FaultWord.CAPACITY),
    ],
)
def test_a_failure_has_the_vendors_code(state: str, code: str | None, word: FaultWord) -> None:
    error = wire.snapshot_of(job(state, status={"code": code, "message": "said"})).error
    assert error is not None
    assert word_of(error["kind"]) is word


def test_stopped_early_is_success_and_says_so() -> None:
    assert "early" in wire.snapshot_of(job("EARLY_STOPPED")).message
    assert "storing" in wire.snapshot_of(job("WRITING_RESULTS")).message


@pytest.mark.parametrize(
    ("cost", "usd"),
    [
        ({"currencyCode": "USD", "units": "3", "nanos": 250_000_000}, 3.25),
        ({"currencyCode": "USD", "nanos": 500_000_000}, 0.5),
        ({"currencyCode": "EUR", "units": "3"}, None),
        ({"currencyCode": "USD"}, None),
    ],
)
def test_the_vendors_estimate_is_read_where_it_is_in_dollars(
    cost: dict[str, Any], usd: float | None
) -> None:
    assert wire.snapshot_of(job("RUNNING", estimatedCost=cost)).progress.get("estimated_usd") == usd


def test_a_models_name_is_whole_whether_or_not_the_vendor_says_it_whole() -> None:
    assert job("COMPLETED").tuned == "accounts/me/models/m"
    assert job("COMPLETED", outputModel="accounts/o/models/x").tuned == "accounts/o/models/x"
    dpo = job("COMPLETED", "accounts/me/dpoJobs/j", trainingConfig={"outputModel": "p"})
    assert (dpo.tuned, dpo.is_dpo) == ("accounts/me/models/p", True)


def test_a_number_beyond_all_measure_hides_no_other_line() -> None:
    odd = b'{"step": 1, "loss": 1' + b"0" * 400 + b'}\n{"said": "\\ud800"}\n'
    rows = wire.metrics_in(odd + b'{"step": 2, "loss": 0.5}')
    events = wire.events_of(job("RUNNING"), rows)
    assert [event.message for event in events[1:]] == ["step=1", "step=2, loss=0.5"]
    assert all(event.model_dump_json() for event in events)


def test_events_are_never_told_in_another_order() -> None:
    times = {"createTime": "2026-11-24T12:00:00Z", "completedTime": "2026-11-24T12:30:00Z"}
    rows = [{"step": 1, "train_loss": 2.0}, {"step": 2, "train_loss": 1.0, "eval_loss": 1.5}]
    running = wire.events_of(job("RUNNING", **times), rows[:1])
    ended = wire.events_of(job("COMPLETED", **times), rows)
    assert ended[: len(running)] == running
    assert [event.kind for event in ended] == ["message", "metrics", "metrics", "message"]
    assert ended[2].data["loss"] == 1.0
    assert ended[2].data["valid_loss"] == 1.5
    assert [e.at for e in ended] == sorted(e.at for e in ended)


@pytest.mark.parametrize(
    "content",
    [b'{"step": 1}\n{"step": 2}\n', b'[{"step": 1}, {"step": 2}]', b'{"step": 1}\nx\n{"step": 2}'],
)
def test_metrics_are_lines_or_a_list_and_what_else_is_there_is_passed_over(content: bytes) -> None:
    assert [row["step"] for row in wire.metrics_in(content)] == [1, 2]


def test_no_metrics_are_none() -> None:
    assert wire.metrics_in(b"") == wire.metrics_in(b"<html>") == wire.metrics_in(b"7") == []


def test_a_create_holds_only_what_was_asked_and_every_row_is_trained_on() -> None:
    body = asking.request_of(spec(), FILES, "job-1")
    assert body == {
        "dataset": "accounts/me/datasets/ftctl-0",
        "displayName": "n job-1",
        "baseModel": "accounts/fireworks/models/qwen3-8b",
        "evalAutoCarveout": False,
    }
    SftCreate.model_validate_json(json.dumps(body))


def test_every_setting_has_its_field() -> None:
    given = Hyperparameters(
        epochs=2,
        batch_size=16,
        learning_rate=1e-4,
        weight_decay=0.01,
        lora_r=16,
        max_length=4096,
        checkpoint_steps=50,
    )
    options = {"warmup_steps": "10", "early_stop": "true"}
    body = asking.request_of(spec(hyperparameters=given, options=options), BOTH, "job-1")
    asked = SftCreate.model_validate_json(json.dumps(body)).model_dump(exclude_unset=True)
    asked.pop("dataset")
    assert asked == {
        "display_name": "n job-1",
        "base_model": "accounts/fireworks/models/qwen3-8b",
        "evaluation_dataset": "accounts/me/datasets/ftctl-1",
        "early_stop": True,
        "epochs": 2,
        "batch_size_samples": 16,
        "learning_rate": 1e-4,
        "optimizer_weight_decay": 0.01,
        "lora_rank": 16,
        "max_context_length": 4096,
        "sampler_checkpoint_save_interval_steps": 50,
        "learning_rate_warmup_steps": 10,
    }


def test_a_preference_job_always_says_its_loss() -> None:
    plain = asking.request_of(spec(method="dpo"), FILES, "job-1")
    assert plain["lossConfig"] == {"method": "DPO"}
    options = {"dpo_loss": "orpo", "dpo_beta": "0.1", "warm_start_from": "accounts/me/models/m"}
    body = asking.request_of(spec(method="dpo", options=options), FILES, "job-1")
    asked = DpoCreate.model_validate_json(json.dumps(body))
    assert asked.loss_config is not None
    assert asked.loss_config.dpo is not None
    assert (asked.loss_config.method, asked.loss_config.dpo.beta) == ("ORPO", 0.1)
    assert asked.training_config.warm_start_from == "accounts/me/models/m"


def test_a_long_name_leaves_room_for_the_marker() -> None:
    body = asking.request_of(spec(name="n" * 100), FILES, "job-23456789ab")
    assert len(body["displayName"]) == 63
    found = job(
        "RUNNING", "accounts/me/supervisedFineTuningJobs/x", displayName=body["displayName"]
    )
    assert found.carries("job-23456789ab")
    assert not found.carries("job-3456789ab")
    assert job("RUNNING").carries("job-1")


@pytest.mark.parametrize(
    ("given", "whole"),
    [
        ("llama-3.1-8b-instruct", "accounts/fireworks/models/llama-v3p1-8b-instruct"),
        ("llama-v3p2-3b-instruct", "accounts/fireworks/models/llama-v3p2-3b-instruct"),
        ("accounts/me/models/mine", "accounts/me/models/mine"),
    ],
)
def test_a_models_name_is_the_catalogs_the_librarys_or_whole(given: str, whole: str) -> None:
    assert asking.model_of(given) == whole


@pytest.mark.parametrize("given", ["Some/Model", "accounts/me/../x", "accounts/me/models/a:cancel"])
def test_what_is_no_models_name_is_refused(given: str) -> None:
    with pytest.raises(UsageError, match="isn't a model"):
        asking.model_of(given)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"hyperparameters": {"epochs": 0.5}}, "whole numbers"),
        ({"hyperparameters": {"lora_r": 2}}, "4 to 64"),
        ({"hyperparameters": {"lora_r": 128}}, "4 to 64"),
        ({"options": {"warmup_steps": "-1"}}, "number of steps"),
        ({"options": {"warm_start_from": "mine"}}, "whole name"),
        ({"options": {"early_stop": "true"}}, "validation file"),
        ({"options": {"early_stop": "maybe"}}, "true or false"),
        ({"options": {"dpo_beta": "0.1"}}, "setting of dpo"),
        ({"options": {"dpo_beta": "0.5"}, "method": "dpo"}, "below 0.5"),
        ({"options": {"dpo_beta": "x"}, "method": "dpo"}, "below 0.5"),
        ({"options": {"dpo_loss": "kto"}, "method": "dpo"}, "DPO or ORPO"),
        ({"validation": Path("v"), "validation_sha256": "0", "method": "dpo"}, "no validation"),
    ],
)
def test_what_it_does_not_take_is_refused_here(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        asking.require_settings(spec(**fields))


def test_the_longest_example_is_the_models_own() -> None:
    model = wire.Model(name="accounts/fireworks/models/m", training_context_length=1024)
    asked = spec(hyperparameters=Hyperparameters(max_length=2048))
    with pytest.raises(UsageError, match="up to 1024"):
        asking.require_model(asked, model)
    asking.require_model(spec(), model)


def test_only_one_folder_before_every_name_is_taken_off() -> None:
    assert without_folder(["hf/a.json", "hf/b.json"]) == ["a.json", "b.json"]
    assert without_folder(["hf/a.json", "b.json"]) == ["hf/a.json", "b.json"]
    assert without_folder(["../a.json", "../b.json"]) == ["../a.json", "../b.json"]
