"""What each vendor of OpenAI's wire is sent, in its own words, and what is refused before."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from ftctl.api.submitting import make_spec
from ftctl.config import load_settings
from ftctl.errors import InvalidRequest, NotFound, PrivacyForbids, Unsupported, UsageError
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.migration import translate
from ftctl.providers.openai.driver import (
    AzureProvider,
    BedrockProvider,
    NebiusProvider,
    OpenAIProvider,
)
from ftctl.providers.openai.profiles import NEBIUS
from ftctl.testing import openai_dialects as dialects
from ftctl.testing.loopback import Fault
from ftctl.testing.openai_vendor import OpenAIVendor

KEY = "sk-planted-0123456789abcdef"
CREATE = "POST /fine_tuning/jobs"
MAKERS: dict[str, type[OpenAIProvider]] = {
    "openai": OpenAIProvider,
    "azure": AzureProvider,
    "bedrock": BedrockProvider,
    "nebius": NebiusProvider,
}
ARN = "arn:aws:lambda:us-west-2:123456789012:function:reward"
STRING_CHECK = {
    "type": "string_check",
    "name": "same",
    "input": "{{sample.output_text}}",
    "reference": "{{item.answer}}",
    "operation": "eq",
}


@pytest.fixture(autouse=True)
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "NEBIUS_API_KEY"):
        monkeypatch.setenv(variable, KEY)
    monkeypatch.setenv("AWS_BEARER_TOKEN_BEDROCK", KEY)


@contextmanager
def running(dialect: dialects.Dialect) -> Iterator[tuple[OpenAIVendor, OpenAIProvider]]:
    with OpenAIVendor(KEY, dialect=dialect, by_polls=False) as vendor:
        yield vendor, MAKERS[dialect.name](load_settings(), vendor.base_url)


def created(dialect: dialects.Dialect, spec: JobSpec, **changes: Any) -> dict[str, Any]:
    """What arrives at a vendor that takes only what its own wire has."""
    spec = spec.model_copy(update={"provider": dialect.name, **changes})
    with running(dialect) as (vendor, driver):
        driver.check(spec)
        files = {"training": driver.upload(spec.data, spec.data_sha256)}
        if spec.validation is not None:
            files["validation"] = driver.upload(spec.validation, "0" * 64)
        driver.create(spec, files, "job-abc")
        assert driver.find("job-abc") in vendor.jobs
        (asked,) = vendor.asked(CREATE)
        body: dict[str, Any] = asked.json()
        assert body.pop("training_file") == files["training"].id
        assert body.pop("validation_file", "") == (
            files["validation"].id if spec.validation else ""
        )
        return body


def test_nebius_is_told_to_tune_an_adapter_at_an_absolute_rate(spec: JobSpec) -> None:
    given = Hyperparameters(
        epochs=2, learning_rate=1e-4, warmup_fraction=0.1, lora_r=16, max_length=8192, seed=7
    )
    model = {"model": "llama-3.1-8b-instruct", "hyperparameters": given}
    assert created(dialects.NEBIUS, spec, **model, options={"packing": "false"}) == {
        "model": "meta-llama/Llama-3.1-8B-Instruct",
        "suffix": "colours-job-abc",
        "seed": 7,
        "hyperparameters": {
            "n_epochs": 2,
            "learning_rate": 1e-4,
            "warmup_ratio": 0.1,
            "context_length": 8192,
            "lora_r": 16,
            "packing": False,
            "lora": True,
        },
    }
    whole = created(dialects.NEBIUS, spec, **model, tuning="full")
    assert whole["hyperparameters"]["lora"] is False


def test_a_long_name_keeps_the_marker_at_its_end(spec: JobSpec) -> None:
    named = created(dialects.NEBIUS, spec, model="llama-3.1-8b-instruct", name="naïve ✓ " * 8)
    assert named["suffix"].endswith("-job-abc")
    assert len(named["suffix"]) <= 64


def test_azure_trains_where_it_is_told_to(spec: JobSpec) -> None:
    asked = created(
        dialects.AZURE,
        spec,
        model="gpt-4.1-mini",
        method="dpo",
        name="a name that is longer than Azure takes",
        options={"tier": "global", "beta": "0.2"},
        hyperparameters=Hyperparameters(epochs=1),
    )
    assert asked == {
        "model": "gpt-4.1-mini-2025-04-14",
        "suffix": "a name that is longer than Azure takes"[:40].replace(" ", "-"),
        "metadata": {
            "ftctl_marker": "job-abc",
            "ftctl_name": "a name that is longer than Azure takes",
        },
        "method": {"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 1, "beta": 0.2}}},
        "trainingType": "GlobalStandard",
    }


def test_a_grader_gives_the_reward(spec: JobSpec) -> None:
    asked = created(
        dialects.OPENAI,
        spec,
        method="rft",
        validation=spec.data,
        hyperparameters=Hyperparameters(epochs=1),
        options={"grader": json.dumps(STRING_CHECK), "eval_interval": "5"},
    )
    assert asked["method"] == {
        "type": "reinforcement",
        "reinforcement": {
            "hyperparameters": {"n_epochs": 1, "eval_interval": 5},
            "grader": STRING_CHECK,
        },
    }


def test_bedrock_is_given_a_function_and_no_suffix(spec: JobSpec) -> None:
    asked = created(
        dialects.BEDROCK,
        spec,
        model="gpt-oss-20b",
        method="rft",
        hyperparameters=Hyperparameters(),
        options={"grader": ARN, "reasoning_effort": "low"},
    )
    assert asked == {
        "model": "openai.gpt-oss-20b",
        "metadata": {"ftctl_marker": "job-abc", "ftctl_name": "colours"},
        "method": {
            "type": "reinforcement",
            "reinforcement": {
                "hyperparameters": {"reasoning_effort": "low"},
                "grader": {"type": "lambda", "lambda": {"function": ARN}},
            },
        },
    }


MULTI = {
    "type": "multi",
    "name": "both",
    "graders": {"same": STRING_CHECK},
    "calculate_output": "same",
}
ASKED = [{"role": "user", "content": "{{sample.output_text}}"}]
SCORE = {"type": "score_model", "name": "s", "model": "m", "input": ASKED}
SIMILAR = {k: v for k, v in STRING_CHECK.items() if k != "operation"} | {
    "type": "text_similarity",
    "evaluation_metric": "rouge_l",
}


@pytest.mark.parametrize(
    "grader",
    [
        STRING_CHECK,
        MULTI,
        SCORE,
        {"type": "python", "name": "p", "source": "def grade(s, i): return 1"},
        SIMILAR,
    ],
)
def test_every_kind_of_grader_passes(spec: JobSpec, grader: dict[str, Any]) -> None:
    grader = {
        k: v for k, v in grader.items() if grader["type"] == "string_check" or k != "operation"
    }
    change = {"method": "rft", "validation": spec.data, "options": {"grader": json.dumps(grader)}}
    with running(dialects.OPENAI) as (_, driver):
        driver.check(spec.model_copy(update=change))


@pytest.mark.parametrize(
    ("who", "change", "error", "says"),
    [
        ("openai", {"method": "rft"}, UsageError, "needs a grader"),
        ("openai", {"options": {"beta": "1"}}, UsageError, "takes no beta for sft"),
        ("openai", {"method": "dpo", "options": {"beta": "3"}}, UsageError, "above 0 to 2"),
        ("openai", {"method": "dpo", "options": {"beta": "much"}}, UsageError, "beta=much"),
        ("nebius", {"method": "dpo"}, Unsupported, "doesn't tune with dpo"),
        ("nebius", {"hyperparameters": Hyperparameters(epochs=21)}, UsageError, "1 to 20"),
        ("nebius", {"hyperparameters": Hyperparameters(max_length=512)}, UsageError, "from 8192"),
        ("nebius", {"options": {"packing": "maybe"}}, UsageError, "true, false"),
        ("azure", {"options": {"tier": "cheap"}}, UsageError, "standard, global, developer"),
        ("azure", {"privacy": "regulated"}, PrivacyForbids, "tier=standard"),
        (
            "azure",
            {"privacy": "regulated", "options": {"tier": "global"}},
            PrivacyForbids,
            "tier=standard",
        ),
        ("bedrock", {"method": "rft", "options": {"grader": "[]"}}, UsageError, "the grader"),
        (
            "bedrock",
            {"method": "rft", "options": {"grader": json.dumps(STRING_CHECK)}},
            Unsupported,
            "takes no string_check",
        ),
    ],
)
def test_what_a_vendor_wouldnt_take_is_never_sent(
    spec: JobSpec, who: str, change: dict[str, Any], error: type[Exception], says: str
) -> None:
    change = {"hyperparameters": Hyperparameters(), **change}
    driver = MAKERS[who](load_settings(), "http://127.0.0.1:9/v1")
    with pytest.raises(error, match=says):
        driver.check(spec.model_copy(update=change))


@pytest.mark.parametrize(
    ("grader", "says"),
    [
        ("", "needs a grader"),
        ("{", "isn't JSON"),
        ('{"type": "oracle"}', "tag 'oracle'"),
        (json.dumps(STRING_CHECK | {"operation": "is"}), "operation"),
        (json.dumps(MULTI | {"graders": {}}), "graders"),
        ('{"type": "lambda", "lambda": {"function": "reward"}}', "lambda.function"),
    ],
)
def test_a_grader_that_is_none_says_where(spec: JobSpec, grader: str, says: str) -> None:
    change = {"method": "rft", "validation": spec.data, "options": {"grader": grader}}
    driver = OpenAIProvider(load_settings(), "http://127.0.0.1:9/v1")
    with pytest.raises(UsageError, match=says):
        driver.check(spec.model_copy(update=change))


def test_rft_asks_for_a_validation_file(spec: JobSpec) -> None:
    change = {"method": "rft", "options": {"grader": json.dumps(STRING_CHECK)}}
    driver = OpenAIProvider(load_settings(), "http://127.0.0.1:9/v1")
    with pytest.raises(UsageError, match="validation file"):
        driver.check(spec.model_copy(update=change))


def test_azure_has_no_address_for_everybody(spec: JobSpec) -> None:
    with pytest.raises(UsageError, match="address for each customer") as caught:
        AzureProvider(load_settings()).check(spec)
    assert "AZURE_OPENAI_BASE_URL" in caught.value.hint


def test_a_bedrock_job_remembers_its_region(
    examples: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = {"provider": "bedrock", "data": examples, "model": "gpt-oss-20b", "method": "rft"}
    assert make_spec(**asked).base_url is None  # type: ignore[arg-type]
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_REGION", "us-west-2")
    spec = make_spec(**asked, hyperparameters={"grader": ARN})  # type: ignore[arg-type]
    assert spec.base_url == "https://bedrock-mantle.us-west-2.api.aws/v1"
    driver = BedrockProvider(load_settings(), spec.base_url)
    driver.check(spec)
    with pytest.raises(Unsupported, match="doesn't tune llama-3"):  # the vendor's own: dates apply
        driver.check(spec.model_copy(update={"model": "llama-3.3-70b-instruct"}))
    monkeypatch.setenv("AWS_REGION", "evil.example/")
    with pytest.raises(UsageError, match="isn't a region"):
        make_spec(**asked)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("llama-3.1-8b-instruct", None),
        ("Qwen/Qwen9-8B-nobody-knows", None),  # it tunes more than the catalog holds
        ("gpt-4.1-mini", Unsupported),
    ],
)
def test_a_vendor_of_open_models_takes_more_than_we_know(
    spec: JobSpec, model: str, error: type[Exception] | None
) -> None:
    asked = spec.model_copy(update={"model": model, "hyperparameters": Hyperparameters()})
    driver = NebiusProvider(load_settings())
    if error is None:
        driver.check(asked)
        return
    with pytest.raises(error, match=r"Nebius doesn't tune gpt-4\.1-mini with sft"):
        driver.check(asked)


def test_a_file_that_azure_imports_is_waited_for(spec: JobSpec) -> None:
    with running(dialects.AZURE) as (vendor, driver):
        held = driver.upload(spec.data, spec.data_sha256)
        assert vendor.files[held.id].document["status"] == "processed"
        assert driver.upload(spec.data, spec.data_sha256) == held
        vendor.files[held.id].document["status"] = "error"
        broken = Fault("GET /files/*", "changed", change=lambda d: d | {"status": "error"})
        vendor.faults.append(broken)
        with pytest.raises(InvalidRequest, match="its import ended as error"):
            driver.upload(spec.data, spec.data_sha256)


@pytest.fixture
def nebius_job(spec: JobSpec) -> Callable[[OpenAIProvider], str]:
    def run(driver: OpenAIProvider) -> str:
        asked = spec.model_copy(
            update={"model": "llama-3.1-8b-instruct", "hyperparameters": Hyperparameters()}
        )
        held = {"training": driver.upload(spec.data, spec.data_sha256)}
        return driver.create(asked, held, "job-abc")

    return run


def test_a_nebius_job_is_proved_by_its_last_checkpoint(
    nebius_job: Callable[[OpenAIProvider], str], tmp_path: Path
) -> None:
    with running(dialects.NEBIUS) as (vendor, driver):
        job = nebius_job(driver)
        vendor.move(job, "running")
        assert [page[job].state for page in driver.list_jobs()] == [JobState.RUNNING]
        vendor.move(job, "succeeded")
        assert list(driver.list_jobs()) == [{}]  # asked for alone: only checkpoints name the model
        done = driver.poll(job)
        assert done.state is JobState.SUCCEEDED
        (last,) = vendor.jobs[job].checkpoints
        assert done.fine_tuned_model == last["fine_tuned_model_checkpoint"]
        assert (done.progress["step"], done.progress["total_steps"]) == (2, 2)
        config = {f"{job}/adapter_config.json": b"{}"}
        weights = vendor.files[last["result_files"][1]].content
        vendor.offer(job, config | {f"{job}/adapter_model.safetensors": weights})
        tuned = driver.fetch(job, tmp_path / "adapter")
        assert tuned.folder == tmp_path / "adapter"
        assert {file.name for file in tuned.folder.iterdir()} == {
            "README.md",
            "adapter_config.json",
            "adapter_model.safetensors",
            "events.jsonl",
            "job.json",
            "manifest.json",
        }
        assert "Its weights are in this folder" in (tuned.folder / "README.md").read_text("utf-8")
        files, last["result_files"] = last["result_files"], []
        vendor.jobs[job].document["fine_tuned_model"] = "named-all-the-same"
        assert driver.fetch(job, tmp_path / "none").folder is None
        assert "in this folder" not in (tmp_path / "none" / "README.md").read_text("utf-8")
        last["result_files"] = files
        driver.forget(job)
        assert not set(last["result_files"]) & set(vendor.files)


def test_another_tools_job_at_nebius_is_not_taken_for_ours(
    nebius_job: Callable[[OpenAIProvider], str],
) -> None:
    with running(dialects.NEBIUS) as (vendor, driver):
        job = nebius_job(driver)
        assert driver.find("job-other") is None
        vendor.jobs[job].document["suffix"] = "my-own"
        assert driver.find("job-abc") is None
        vendor.jobs[job].document["suffix"] = None
        with pytest.raises(InvalidRequest, match="keeps no suffix"):
            driver.find("job-abc")


def test_a_422_of_nebius_is_quoted(spec: JobSpec) -> None:
    with running(dialects.NEBIUS) as (_, driver):
        held = {"training": driver.upload(spec.data, spec.data_sha256)}
        asked = spec.model_copy(update={"model": "x" * 9, "hyperparameters": Hyperparameters()})
        with pytest.raises(NotFound, match="The model `xxxxxxxxx` does not exist"):
            driver.create(asked, held, "job-abc")


def test_success_just_now_may_get_its_name_a_little_later(spec: JobSpec) -> None:
    with running(dialects.OPENAI) as (vendor, driver):
        held = {"training": driver.upload(spec.data, spec.data_sha256)}
        job = driver.create(spec, held, "job-abc")
        vendor.move(job, "succeeded")
        named = vendor.jobs[job].document.pop("fine_tuned_model")
        seen = driver.poll(job)
        assert (seen.state, seen.provider_status) == (JobState.RUNNING, "succeeded")
        vendor.jobs[job].document["fine_tuned_model"] = named
        assert driver.poll(job).state is JobState.SUCCEEDED
        vendor.jobs[job].document |= {"fine_tuned_model": None, "finished_at": 1_700_000_000}
        assert driver.poll(job).state is JobState.SUCCEEDED  # and the core says that it isn't


def metrics(driver: OpenAIProvider, job: str) -> list[dict[str, float]]:
    return [event.data for event in driver.events(job, 0) if event.kind == "metrics"]


def test_steps_that_no_line_told_are_read_from_the_result_file(spec: JobSpec) -> None:
    with running(dialects.OPENAI) as (vendor, driver):
        held = {"training": driver.upload(spec.data, spec.data_sha256)}
        job = driver.create(spec, held, "job-abc")
        said = len(driver.events(job, 0))
        assert metrics(driver, job) == []
        vendor.move(job, "succeeded")
        measured = [
            {"step": 1.0, "train_loss": 1.5, "train_accuracy": 0.4, "loss": 1.5},
            {"step": 2.0, "train_loss": 1.1, "train_accuracy": 0.6, "loss": 1.1},
        ]
        assert metrics(driver, job) == measured
        later = driver.events(job, said + 1)
        assert [event.data for event in later] == measured
        assert driver.events(job, said + 3) == []
        many = "step,train_loss\n" + "".join(f"{n},{n / 7}\n" for n in range(1, 1702))
        (results,) = vendor.jobs[job].document["result_files"]
        vendor.files[results].content = many.encode()
        told = metrics(driver, job)
        assert len(told) <= 400
        assert told[-1]["step"] == 1701
        vendor.files[results].content = b"nothing,of\nthe,kind\n"
        assert metrics(driver, job) == []
        del vendor.files[results]
        assert metrics(driver, job) == []


def test_lines_that_tell_measurements_are_not_told_twice(spec: JobSpec) -> None:
    with running(dialects.OPENAI) as (vendor, driver):
        held = {"training": driver.upload(spec.data, spec.data_sha256)}
        job = driver.create(spec, held, "job-abc")
        vendor.move(job, "running")
        vendor.move(job, "succeeded")
        assert [row["step"] for row in metrics(driver, job)] == [1, 2]
        assert not vendor.asked("GET /files/*/content")


def test_nebius_tells_what_was_measured_at_each_checkpoint(
    nebius_job: Callable[[OpenAIProvider], str],
) -> None:
    with running(dialects.NEBIUS) as (vendor, driver):
        job = nebius_job(driver)
        vendor.move(job, "succeeded")
        assert metrics(driver, job) == [{"step": 2.0, "train_loss": 1.0, "loss": 1.0}]


def test_a_job_moves_to_nebius_with_its_rate_in_absolute_terms(spec: JobSpec) -> None:
    given = Hyperparameters(epochs=2, learning_rate_multiplier=0.5, seed=7)
    old = JobSpec.model_validate(spec.model_dump() | {"hyperparameters": given})
    new, _ = translate(
        old, "nebius", NEBIUS.capabilities, model="llama-3.1-8b-instruct", as_of=date(2026, 11, 24)
    )
    assert new.hyperparameters == Hyperparameters(epochs=2, learning_rate=1e-4, seed=7)
    assert (new.provider, new.model, new.tuning) == ("nebius", "llama-3.1-8b-instruct", "lora")
    with running(dialects.NEBIUS) as (_, driver):
        driver.check(new)
