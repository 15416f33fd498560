"""Engines and options: what only one provider has."""

import hashlib
from pathlib import Path

import pytest
from specimens import write_chats

from ftctl.admission import require_capable
from ftctl.api.submitting import make_spec
from ftctl.cli.submit import read_settings
from ftctl.errors import Unsupported, UsageError
from ftctl.providers.fake import FakeProvider
from ftctl.submission import intention_of


def test_an_intention_without_them_is_what_it_was_before_they_came(tmp_path: Path) -> None:
    spec = make_spec(provider="local", data=write_chats(tmp_path / "a.jsonl"), model="m")
    left_out = {"data", "validation", "max_cost_usd", "notify", "engine", "options"}
    before = hashlib.sha256(spec.model_dump_json(exclude=left_out).encode()).hexdigest()
    assert intention_of(spec) == before
    assert intention_of(spec.model_copy(update={"engine": "jobs"})) != before
    assert intention_of(spec.model_copy(update={"options": {"tier": "x"}})) != before


def test_an_engine_that_isnt_there_is_refused(tmp_path: Path) -> None:
    spec = make_spec(
        provider="fake", data=write_chats(tmp_path / "a.jsonl"), model="m", engine="steam"
    )
    with pytest.raises(Unsupported, match="no engine 'steam'"):
        require_capable(spec, FakeProvider.capabilities)


def test_an_option_nobody_knows_is_refused_as_a_setting(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="unknown setting 'flavour'"):
        make_spec(
            provider="fake",
            data=write_chats(tmp_path / "a.jsonl"),
            model="m",
            hyperparameters={"flavour": "x"},
        )


def test_an_option_may_be_the_text_of_a_file(tmp_path: Path) -> None:
    (tmp_path / "grader.json").write_text('{"type": "python"}', "utf-8")
    given = read_settings((f"grader=@{tmp_path / 'grader.json'}", "beta=0.1"))
    assert given == {"grader": '{"type": "python"}', "beta": "0.1"}
    with pytest.raises(UsageError, match="can't be read"):
        read_settings(("grader=@nowhere.json",))


def test_an_option_may_be_an_object(tmp_path: Path) -> None:
    spec = make_spec(
        provider="openai",
        data=write_chats(tmp_path / "a.jsonl"),
        model="m",
        hyperparameters={"epochs": 2, "grader": {"type": "python"}},
    )
    assert spec.options == {"grader": '{"type": "python"}'}
    assert spec.hyperparameters.epochs == 2


def test_a_folder_of_that_name_changes_no_name_at_a_vendor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "house-model").mkdir()
    data = write_chats(tmp_path / "train.jsonl")
    made = {
        provider: make_spec(provider=provider, data=data, model="house-model").model
        for provider in ("openai", "together", "local", "fake")
    }
    here = str(tmp_path / "house-model")
    assert made == {
        "openai": "house-model",
        "together": "house-model",
        "local": here,
        "fake": here,
    }
