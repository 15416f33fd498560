"""Each tuned model has a last day, and who has one is told in time."""

from datetime import date
from pathlib import Path

import pytest
from command_line import Cli

from ftctl.api.tuned_models import my_models
from ftctl.config import load_settings
from ftctl.job import JobSpec, JobState
from ftctl.store import Store
from ftctl.testing import openai_documents as documents
from ftctl.testing.loopback import Fault
from ftctl.testing.openai_vendor import OpenAIVendor
from ftctl.watcher import adopt

TODAY = date(2026, 11, 24)


def add(provider: str, model: str, base_url: str | None = None, *, done: bool = True) -> str:
    spec = JobSpec(
        provider=provider,
        model=model,
        data=Path("x.jsonl"),
        data_sha256="0" * 64,
        name="n",
        base_url=base_url,
    )
    with Store(load_settings().database_url) as store:
        job = store.add_job(spec, f"{provider} {model} {base_url}", new=True)
        for state in (JobState.UPLOADING, JobState.SUBMITTING):
            store.update(job.id, lambda _, state=state: {"state": state})  # type: ignore[misc]
        adopt(store, job.id, f"remote-{job.id}")
        if done:
            end = {"state": JobState.SUCCEEDED, "fine_tuned_model": f"tuned-{provider}-{model}"}
            store.update(job.id, lambda _: end)
    return job.id


def test_those_that_end_first_stand_on_top_and_are_warned_of() -> None:
    add("local", "qwen2.5-0.5b-instruct")
    add("fake", "m")
    add("openai", "gpt-4.1-mini")
    add("openai", "gpt-4.1-mini", "http://127.0.0.1:8321/v1")
    add("openai", "gpt-4.1", done=False)
    first, *others = my_models(as_of=TODAY)
    assert (first.serves_until, first.days_left, first.ends_soon) == (date(2027, 1, 14), 51, True)
    assert {(m.provider, m.serves_until, m.ends_soon) for m in others} == {
        ("local", None, False),
        ("fake", None, False),
        ("openai", None, False),  # at a gateway, where the vendor's dates don't apply
    }
    assert any("127.0.0.1:8321" in m.lifetime for m in others)


@pytest.mark.parametrize(("day", "soon"), [(date(2026, 11, 14), False), (date(2026, 11, 15), True)])
def test_the_warning_begins_sixty_days_before(day: date, *, soon: bool) -> None:
    add("openai", "gpt-4.1-mini")
    (model,) = my_models(as_of=day)
    assert model.ends_soon is soon


def test_the_list_warns_and_says_how_to_move(cli: Cli) -> None:
    job = add("openai", "gpt-4.1-mini")
    shown = cli("models", "--mine", "--as-of", "2026-11-24")
    assert shown.returncode == 0
    assert "it answers until 2027-01-14, 51 days" in " ".join(shown.stdout.split())
    assert f"stops answering in 51 days; ftctl migrate {job} --to local" in shown.stderr
    late = cli("models", "--mine", "--as-of", "2027-02-01")
    assert "has stopped answering" in late.stderr
    (model,) = cli("models", "--mine", "--as-of", "2026-11-24", "--json").json()["models"]
    assert (model["serves_until"], model["days_left"], model["job"]) == ("2027-01-14", 51, job)


def test_who_has_none_is_told_how_to_begin(cli: Cli) -> None:
    assert "no job has made a model yet" in cli("models", "--mine").stdout
    assert cli("models", "gpt-4.1", "--mine").returncode == 2


@pytest.mark.medium
def test_the_vendors_own_date_goes_before_the_catalogs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-planted")
    with OpenAIVendor("sk-planted") as vendor:
        add("openai", "gpt-4.1-mini", vendor.base_url)
        name = "tuned-openai-gpt-4.1-mini"
        vendor.models[name] = documents.model(name, "org", "2026-12-24")
        (model,) = my_models(as_of=TODAY)
        assert (model.serves_until, model.days_left, model.ends_soon) == (
            date(2026, 12, 24),
            30,
            True,
        )
        assert "the vendor says" in model.lifetime
        vendor.models[name] = documents.model(name, "org", "some day")
        assert my_models(as_of=TODAY)[0].serves_until is None
        vendor.faults.append(Fault("GET /models", status=500))
        assert my_models(as_of=TODAY)[0].serves_until is None
