"""The command `ftctl serve` as a process: what it says, and how it ends."""

import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from openai import OpenAI
from running_server import Running

pytestmark = pytest.mark.medium


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_it_ends_when_told_and_shows_a_new_token_once(
    start_server: Callable[..., Running], hollow_base: Path, number: signal.Signals
) -> None:
    first = start_server("--base", f"hollow={hollow_base}")
    assert first.said["schema"] == "ftctl.serve/1"
    assert first.said["token"] == first.token
    assert "hollow" in first.said["bases"]
    client = OpenAI(api_key=first.token, base_url=first.base_url, max_retries=0)
    assert "hollow" in [model.id for model in client.models.list()]
    first.process.send_signal(number)
    assert first.process.wait(30) == (130 if number == signal.SIGINT else -signal.SIGTERM)
    second = start_server()
    assert "token" not in second.said
    assert second.token == first.token
    third = start_server()  # beside the second, on the same home
    clients = [
        OpenAI(api_key=server.token, base_url=server.base_url, max_retries=0)
        for server in (second, third)
    ]
    made = clients[0].files.create(file=("rows.jsonl", b"{}"), purpose="fine-tune")
    assert [file.id for file in clients[1].files.list()] == [made.id]
    log = first.log.read_text(encoding="utf-8")
    assert "the token travels in clear" not in log
    assert "Traceback" not in log
    assert first.token not in log


def test_beyond_loopback_it_says_what_that_means(start_server: Callable[..., Running]) -> None:
    running = start_server("--host", "0.0.0.0")  # noqa: S104 - that is what is tested
    log = running.log.read_text(encoding="utf-8")
    assert "put TLS in front, the token travels in clear" in log
