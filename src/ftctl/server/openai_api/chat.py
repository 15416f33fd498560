"""`/v1/chat/completions`: one answer, whole or as a stream of server-sent events."""

import asyncio
import contextlib
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from concurrent.futures import CancelledError, Future
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from ftctl.errors import FtctlError
from ftctl.local_backend.training_prompt import find_training_prompt
from ftctl.server.backend import Backend, backend_of
from ftctl.server.errors import ApiError, from_ftctl
from ftctl.server.models import Gone, ModelThread, Place, Question
from ftctl.server.openai_api.bodies import WireObject, answer, read_body
from ftctl.server.openai_api.chat_request import ChatRequest
from ftctl.server.openai_api.models import find_place

if TYPE_CHECKING:
    from ftctl.local_backend.chat import Completion

_log = logging.getLogger(__name__)
Ended = Literal["stop", "length"]


class Usage(WireObject):
    """What an answer took, in tokens."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class AnswerMessage(WireObject):
    """What the model said."""

    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class AnswerChoice(WireObject):
    """The one answer."""

    index: int = 0
    message: AnswerMessage
    logprobs: None = None
    finish_reason: Ended


class ChatObject(WireObject):
    """A whole answer."""

    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[AnswerChoice]
    usage: Usage


class Delta(WireObject):
    """What came since the piece before."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(WireObject):
    """A piece of the one answer."""

    index: int = 0
    delta: Delta
    logprobs: None = None
    finish_reason: Ended | None = None


class ChunkObject(WireObject):
    """A piece of a streamed answer."""

    id: str
    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    created: int
    model: str
    choices: list[ChunkChoice]
    usage: Usage | None = None


class _Answer:
    """An answer on its way from the model's thread: pieces of text, then how it ended."""

    def __init__(self, models: ModelThread, question: Question) -> None:
        self._gone = threading.Event()
        self._loop = asyncio.get_running_loop()
        self._pieces: asyncio.Queue[str | None] = asyncio.Queue()
        self._future = models.ask(question, self._put, self._gone)
        self._future.add_done_callback(self._end)

    def _put(self, piece: str | None) -> None:
        with contextlib.suppress(RuntimeError):  # the loop has ended, and everybody with it
            self._loop.call_soon_threadsafe(self._pieces.put_nowait, piece)

    def _end(self, _future: "Future[Completion]") -> None:
        self._put(None)

    async def piece(self) -> str | None:
        """The next piece of text; None when there are no more."""
        return await self._pieces.get()

    def completion(self) -> "Completion":
        """How it ended, after the last piece.

        Raises:
            FtctlError: the model can't be loaded, or can't answer this.
            ApiError: 503, the server is ending.
        """
        try:
            return self._future.result()
        except (Gone, CancelledError):
            raise ApiError(503, "The server is ending; ask again.", code="unavailable") from None

    def leave(self) -> None:
        """Nobody waits any more: the model may stop."""
        self._gone.set()


async def complete(request: Request) -> Response:
    """`POST /v1/chat/completions`."""
    asked = await read_body(request, ChatRequest)
    backend = backend_of(request)
    where = await run_in_threadpool(find_place, backend, asked.model)
    messages = [message.to_template() for message in asked.messages]
    warning = await run_in_threadpool(_unlike_training, backend, asked.model, where, messages)
    headers = {"x-ftctl-warning": warning} if warning else {}
    coming = _Answer(
        backend.models,
        Question(
            name=asked.model,
            where=where,
            messages=messages,
            max_new_tokens=asked.longest,
            stop=asked.stop or (),
        ),
    )
    chat_id, created = "chatcmpl-" + secrets.token_hex(12), int(time.time())
    if asked.stream:
        first = await _unless_gone(request, coming)
        if first is None:  # an empty answer, or an error that still can have a status of its own
            coming.completion()
        frame = ChunkObject(id=chat_id, created=created, model=asked.model, choices=[])
        body = _stream(coming, first, frame, asked)
        return StreamingResponse(body, headers=headers, media_type="text/event-stream")
    while await _unless_gone(request, coming) is not None:
        pass
    done = coming.completion()
    choice = AnswerChoice(message=AnswerMessage(content=done.text), finish_reason=done.ended)
    response = answer(
        ChatObject(
            id=chat_id, created=created, model=asked.model, choices=[choice], usage=_usage(done)
        )
    )
    response.headers.update(headers)
    return response


def _unlike_training(
    backend: Backend, name: str, where: Place, messages: Sequence[Mapping[str, Any]]
) -> str:
    """What is to say of a conversation that the model wasn't tuned for; logged once a model."""
    folder = where.adapter or Path(where.base_model)
    prompt = find_training_prompt(folder) if folder.is_absolute() else None  # else a hub id
    warning = "" if prompt is None else prompt.unlike(messages)
    if warning and name not in backend.warned:
        backend.warned.add(name)
        _log.warning("%s: %s", name, warning)
    return warning.encode("ascii", "backslashreplace").decode()  # a header takes no more


async def _unless_gone(request: Request, coming: _Answer) -> str | None:
    """The next piece, unless the client leaves before.

    Raises:
        ClientDisconnect: it has left, and the model knows.
    """
    piece = asyncio.ensure_future(coming.piece())
    left = asyncio.ensure_future(request.receive())  # the body is read: only a leave can come
    try:
        await asyncio.wait({piece, left}, return_when=asyncio.FIRST_COMPLETED)
        if piece.done():
            return piece.result()
        raise ClientDisconnect
    finally:
        if not piece.done():
            coming.leave()
        piece.cancel()
        left.cancel()


async def _stream(
    coming: _Answer, first: str | None, frame: ChunkObject, asked: ChatRequest
) -> AsyncIterator[str]:
    """The answer as server-sent events, as OpenAI sends them."""

    def event(delta: Delta, ended: Ended | None = None) -> str:
        choice = ChunkChoice(delta=delta, finish_reason=ended)
        return _event(frame.model_copy(update={"choices": [choice]}))

    try:
        yield event(Delta(role="assistant", content=""))
        piece = first
        while piece is not None:
            yield event(Delta(content=piece))
            piece = await coming.piece()
        done = coming.completion()
        yield event(Delta(), done.ended)
        if asked.stream_options is not None and asked.stream_options.include_usage:
            yield _event(frame.model_copy(update={"usage": _usage(done)}))
        yield "data: [DONE]\n\n"
    except (FtctlError, ApiError) as error:  # too late for a status: it is the last event
        said = error if isinstance(error, ApiError) else from_ftctl(error)
        yield f"data: {bytes(said.response().body).decode()}\n\n"
    finally:
        coming.leave()


def _event(chunk: ChunkObject) -> str:
    return f"data: {chunk.model_dump_json(exclude_unset=False)}\n\n"


def _usage(done: "Completion") -> Usage:
    return Usage(
        prompt_tokens=done.prompt_tokens,
        completion_tokens=done.completion_tokens,
        total_tokens=done.prompt_tokens + done.completion_tokens,
    )


ROUTES = [Route("/v1/chat/completions", complete, methods=["POST"])]
