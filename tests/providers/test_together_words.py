"""What Together says, in our words: every word of its types, and what a create holds."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from ftctl.errors import UsageError
from ftctl.fault_words import FaultWord, word_of
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.providers.base import RemoteFile
from ftctl.providers.together import request as asking
from ftctl.providers.together import wire as wire
from ftctl.testing.together_requests import Create, Price

# The SDK's status words (together 3.1.1; `user_error` in its older types), each with the state
# that the research of peers gives it.
STATUS = {
    "pending": JobState.QUEUED,
    "queued": JobState.QUEUED,
    "running": JobState.RUNNING,
    "compressing": JobState.RUNNING,
    "uploading": JobState.RUNNING,
    "cancel_requested": JobState.CANCELLING,
    "cancelled": JobState.CANCELLED,
    "error": JobState.FAILED,
    "user_error": JobState.FAILED,
    "completed": JobState.SUCCEEDED,
}
# Its event types, `FinetuneEventType` of the same SDK.
EVENTS = [
    "job_pending",
    "job_start",
    "job_stopped",
    "model_downloading",
    "model_download_complete",
    "training_data_downloading",
    "training_data_download_complete",
    "validation_data_downloading",
    "validation_data_download_complete",
    "wandb_init",
    "training_start",
    "checkpoint_save",
    "billing_limit",
    "epoch_complete",
    "training_complete",
    "model_compressing",
    "model_compression_complete",
    "model_uploading",
    "model_upload_complete",
    "job_complete",
    "job_error",
    "cancel_requested",
    "job_restarted",
    "refund",
    "warning",
    "early_stopped",
    "tokenized_dataset_upload_complete",
]


def job(status: str, **fields: Any) -> wire.Job:
    return wire.Job.model_validate({"id": "ft-1", "status": status, **fields})


def spec(**fields: Any) -> JobSpec:
    base = {"provider": "together", "model": "qwen3-8b", "data": Path("train.jsonl"), "name": "n"}
    return JobSpec(**(base | {"data_sha256": "0" * 64} | fields))


FILES = {"training": RemoteFile("file-1", "0" * 64)}
BOTH = FILES | {"validation": RemoteFile("file-2", "1" * 64)}
LIMITS = asking.Limits()


@pytest.mark.parametrize("word", STATUS)
def test_each_status_is_the_state_that_the_table_says(word: str) -> None:
    seen = wire.snapshot_of(job(word, model_output_name="me/n"))
    assert (seen.state, seen.provider_status) == (STATUS[word], word)
    assert (seen.fine_tuned_model is not None) == (word == "completed")


def test_every_status_and_event_of_the_sdk_is_mapped() -> None:
    assert set(wire.STATUS) == set(STATUS)
    assert len(EVENTS) == 27
    assert set(wire.EVENTS) == set(EVENTS)


def test_a_new_word_decides_nothing_and_is_kept() -> None:
    seen = wire.snapshot_of(job("pondering"))
    assert (seen.state, seen.provider_status) == (None, "pondering")
    assert not job("pondering").ended


def test_a_new_event_is_plain_information() -> None:
    line = wire.Event(type="celebration", message="hooray")
    (event,) = wire.events_of([line], [])
    assert (event.level, event.message) == ("info", "hooray")


def test_whose_fault_a_failure_is_is_told_apart() -> None:
    said = {"type": "job_error", "message": "row 7 has no answer"}
    words = {}
    for status in ("user_error", "error"):
        error = wire.snapshot_of(job(status, events=[said])).error
        assert error is not None
        assert error["message"] == "row 7 has no answer"
        words[status] = word_of(error["kind"])
    assert words == {"user_error": FaultWord.DATA, "error": FaultWord.CAPACITY}


def test_packing_is_running_and_says_so() -> None:
    assert "packing" in wire.snapshot_of(job("compressing")).message
    assert "storing" in wire.snapshot_of(job("uploading")).message


def test_a_price_counts_billionths_of_a_dollar() -> None:
    done = wire.snapshot_of(job("completed", model_output_name="m", total_price=592_320_000))
    assert done.progress["cost_usd"] == pytest.approx(0.59232)
    running = wire.snapshot_of(job("running", total_price=592_320_000))
    assert running.progress["estimated_usd"] == pytest.approx(0.59232)


def test_how_long_it_takes_is_shown_only_where_it_is_known() -> None:
    told = {"estimate_available": True, "seconds_remaining": 90}
    assert wire.snapshot_of(job("running", progress=told)).progress["seconds_remaining"] == 90
    told["estimate_available"] = False
    assert "seconds_remaining" not in wire.snapshot_of(job("running", progress=told)).progress


def test_what_was_said_and_measured_comes_in_the_order_of_time() -> None:
    lines = [
        wire.Event(
            type="training_complete", message="b", created_at=datetime(2026, 1, 2, tzinfo=UTC)
        ),
        wire.Event(type="training_start", message="a", created_at=datetime(2026, 1, 1, tzinfo=UTC)),
    ]
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    rows = [{"timestamp": noon.timestamp() * 1e9, "train/global_step": 3.0, "train/loss": 0.5}]
    events = wire.events_of(lines, rows)
    assert [event.message for event in events] == ["a", "step=3, loss=0.5", "b"]
    assert events[1].at == noon
    assert (events[1].kind, events[1].data["loss"]) == ("metrics", 0.5)


def test_the_same_line_said_twice_has_two_ids() -> None:
    line = wire.Event(type="epoch_complete", message="epoch", created_at=None)
    events = wire.events_of([line, line], [])
    assert len({event.source_id for event in events}) == 2
    assert [e.source_id for e in wire.events_of([line], [])] == [events[0].source_id]


@pytest.mark.parametrize(
    "name", ["n", "A name, with Ünïcode & much more than forty characters", "--", ""]
)
def test_the_suffix_fits_and_holds_the_whole_marker(name: str) -> None:
    marker = "job-23456789ab"
    suffix = asking.suffix_of(name, marker)
    assert len(suffix) <= 40
    assert job("queued", suffix=suffix).carries(marker)
    assert not job("queued", suffix=suffix).carries("ob-23456789ab")
    assert not job("queued", suffix=None).carries(marker)


def test_without_a_suffix_the_models_name_tells_whose_job_it_is() -> None:
    made = job("completed", model_output_name="me/Qwen3-8B-colours-job-23456789ab-1f2e")
    assert made.carries("job-23456789ab")
    assert not made.carries("job-23456789a")
    assert not job("queued").carries("job-23456789ab")


def test_a_create_holds_only_what_was_asked_and_how_it_tunes() -> None:
    body = asking.request_of(spec(), FILES, LIMITS)
    assert body == {
        "training_file": "file-1",
        "model": "Qwen/Qwen3-8B",
        "training_method": {"method": "sft", "train_on_inputs": "auto"},
        "training_type": {"type": "Lora", "lora_r": 8, "lora_alpha": 16},
    }
    Create.model_validate_json(json.dumps(body))


def test_every_setting_has_its_field() -> None:
    given = Hyperparameters(
        epochs=2,
        batch_size=8,
        learning_rate=2e-4,
        warmup_fraction=0.1,
        weight_decay=0.01,
        lora_r=32,
        lora_alpha=64,
        lora_dropout=0.05,
        max_length=1024,
        seed=7,
    )
    body = asking.request_of(spec(hyperparameters=given), BOTH, LIMITS)
    asked = Create.model_validate_json(json.dumps(body)).model_dump(exclude_unset=True)
    assert asked["training_type"] == {
        "type": "Lora",
        "lora_r": 32,
        "lora_alpha": 64,
        "lora_dropout": 0.05,
    }
    assert {name: asked[name] for name in ("n_epochs", "warmup_ratio", "random_seed")} == {
        "n_epochs": 2,
        "warmup_ratio": 0.1,
        "random_seed": 7,
    }
    assert (asked["validation_file"], asked["n_evals"]) == ("file-2", 2)


def test_dpo_and_full_are_their_own_objects() -> None:
    asked = spec(method="dpo", tuning="full", options={"dpo_beta": "0.2"})
    body = asking.request_of(asked, FILES, LIMITS)
    assert body["training_method"] == {"method": "dpo", "dpo_beta": 0.2}
    assert body["training_type"] == {"type": "Full"}
    Create.model_validate_json(json.dumps(body))


def test_a_checkpoint_takes_the_models_place_and_its_adapter_goes_on() -> None:
    body = asking.request_of(spec(options={"from_checkpoint": "ft-1:40"}), FILES, LIMITS)
    assert body["from_checkpoint"] == "ft-1:40"
    assert not {"model", "training_type"} & body.keys()
    Create.model_validate_json(json.dumps(body))


def test_the_question_for_a_price_is_a_part_of_the_create() -> None:
    body = asking.request_of(spec(hyperparameters=Hyperparameters(epochs=3, seed=1)), BOTH, LIMITS)
    asked = {name: value for name, value in body.items() if name in asking.PRICED}
    assert Price.model_validate_json(json.dumps(asked)).n_epochs == 3
    assert set(asking.PRICED) == set(Price.model_fields)


@pytest.mark.parametrize(
    ("fields", "match"),
    [
        ({"hyperparameters": {"epochs": 21}}, "whole numbers from 1 to 20"),
        ({"hyperparameters": {"epochs": 1.5}}, "whole numbers"),
        ({"hyperparameters": {"lora_r": 8}, "tuning": "full"}, "of an adapter"),
        ({"options": {"n_evals": "3"}}, "validation file"),
        ({"options": {"n_evals": "101"}}, "0 to 100"),
        ({"options": {"n_evals": "many"}}, "no number"),
        ({"options": {"dpo_beta": "0.1"}}, "setting of dpo"),
        ({"options": {"dpo_beta": "nan"}, "method": "dpo"}, "no number"),
        ({"options": {"rpo_alpha": "-1"}, "method": "dpo"}, "negative"),
    ],
)
def test_what_no_model_there_takes_is_refused_here(fields: dict[str, Any], match: str) -> None:
    with pytest.raises(UsageError, match=match):
        asking.require_settings(spec(**fields))


@pytest.mark.parametrize(
    ("given", "match"),
    [
        ({"batch_size": 4}, "8 to 16"),
        ({"batch_size": 17}, "8 to 16"),
        ({"learning_rate": 0.5}, "learning_rate=0.5"),
        ({"lora_r": 65}, "1 to 64"),
        ({"max_length": 40000}, "256 to 32768"),
    ],
)
def test_what_this_model_does_not_take_is_refused_here(given: dict[str, Any], match: str) -> None:
    limits = asking.Limits.model_validate(
        {
            "lora_training": {"max_rank": 64, "min_batch_size": 8, "max_batch_size": 16},
            "max_learning_rate": 0.1,
            "min_max_seq_length": 256,
            "max_seq_length_sft": 32768,
        }
    )
    with pytest.raises(UsageError, match=match):
        asking.require_limits(spec(hyperparameters=given), limits)
    asking.require_limits(spec(hyperparameters={"batch_size": 8, "lora_r": 64}), limits)
