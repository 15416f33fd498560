"""A chat client for every base URL that speaks OpenAI's wire."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from pydantic import BaseModel, ValidationError

from ftctl.config import mask_url
from ftctl.errors import InvalidRequest, NotFound, Unavailable
from ftctl.providers.openai.connection import Connection
from ftctl.providers.transport.http_connection import timeout

if TYPE_CHECKING:
    from openai.types.chat import ChatCompletionMessageParam

Message = Mapping[str, Any]
_TIMEOUT_S = 120.0  # for each piece of an answer
_RETRIES = 2  # an answer that is asked for twice costs little and changes nothing


class _Delta(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    delta: _Delta = _Delta()
    finish_reason: str | None = None


class _Chunk(BaseModel):
    """What is read of a chunk: the SDK's own type takes any nonsense."""

    choices: tuple[_Choice, ...] = ()


def _typed(messages: Sequence[Message]) -> "list[ChatCompletionMessageParam]":
    """Our messages are the SDK's own shape already; only the type checker can't know."""
    return cast("list[ChatCompletionMessageParam]", [dict(message) for message in messages])


class HostedModel:
    """A model at a base URL.

    Args:
        name: The model's name there.
        base_url: Where it answers.
        provider: Whose key opens it.
        needed: What has to happen before it answers there; "" where nothing has.

    Raises:
        ExtraMissing: the openai SDK isn't installed.
        CredentialsMissing: there is no key for the provider.
        UsageError: what is given isn't a base URL.
    """

    def __init__(self, name: str, base_url: str, provider: str, needed: str = "") -> None:
        self.name = name
        self._needed = needed
        self._who = mask_url(base_url)
        self._at = Connection(self._who, base_url, provider)
        self._at.require()

    def chat(
        self,
        messages: Sequence[Message],
        *,
        max_new_tokens: int = 512,
        on_text: Callable[[str], None] | None = None,
    ) -> str:
        """Answer one conversation as it streams in.

        Raises:
            AuthError: the key is refused.
            NotFound: the model isn't there any more.
            InvalidRequest: another no: the conversation is too long.
            RateLimited, Unavailable: the server is too busy, can't be reached, or broke off.
        """
        try:
            return self._chat(messages, max_new_tokens, on_text)
        except (NotFound, InvalidRequest) as error:
            error.hint = self._needed or error.hint
            raise

    def _chat(
        self,
        messages: Sequence[Message],
        max_new_tokens: int,
        on_text: Callable[[str], None] | None,
    ) -> str:
        doing = f"answer as {self.name}"
        told: list[str] = []
        ended = False
        with self._at.asking(doing) as client:
            stream = client.with_options(
                max_retries=_RETRIES, timeout=timeout(_TIMEOUT_S)
            ).chat.completions.create(
                model=self.name,
                messages=_typed(messages),
                max_tokens=max_new_tokens,
                temperature=0,
                stream=True,
            )
            for chunk in stream:
                piece, last = _read(chunk)
                ended = ended or last
                if piece:
                    told.append(piece)
                    if on_text is not None:
                        on_text(piece)
        if not ended:
            raise Unavailable(
                f"asked to {doing}, {self._who} broke off in the middle", hint="ask again"
            )
        return "".join(told)

    def answer(
        self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int = 256
    ) -> list[str]:
        """Answer many conversations, one after the other."""
        return [self.chat(messages, max_new_tokens=max_new_tokens) for messages in conversations]

    def count_tokens(self, text: str) -> int:
        """At most how many tokens a text has: none is shorter than a byte."""
        return len(text.encode())


def _read(chunk: object) -> tuple[str | None, bool]:
    """A chunk's text, and whether it is the last one with any; nonsense has neither."""
    try:
        choices = _Chunk.model_validate(chunk, from_attributes=True).choices
    except ValidationError:
        return None, False
    return (
        (choices[0].delta.content, choices[0].finish_reason is not None)
        if choices
        else (None, False)
    )
