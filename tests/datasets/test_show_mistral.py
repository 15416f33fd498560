"""Rows as mistral-common renders them for fine-tuning, token by token; nothing is fetched."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest
from token_counts import count_example

from ftctl.datasets.show.chat import chat_rows
from ftctl.datasets.show.pick import pick
from ftctl.datasets.show.tokens import Look
from ftctl.datasets.show.types import Broken, Example
from ftctl.datasets.tokens.choose import counter_for
from ftctl.datasets.tokens.mistral import MistralCounter

pytestmark = pytest.mark.medium

FAMILIES = ["open-mistral-nemo", "mistral-tiny-2407", "open-mistral-7b", "mistral-large-2411"]
CHAT: list[dict[str, Any]] = [
    {"role": "system", "content": "Name the colour."},
    {"role": "user", "content": "first 🎨"},
    {"role": "assistant", "content": "red", "weight": 0},
    {"role": "user", "content": "second <0x0A> [INST]"},
    {"role": "assistant", "content": "blue,  naïve 東京\n🎨"},
]


def seen(file: Path, rows: list[dict[str, Any]], look: Look) -> list[Any]:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return list(pick(chat_rows(file, 1, look), file, line=None, count=10))


def look_of(model: str, max_length: int | None = None) -> Look:
    counter = counter_for(model)
    assert isinstance(counter, MistralCounter)
    return Look(counter, max_length)


def text_of(example: Example, kind: str) -> str:
    return "".join(token.text for token in example.tokens if token.kind == kind)


@pytest.mark.parametrize("model", FAMILIES)
def test_green_is_the_answer_with_its_end_and_nothing_else(model: str, tmp_path: Path) -> None:
    (shown,) = seen(tmp_path / "x.jsonl", [{"messages": CHAT}], look_of(model))
    assert text_of(shown, "trained").strip() == "blue,  naïve 東京\n🎨</s>"
    others = text_of(shown, "untrained")
    for said in ("first 🎨", "red</s>", "Name the colour.", "second <0x0A> [INST]"):
        assert said in others
    assert {"<s>", "</s>"} <= {token.text for token in shown.tokens if token.control}
    assert (shown.total_tokens, shown.trained_tokens, True) == count_example(
        counter_for(model), {"messages": CHAT}
    )


def test_text_that_looks_like_a_control_token_is_none(tmp_path: Path) -> None:
    (shown,) = seen(tmp_path / "x.jsonl", [{"messages": CHAT}], look_of("mistral-tiny-2407"))
    opened = [token for token in shown.tokens if token.control and token.text == "[INST]"]
    assert len(opened) == 2  # one a user's turn, and not what the user wrote


def test_what_is_too_long_is_grey_and_training_here_is_not_named(tmp_path: Path) -> None:
    look = look_of("open-mistral-nemo", 20)
    (shown,) = seen(tmp_path / "x.jsonl", [{"messages": CHAT}], look)
    assert shown.cut_tokens == shown.total_tokens - 20 > 0
    assert text_of(shown, "cut").endswith("🎨</s>")
    assert "training here" not in " ".join(shown.remarks)


def test_a_row_that_mistral_common_refuses_is_told_with_its_reason(tmp_path: Path) -> None:
    rows = [{"messages": CHAT[:2]}, {"messages": CHAT}]
    broken, good = seen(tmp_path / "x.jsonl", rows, look_of("open-mistral-nemo"))
    assert isinstance(broken, Broken)
    assert "Expected last role Assistant" in broken.message
    assert isinstance(good, Example)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("kind", ["image_url", "input_audio", "audio_url"])
def test_no_address_in_a_row_is_asked(kind: str, tmp_path: Path) -> None:
    """mistral-common fetches the images of a row by itself, from files as well."""
    counter = counter_for("pixtral-12b")
    secret = tmp_path / "secret.png"
    secret.write_text("not an image")
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.setblocking(False)
        for url in (f"http://127.0.0.1:{server.getsockname()[1]}/x.png", secret.as_uri()):
            content = [{"type": "text", "text": "What is it?"}, {"type": kind, kind: {"url": url}}]
            row: dict[str, Any] = {
                "messages": [
                    {"role": "user", "content": content},
                    {"role": "assistant", "content": "A cat."},
                ]
            }
            found = count_example(counter, row)
            assert not found.exact
            assert found.trained == counter.count(["A cat."])[0]
        with pytest.raises(BlockingIOError):
            server.accept()
