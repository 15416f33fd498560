"""Answers of a real, tiny model over the wire: whole, streamed, stopped, too long, abandoned."""

import json
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from openai import APITimeoutError, OpenAI
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai.types.chat.completion_create_params import CompletionCreateParamsBase
from running_server import Running
from starlette.testclient import TestClient

from ftctl.config import load_settings
from ftctl.local_backend.chat import load_model
from ftctl.server.app import build_app
from ftctl.server.backend import Backend
from ftctl.server.openai_api.chat_request import ChatRequest

pytestmark = pytest.mark.medium
CHAT = "/v1/chat/completions"
HELLO = [{"role": "system", "content": "Name the colour."}, {"role": "user", "content": "Item 1"}]


@pytest.fixture
def chatty(tiny_base: Path) -> Iterator[TestClient]:
    """A server with three names for the tiny model."""
    bases = {name: str(tiny_base) for name in ("tiny", "tiny-2", "tiny-3")}
    app = build_app(Backend.open(load_settings(), bases), token="a-token-of-the-tests")
    headers = {"Authorization": "Bearer a-token-of-the-tests"}
    with TestClient(app, headers=headers, raise_server_exceptions=False) as found:
        yield found


def ask(client: TestClient, **more: Any) -> dict[str, Any]:
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 40} | more
    response = client.post(CHAT, json=asked)
    assert response.status_code == 200, response.text
    ChatCompletion.model_validate(response.json(), strict=True)
    found: dict[str, Any] = response.json()
    return found


def stream(client: TestClient, **more: Any) -> list[dict[str, Any]]:
    asked = {"model": "tiny", "messages": HELLO, "max_tokens": 40, "stream": True} | more
    with client.stream("POST", CHAT, json=asked) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        lines = [line for line in response.iter_lines() if line]
    assert lines.pop() == "data: [DONE]"
    chunks = [json.loads(line.removeprefix("data: ")) for line in lines]
    for chunk in chunks:
        ChatCompletionChunk.model_validate(chunk, strict=True)
    return chunks


def text_of(answered: dict[str, Any]) -> str:
    return str(answered["choices"][0]["message"]["content"])


def joined(chunks: list[dict[str, Any]]) -> str:
    deltas = [choice["delta"] for chunk in chunks for choice in chunk["choices"]]
    return "".join(delta["content"] or "" for delta in deltas)


def test_the_answer_is_the_models_own_greedy_one(chatty: TestClient, tiny_base: Path) -> None:
    model = load_model(tiny_base, load_settings().home)
    answered = ask(chatty)
    assert text_of(answered) == model.chat(HELLO, max_new_tokens=40)
    usage = answered["usage"]
    # The tiny tokenizer has a token a byte; three marks begin and end messages.
    assert usage["prompt_tokens"] > sum(len(message["content"]) for message in HELLO)
    assert usage["completion_tokens"] == 40
    assert usage["total_tokens"] == usage["prompt_tokens"] + 40
    assert answered["choices"][0]["finish_reason"] == "length"
    for same in ({"temperature": 1.9, "top_p": 0.1, "seed": 3}, {"max_completion_tokens": 40}):
        assert text_of(ask(chatty, **same)) == text_of(answered)
    parts = [
        HELLO[0] | {"role": "developer"},
        {"role": "user", "content": [{"type": "text", "text": "Item 1"}]},
    ]
    assert text_of(ask(chatty, messages=parts)) == text_of(answered)


def test_a_stream_says_the_same_piece_by_piece(chatty: TestClient) -> None:
    whole = ask(chatty)
    chunks = stream(chatty, stream_options={"include_usage": True})
    assert joined(chunks) == text_of(whole)
    assert len(chunks) > 10
    assert chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert chunks[-2]["choices"][0]["finish_reason"] == "length"
    assert (chunks[-1]["choices"], chunks[-1]["usage"]) == ([], whole["usage"])
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert all(chunk["usage"] is None for chunk in stream(chatty))


def test_a_stop_text_ends_the_answer_and_is_never_shown(chatty: TestClient) -> None:
    whole = text_of(ask(chatty))
    stop = whole[10:13]
    expected = whole[: whole.index(stop)]
    answered = ask(chatty, stop=stop)
    assert text_of(answered) == expected
    assert answered["choices"][0]["finish_reason"] == "stop"
    assert answered["usage"]["completion_tokens"] < 40
    assert joined(stream(chatty, stop=[stop, "never said"])) == expected


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "boss", "content": "x"}]}, "messages.0.role"),
        ({"messages": [{"role": "user"}]}, "messages.0"),
        ({"messages": [{"role": "tool", "content": None}]}, "messages.0"),
        (
            {"messages": [{"role": "user", "content": [{"type": "image_url"}]}]},
            "messages.0.content",
        ),
        ({"max_tokens": 0}, "max_tokens"),
        ({"stop": ["a"] * 5}, "stop"),
        ({"n": 2}, "n"),
        ({"tools": [{"type": "function"}]}, "tools"),
        ({"response_format": {"type": "json_object"}}, "response_format.type"),
        ({"logprobs": True}, "logprobs"),
        ({"temperature": 2.5}, "temperature"),
        ({"logit_bias": {"5": -100}}, "logit_bias"),
        ({"tool_choice": "required"}, "tool_choice"),
        ({"functions": [{"name": "f"}]}, "functions"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"top_logprobs": 2}, "top_logprobs"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"n": True}, "n"),
        ({"nonsense": None}, "nonsense"),
    ],
)
def test_what_would_change_the_answer_and_cant_is_refused(
    chatty: TestClient, change: dict[str, Any], param: str
) -> None:
    response = chatty.post(CHAT, json={"model": "tiny", "messages": HELLO} | change)
    assert response.status_code == 400
    error = response.json()["error"]
    assert error["param"] == param


def test_every_parameter_of_the_sdk_is_known_and_may_be_left_null() -> None:
    known = CompletionCreateParamsBase.__annotations__.keys() - {"model", "messages"}
    ChatRequest.model_validate({"model": "m", "messages": HELLO} | dict.fromkeys(known))
    harmless = {
        "n": 1,
        "tools": [],
        "tool_choice": "none",
        "modalities": ["text"],
        "logit_bias": {},
    }
    ChatRequest.model_validate({"model": "m", "messages": HELLO} | harmless)


def test_errors_have_their_status_streamed_or_not(chatty: TestClient, tmp_path: Path) -> None:
    too_long = [{"role": "user", "content": "x" * 600}]
    for streamed in (False, True):
        unknown = {"model": "gpt-4o", "messages": HELLO, "stream": streamed}
        missing = chatty.post(CHAT, json=unknown)
        assert (missing.status_code, missing.json()["error"]["code"]) == (404, "model_not_found")
        long = {"model": "tiny", "messages": too_long, "stream": streamed}
        refused = chatty.post(CHAT, json=long)
        assert refused.status_code == 400
        assert refused.json()["error"]["code"] == "context_length_exceeded"
        assert "tokens; tiny holds 512" in refused.json()["error"]["message"]
        assert refused.json()["error"]["param"] == "messages"


def test_an_answer_ends_where_the_context_does(chatty: TestClient) -> None:
    nearly = [{"role": "user", "content": "x" * 400}]
    answered = ask(chatty, messages=nearly, max_tokens=5000)
    assert answered["usage"]["total_tokens"] == 512
    assert answered["choices"][0]["finish_reason"] == "length"


def test_a_model_that_cant_be_loaded_is_the_servers_fault(
    client: TestClient, hollow_base: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for streamed in (False, True):
        asked = {"model": "hollow", "messages": HELLO, "stream": streamed}
        answered = client.post(CHAT, json=asked)
        assert (answered.status_code, answered.json()["error"]["type"]) == (503, "server_error")
        assert str(hollow_base) not in answered.text
    assert str(hollow_base) in caplog.text


def test_answers_asked_for_at_once_dont_mix(chatty: TestClient) -> None:
    questions = [HELLO, [{"role": "user", "content": "Another item"}]] * 2
    alone = [text_of(ask(chatty, messages=question)) for question in questions[:2]]
    assert alone[0] != alone[1]
    with ThreadPoolExecutor(4) as pool:
        whole = pool.map(lambda question: text_of(ask(chatty, messages=question)), questions)
        streamed = pool.map(lambda question: joined(stream(chatty, messages=question)), questions)
        assert list(whole) == list(streamed) == alone * 2


def test_two_models_are_kept_the_third_drops_the_oldest(chatty: TestClient) -> None:
    app: Any = chatty.app
    for name in ("tiny", "tiny-2", "tiny", "tiny-3"):
        ask(chatty, model=name, max_tokens=1)
    assert list(app.state.backend.models._loaded) == ["tiny", "tiny-3"]


def test_other_routes_answer_while_a_model_does(
    start_server: Callable[..., Running], tiny_base: Path
) -> None:
    running = start_server("--base", f"tiny={tiny_base}")
    client = OpenAI(api_key=running.token, base_url=running.base_url, max_retries=0)
    asked: Any = {"model": "tiny", "messages": HELLO}
    client.chat.completions.create(**asked, max_tokens=1)
    order: list[str] = []
    begun = threading.Event()

    def talk() -> None:
        for _ in client.chat.completions.create(**asked, max_tokens=400, stream=True):
            begun.set()
        order.append("answer")

    talking = threading.Thread(target=talk)
    talking.start()
    assert begun.wait(60)
    client.models.list()
    client.fine_tuning.jobs.list()
    order.append("lists")
    talking.join()
    assert order == ["lists", "answer"]


def test_an_abandoned_answer_leaves_the_server_whole(
    start_server: Callable[..., Running], tiny_base: Path
) -> None:
    running = start_server("--base", f"tiny={tiny_base}")
    client = OpenAI(api_key=running.token, base_url=running.base_url, max_retries=0)
    asked: Any = {"model": "tiny", "messages": HELLO}
    for _ in range(3):
        stream = client.chat.completions.create(**asked, max_tokens=400, stream=True)
        next(iter(stream))
        stream.close()
        with pytest.raises(APITimeoutError):
            client.chat.completions.create(**asked, max_tokens=400, timeout=0.01)
    answered = client.chat.completions.create(**asked, max_tokens=1)
    assert answered.usage is not None
    assert answered.usage.completion_tokens == 1
    assert "Traceback" not in running.log.read_text(encoding="utf-8")
