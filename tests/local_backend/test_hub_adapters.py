"""An adapter or a whole model of a hub, by its id: fetched once, as safetensors, and asked here."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from command_line import Cli
from tiny_adapter import write_adapter
from tiny_model import SYSTEM, write_model

from ftctl.local_backend.chat import load_model
from ftctl.testing.hub import Hub
from ftctl.testing.hub_repos import HubRepo

pytestmark = [pytest.mark.medium, pytest.mark.timeout(300)]
QUESTION = "Item 1: it looks red"
ASKED = (QUESTION, "--max-new-tokens", "6", "--json")
WEIGHTS = "adapter_model.safetensors"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub that programs which are started from here ask."""
    monkeypatch.delenv("HF_HUB_OFFLINE")
    with Hub() as vendor:
        monkeypatch.setenv("HF_ENDPOINT", vendor.base_url)
        yield vendor


@pytest.fixture
def base(tmp_path: Path) -> Path:
    return write_model(tmp_path / "base")


def held(hub: Hub, repo: str, folder: Path, **renamed: str) -> None:
    """A repository with the files of a folder."""
    made = HubRepo(repo, "model", private=False)
    files = {file.name: file.read_bytes() for file in folder.iterdir()}
    made.commit({renamed.get(name, name): content for name, content in files.items()})
    hub.repos.by_id["model", repo] = made


def said(folder: Path, home: Path, system: str | None) -> str:
    """What the model in a folder answers."""
    messages = [{"role": "user", "content": QUESTION}]
    if system is not None:
        messages.insert(0, {"role": "system", "content": system})
    return load_model(folder, home).chat(messages, max_new_tokens=6)


def test_an_adapter_of_a_hub_answers_with_its_own_system_message(
    hub: Hub, cli_process: Cli, base: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    adapter = write_adapter(base, tmp_path / "adapter")
    held(hub, "org/adapter", adapter)
    ran = cli_process("chat", "org/adapter", *ASKED)
    assert ran.returncode == 0, ran.stderr
    assert ran.json()["answer"] == said(adapter, tmp_path / "home", SYSTEM)
    assert ran.json()["messages"][0] == {"role": "system", "content": SYSTEM}
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    again = cli_process("chat", "org/adapter", *ASKED)
    assert (again.returncode, again.stdout) == (0, ran.stdout)
    assert len(hub.asked(f"GET */{WEIGHTS}")) == 1


def test_weights_alone_take_base_and_tokenizer_from_the_hub(
    hub: Hub, cli_process: Cli, base: Path, tmp_path: Path
) -> None:
    held(hub, "org/base", base)
    adapter = write_adapter(base, tmp_path / "adapter", whole=False)
    config = adapter / "adapter_config.json"
    config.write_text(config.read_text().replace(str(base), "org/base"))
    held(hub, "org/adapter", adapter)
    ran = cli_process("chat", "org/adapter", *ASKED)
    assert ran.returncode == 0, ran.stderr
    plain = cli_process("chat", "org/base", *ASKED)
    assert plain.json()["answer"] == said(base, tmp_path / "home", None)
    assert ran.json()["answer"] != plain.json()["answer"]
    assert ran.json()["messages"][:-1] == plain.json()["messages"][:-1]


def test_pickled_weights_of_a_hub_are_not_even_fetched(
    hub: Hub, cli_process: Cli, base: Path, tmp_path: Path
) -> None:
    adapter = write_adapter(base, tmp_path / "adapter")
    held(hub, "org/adapter", adapter, **{WEIGHTS: "adapter_model.bin"})
    ran = cli_process("chat", "org/adapter", *ASKED[:-1])
    assert ran.returncode == 2
    assert "org/adapter: the adapter's weights aren't safetensors" in ran.stderr
    assert not hub.asked("GET *.bin")


def test_a_repository_that_is_not_there_is_one_sentence(hub: Hub, cli_process: Cli) -> None:
    ran = cli_process("chat", "org/nothing", *ASKED[:-1])
    assert ran.returncode == 2
    assert ran.stderr.startswith("ftctl: org/nothing: the model could not be loaded")
    assert "Traceback" not in ran.stderr
