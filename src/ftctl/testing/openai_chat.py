"""Chat completions of the loopback OpenAI: one scripted text, whole or as a stream."""

import json
import re
import time

from ftctl.testing.loopback import Answer, Json, Request

_ID = "chatcmpl-loopback"


def chat_answer(request: Request, text: str) -> Answer:
    """The text as a completion, or piece by piece when a stream is asked for."""
    asked = request.json()
    if not asked.get("stream"):
        return Answer(_completion(asked, text))
    pieces = [_chunk(asked, {"role": "assistant", "content": ""})]
    pieces += [_chunk(asked, {"content": piece}) for piece in re.findall(r"\S+\s*", text)]
    pieces += [_chunk(asked, {}, "stop")]
    lines = [f"data: {json.dumps(piece)}\n\n" for piece in pieces]
    body = "".join([*lines, "data: [DONE]\n\n"]).encode()
    return Answer(body, headers={"Content-Type": "text/event-stream"})


def _completion(asked: Json, text: str) -> Json:
    message = {"role": "assistant", "content": text, "refusal": None}
    choice = {"index": 0, "finish_reason": "stop", "logprobs": None, "message": message}
    used = {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}
    return _document("chat.completion", asked, choice) | {"usage": used}


def _chunk(asked: Json, delta: Json, finish_reason: str | None = None) -> Json:
    choice = {"index": 0, "finish_reason": finish_reason, "logprobs": None, "delta": delta}
    return _document("chat.completion.chunk", asked, choice)


def _document(kind: str, asked: Json, choice: Json) -> Json:
    return {
        "id": _ID,
        "object": kind,
        "created": int(time.time()),
        "model": asked.get("model", ""),
        "choices": [choice],
    }
