"""Chat with a model at Mistral, through `mistralai` 3."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from ftctl.errors import Unavailable
from ftctl.providers.mistral.sdk import MistralSdk

if TYPE_CHECKING:
    from mistralai.client.models import (
        ChatCompletionStreamRequestMessageTypedDict,
        CompletionChunk,
    )

Message = Mapping[str, Any]


class MistralModel:
    """A model that answers there.

    Args:
        name: Its id.
        at: Where to ask.
        who: Whom messages name.
    """

    def __init__(self, name: str, at: MistralSdk, who: str) -> None:
        self.name = name
        self._at = at
        self._who = who
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
            InvalidRequest: another no: it is archived, the conversation is too long.
            RateLimited, Unavailable: too busy, can't be reached, or broke off.
        """
        doing = f"answer as {self.name}"
        told: list[str] = []
        ended = False
        with (
            self._at.asking(doing) as client,
            client.chat.stream(
                model=self.name,
                messages=_typed(messages),
                max_tokens=max_new_tokens,
                temperature=0,
            ) as stream,
        ):
            for event in stream:
                piece, last = _read(event.data)
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


def _typed(messages: Sequence[Message]) -> "list[ChatCompletionStreamRequestMessageTypedDict]":
    """Our messages are the SDK's own shape already; only the type checker can't know."""
    return cast(
        "list[ChatCompletionStreamRequestMessageTypedDict]", [dict(one) for one in messages]
    )


def _read(chunk: "CompletionChunk") -> tuple[str, bool]:
    """A chunk's text, and whether it is the last one with any."""
    if not chunk.choices:
        return "", False
    choice = chunk.choices[0]
    said = choice.delta.content
    parts = said if isinstance(said, list) else [said]
    texts = [part if isinstance(part, str) else getattr(part, "text", "") for part in parts]
    return "".join(text for text in texts if isinstance(text, str)), bool(choice.finish_reason)
