"""What `ftctl serve` says of a conversation that a model wasn't tuned for."""

import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient
from tiny_adapter import write_adapter
from tiny_model import SYSTEM

from ftctl.config import load_settings
from ftctl.server.app import build_app
from ftctl.server.backend import Backend

pytestmark = pytest.mark.medium
HELLO = {"role": "user", "content": "Item 1"}


@pytest.fixture
def client(tiny_base: Path, tmp_path: Path) -> Iterator[TestClient]:
    """A server of the tiny model, and of one that was tuned."""
    tuned = write_adapter(tiny_base, tmp_path / "adapter", system=f"{SYSTEM} 東京")
    bases = {"tiny": str(tiny_base), "tuned": str(tuned)}
    app = build_app(Backend.open(load_settings(), bases), token="a-token-of-the-tests")
    with TestClient(app, headers={"Authorization": "Bearer a-token-of-the-tests"}) as found:
        yield found


def warning(client: TestClient, model: str, *messages: dict[str, str], **more: Any) -> str | None:
    asked = {"model": model, "messages": messages, "max_tokens": 2} | more
    response = client.post("/v1/chat/completions", json=asked)
    assert response.status_code == 200, response.text
    return response.headers.get("x-ftctl-warning")


def test_another_system_message_is_a_header_each_time_and_a_line_of_the_log_once(
    client: TestClient, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING, "ftctl.server")
    for streamed in (False, True):
        said = warning(client, "tuned", HELLO, stream=streamed)
        assert said == (
            f'all of its training examples had the system message "{SYSTEM} \\u6771\\u4eac", '
            "none is sent: answers may be worse"
        )
    other = warning(client, "tuned", {"role": "system", "content": "Be brief."}, HELLO)
    assert other is not None
    assert "another is sent" in other
    (line,) = [record.getMessage() for record in caplog.records]
    assert line.startswith("tuned: all of its training examples")


def test_the_same_one_and_a_model_that_nobody_knows_of_are_no_warning(client: TestClient) -> None:
    same = {"role": "developer", "content": f"{SYSTEM} 東京"}
    assert warning(client, "tuned", same, HELLO) is None
    assert warning(client, "tiny", HELLO) is None
