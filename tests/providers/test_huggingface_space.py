"""AutoTrain in a Space: what it is given, and how its end is inferred."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from specimens import spec_on_ten_rows

from ftctl.config import load_settings
from ftctl.errors import Unavailable, Unsupported
from ftctl.job import Hyperparameters, JobSpec, JobState
from ftctl.providers.huggingface.driver import HuggingFaceProvider
from ftctl.providers.huggingface.space import SPACE_STATUS
from ftctl.testing.hub import Hub
from ftctl.testing.hub_spaces import HubSpace
from ftctl.testing.loopback import Fault

KEY = "hf_planted0123456789planted"
SPACE = "tester/autotrain-job-1"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setenv("HF_TOKEN", KEY)
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with Hub(KEY) as vendor:
        yield vendor


@pytest.fixture
def driver(hub: Hub) -> HuggingFaceProvider:
    return HuggingFaceProvider(load_settings(), hub.base_url)


@pytest.fixture
def spec(hub: Hub, tmp_path: Path) -> JobSpec:
    return spec_on_ten_rows(
        tmp_path,
        provider="huggingface",
        model="qwen2.5-0.5b-instruct",
        name="My job",
        engine="autotrain-space",
        options={"flavor": "a10g-large"},
        base_url=hub.base_url,
    )


def start(driver: HuggingFaceProvider, spec: JobSpec) -> str:
    files = {"training": driver.upload(spec.data, spec.data_sha256)}
    return driver.create(spec, files, "job-1")


@pytest.mark.medium
def test_every_stage_that_the_sdk_knows_is_mapped_or_inferred() -> None:
    from huggingface_hub import SpaceStage

    assert set(SPACE_STATUS) | {"PAUSED"} == {stage.value for stage in SpaceStage}


@pytest.mark.medium
def test_a_space_gets_all_that_it_needs_and_what_starts_it_last(
    hub: Hub, driver: HuggingFaceProvider, spec: JobSpec, caplog: pytest.LogCaptureFixture
) -> None:
    assert start(driver, spec) == f"spaces/{SPACE}"
    assert "legacy" in caplog.text
    repo, space = hub.repos.by_id["space", SPACE], hub.spaces.by_id[SPACE]
    assert repo.private
    assert repo.hardware == "a10g-large"
    assert "autotrain-advanced==0.8.36" in repo.files["Dockerfile"].decode()
    assert space.secrets == [
        "HF_TOKEN", "AUTOTRAIN_USERNAME", "PROJECT_NAME", "TASK_ID", "PARAMS", "DATA_PATH", "MODEL",
    ]  # fmt: skip
    assert space.sleep_s is not None
    assert space.sleep_s >= 1800
    assert KEY not in json.dumps(space.variables) + str(repo.files)
    started = [r.path for r in hub.requests if r.method == "POST" and "/spaces/" in r.path]
    assert started[-1] == f"/api/spaces/{SPACE}/commit/main"


@pytest.mark.medium
def test_the_key_goes_into_secrets_alone(
    hub: Hub, driver: HuggingFaceProvider, spec: JobSpec
) -> None:
    start(driver, spec)
    holding = [r for r in hub.requests if KEY.encode() in r.body]
    assert [r.json()["key"] for r in holding] == ["HF_TOKEN", "PARAMS"]
    assert all(r.path == f"/api/spaces/{SPACE}/secrets" for r in holding)


@pytest.mark.medium
def test_a_space_that_a_crash_left_without_its_program_is_not_a_job(
    hub: Hub, driver: HuggingFaceProvider, spec: JobSpec
) -> None:
    hub.faults.append(Fault(f"POST /api/spaces/{SPACE}/commit/main", status=500))
    with pytest.raises(Unavailable):
        start(driver, spec)
    assert driver.find("job-1") is None
    assert start(driver, spec) == driver.find("job-1")
    assert len(hub.spaces.started()) == 1


@pytest.mark.medium
@pytest.mark.parametrize(
    ("stage", "title", "pushes", "state", "says"),
    [
        ("PAUSED", "Your training has finished successfully ✅", True, "succeeded", "adapter"),
        ("PAUSED", "", True, "succeeded", "adapter"),
        ("PAUSED", "Your training has finished successfully ✅", False, "succeeded", "finished"),
        ("PAUSED", "Your training has failed ❌", False, "failed", "failed"),
        ("PAUSED", "", False, "cancelled", "paused"),
        ("SLEEPING", "", False, "failed", "time limit"),
        ("SLEEPING", "", True, "succeeded", "adapter"),
    ],
)
def test_the_end_is_inferred_and_said_to_be(
    hub: Hub,
    driver: HuggingFaceProvider,
    spec: JobSpec,
    stage: str,
    title: str,
    pushes: bool,
    state: str,
    says: str,
) -> None:
    remote_id = start(driver, spec)
    hub.end_space(remote_id, pushes=pushes, title=title)
    hub.spaces.by_id[SPACE].stage = stage
    seen = driver.poll(remote_id)
    assert seen.state is JobState(state)
    assert seen.provider_status == stage
    assert says in seen.message
    assert "inferred" in seen.message
    assert (seen.fine_tuned_model is not None) == pushes


@pytest.mark.medium
def test_a_stage_that_nobody_knows_ends_nothing(
    hub: Hub, driver: HuggingFaceProvider, spec: JobSpec
) -> None:
    remote_id = start(driver, spec)
    hub.spaces.by_id[SPACE] = HubSpace(
        stage="PONDERING", variables=hub.spaces.by_id[SPACE].variables
    )
    assert driver.poll(remote_id).state is None


@pytest.mark.medium
def test_forgetting_deletes_the_space_and_all_that_it_made(
    hub: Hub, driver: HuggingFaceProvider, spec: JobSpec
) -> None:
    remote_id = start(driver, spec)
    hub.end_space(remote_id)
    repo_id = json.loads(hub.spaces.by_id[SPACE].variables["FTCTL_ORDER"])["repo"]
    hub.repos.by_id["model", repo_id].files["README.md"] = b"# Model trained by AutoTrain\n"
    driver.forget(remote_id)
    assert hub.repos.by_id == {}


@pytest.mark.medium
@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"method": "dpo"}, "dpo"),
        ({"hyperparameters": Hyperparameters(max_steps=3)}, "max_steps"),
        ({"options": {"flavor": "a10g-large", "namespace": "team"}}, "namespace"),
        ({"validation": Path("train.jsonl")}, "validation"),
        ({"options": {"flavor": "h200"}}, "h200"),
    ],
)
def test_what_autotrain_does_nothing_with_is_refused_before_it_is_sent(
    hub: Hub, driver: HuggingFaceProvider, spec: JobSpec, fields: dict[str, object], named: str
) -> None:
    with pytest.raises(Unsupported, match=named):
        driver.check(spec.model_copy(update=fields))
    assert hub.requests == []
