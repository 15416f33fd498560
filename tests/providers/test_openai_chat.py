"""A tuned model that answers over the wire: its words, its refusals, and answers that break off."""

import http.client
import json
from urllib.parse import urlsplit

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from ftctl.errors import (
    AuthError,
    CredentialsMissing,
    InvalidRequest,
    NotFound,
    ProviderError,
    RateLimited,
    Unavailable,
    UsageError,
)
from ftctl.providers.openai.chat import HostedModel
from ftctl.testing.loopback import Answer, Fault, Request
from ftctl.testing.openai_vendor import OpenAIVendor

MODEL = "gpt-4.1-mini-2025-04-14"
HELLO = [{"role": "user", "content": "Which colour? naïve ✓"}]
CHAT = "POST /chat/completions"


@pytest.fixture
def model(vendor: OpenAIVendor) -> HostedModel:
    return HostedModel(MODEL, vendor.base_url, "openai")


def post(vendor: OpenAIVendor, key: str, **more: object) -> bytes:
    url = urlsplit(vendor.base_url)
    line = http.client.HTTPConnection(url.netloc)
    body = json.dumps({"model": MODEL, "messages": HELLO, **more})
    line.request("POST", f"{url.path}/chat/completions", body, {"Authorization": f"Bearer {key}"})
    said = line.getresponse().read()
    line.close()
    return said


def test_what_the_loopback_vendor_says_is_valid(vendor: OpenAIVendor, key: str) -> None:
    whole = ChatCompletion.model_validate(json.loads(post(vendor, key)), strict=True)
    assert whole.choices[0].message.content == vendor.reply
    *lines, done = post(vendor, key, stream=True).decode().strip().split("\n\n")
    assert done == "data: [DONE]"
    chunks = [
        ChatCompletionChunk.model_validate(json.loads(line.removeprefix("data: ")), strict=True)
        for line in lines
    ]
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == vendor.reply
    assert chunks[-1].choices[0].finish_reason == "stop"


def test_an_answer_comes_piece_by_piece(vendor: OpenAIVendor, model: HostedModel) -> None:
    pieces: list[str] = []
    assert model.chat(HELLO, max_new_tokens=7, on_text=pieces.append) == vendor.reply
    assert pieces == ["It ", "is ", "green."]
    (asked,) = vendor.asked(CHAT)
    wanted = {"model": MODEL, "messages": HELLO, "max_tokens": 7, "temperature": 0, "stream": True}
    assert asked.json() == wanted
    assert model.answer([HELLO, HELLO]) == [vendor.reply] * 2


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InvalidRequest),
        (401, AuthError),
        (403, AuthError),
        (404, NotFound),
        (429, RateLimited),
        (500, Unavailable),
        (307, InvalidRequest),
    ],
)
def test_a_no_has_its_class_and_no_key(
    vendor: OpenAIVendor, model: HostedModel, key: str, status: int, error: type[ProviderError]
) -> None:
    with OpenAIVendor() as other:
        headers = {"x-should-retry": "false", "Location": f"{other.base_url}/chat/completions"}
        vendor.faults.append(Fault(CHAT, status=status, headers=headers, message=f"not {key}"))
        with pytest.raises(error, match=rf"answered {status}: not \*\*\*") as caught:
            model.chat(HELLO)
        assert type(caught.value) is error
        assert not other.requests


def test_a_model_that_is_gone(vendor: OpenAIVendor) -> None:
    with pytest.raises(NotFound, match="`gone` does not exist"):
        HostedModel("gone", vendor.base_url, "openai").chat(HELLO)


def test_a_question_without_an_answer_is_asked_again(
    vendor: OpenAIVendor, model: HostedModel
) -> None:
    vendor.faults.append(Fault(CHAT, "lost"))
    assert model.chat(HELLO) == vendor.reply
    assert len(vendor.asked(CHAT)) == 2


@pytest.mark.parametrize("kind", ["cut", "not_json"])
def test_an_answer_that_breaks_off_is_none(
    vendor: OpenAIVendor, model: HostedModel, kind: str
) -> None:
    vendor.faults.append(Fault(CHAT, kind))  # type: ignore[arg-type]
    with pytest.raises(Unavailable):
        model.chat(HELLO)


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('data: {"choices": [{"delta": {"content": "It"}}]}\n\n', "in the middle"),
        ('data: {"choices": [{"delta": "nonsense"}]}\n\ndata: [1]\n\n', "in the middle"),
        ("data: {nonsense\n\n", "isn't the API's answer"),
        ("data: \xff\n\n", "isn't the API's answer"),
        (
            'data: {"error": {"message": "no more for KEY\\u001b[2J"}}\n\n',
            r"no more for \*\*\*\[2J",
        ),
    ],
)
def test_a_stream_of_nonsense_is_no_answer(
    vendor: OpenAIVendor,
    model: HostedModel,
    key: str,
    monkeypatch: pytest.MonkeyPatch,
    body: str,
    says: str,
) -> None:
    def nonsense(request: Request) -> Answer:
        sent = body.replace("KEY", key).encode("latin-1")
        return Answer(sent, headers={"Content-Type": "text/event-stream"})

    monkeypatch.setattr(vendor, "answer", nonsense)
    with pytest.raises(Unavailable, match=says):
        model.chat(HELLO)


def test_what_cant_be_asked_at_all(vendor: OpenAIVendor, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match="isn't a base URL"):
        HostedModel(MODEL, "ftp://host", "openai")
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(CredentialsMissing, match="OPENAI_API_KEY"):
        HostedModel(MODEL, vendor.base_url, "openai")
    with pytest.raises(CredentialsMissing, match="TOGETHER_API_KEY"):
        HostedModel(MODEL, vendor.base_url, "together")
