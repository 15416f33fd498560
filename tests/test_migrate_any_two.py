"""A job moves between any two providers that share its method, and says why where they don't."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from kill_drivers import DRIVERS
from specimens import write_chats
from tiny_model import write_model

from ftctl.api.migrating import migrate, plan_migration
from ftctl.config import load_settings
from ftctl.datasets.digest import file_sha256
from ftctl.errors import ProviderClosed, Unsupported
from ftctl.job import JobSpec, JobState
from ftctl.providers.base import Provider
from ftctl.store import Store
from ftctl.testing.under_test import ProviderUnderTest

pytestmark = pytest.mark.medium

HOSTED = sorted(set(DRIVERS) - {"fake", "local"})
TUNES_CHATS = [name for name in HOSTED if name != "bedrock"]  # that one is for RFT alone


@pytest.fixture
def target(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[ProviderUnderTest]:
    monkeypatch.delenv("HF_HUB_OFFLINE")
    folder = tmp_path / "target"
    folder.mkdir()
    with DRIVERS[request.param].open(folder) as opened:
        yield opened


def jobs_of(folder: Path, but: str) -> dict[str, str]:
    """A finished job of every provider but one, as the store knows it: provider to job id."""
    folder.mkdir()
    data = write_chats(folder / "train.jsonl")
    ids = {}
    with Store(load_settings().database_url) as store:
        for provider in [*HOSTED, "local"]:
            if provider == but:
                continue
            spec = JobSpec(
                provider=provider,
                model="a-model-of-theirs",
                data=data,
                data_sha256=file_sha256(data),
                name=f"from-{provider}",
                base_url=None if provider == "local" else "http://127.0.0.1:9/v1",
            )
            job = store.add_job(spec, provider, new=True)
            store.update(job.id, lambda _: {"state": JobState.CANCELLED})
            ids[provider] = job.id
    return ids


@pytest.mark.parametrize("target", TUNES_CHATS, indirect=True)
def test_a_job_of_every_provider_moves_there(target: ProviderUnderTest, tmp_path: Path) -> None:
    there = target.spec
    driver: Provider = target.driver()
    sources = jobs_of(tmp_path / "sources", but=there.provider)
    for number, (source, job_id) in enumerate(sources.items(), start=1):
        job = migrate(job_id, to=there.provider, model=there.model, base_url=there.base_url)
        assert (job.record.provider, job.record.model) == (there.provider, there.model), source
        assert driver.find(job.record.marker) == job.record.remote_id
        assert target.made() == number


def test_a_job_of_every_provider_comes_home(tmp_path: Path) -> None:
    model = write_model(tmp_path / "tiny")
    for source, job_id in jobs_of(tmp_path / "sources", but="local").items():
        plan = plan_migration(job_id, to="local", model=str(model))
        assert (plan.spec.provider, plan.spec.base_url) == ("local", None), source
        assert plan.spec.model == str(model)


@pytest.mark.parametrize("target", ["bedrock"], indirect=True)
def test_where_the_method_isnt_tuned_the_move_says_so(
    target: ProviderUnderTest, tmp_path: Path
) -> None:
    there = target.spec
    for job_id in jobs_of(tmp_path / "sources", but="bedrock").values():
        with pytest.raises(Unsupported, match="can't do method sft"):
            plan_migration(job_id, to="bedrock", model=there.model, base_url=there.base_url)
    assert target.made() == 0


def test_no_job_moves_to_a_route_that_is_closed(tmp_path: Path) -> None:
    for job_id in jobs_of(tmp_path / "sources", but="mistral").values():
        with pytest.raises(ProviderClosed, match="mistral is closed"):
            plan_migration(job_id, to="mistral", model="open-mistral-7b")
