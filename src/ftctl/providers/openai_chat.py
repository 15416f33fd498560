"""A chat client for every base URL that speaks OpenAI's wire."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from ftctl.config import find_credential
from ftctl.errors import AuthError, CredentialsMissing, ExtraMissing, InvalidRequest, Unavailable

if TYPE_CHECKING:
    from openai import OpenAI
    from openai.types.chat import ChatCompletionMessageParam

Message = Mapping[str, Any]
_TIMEOUT_S = 120.0


def _typed(messages: Sequence[Message]) -> "list[ChatCompletionMessageParam]":
    """Our messages are the SDK's own shape already; only the type checker can't know."""
    return cast("list[ChatCompletionMessageParam]", [dict(message) for message in messages])


class HostedModel:
    """A model at a base URL.

    Args:
        name: The model's name there.
        base_url: Where it answers.
        provider: Whose key opens it.

    Raises:
        ExtraMissing: the openai SDK isn't installed.
        CredentialsMissing: there is no key for the provider.
    """

    def __init__(self, name: str, base_url: str, provider: str) -> None:
        self.name = name
        self._base_url = base_url
        self._client = self._connect(provider)

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
            InvalidRequest: the server says no: the model is gone, the conversation too long.
            Unavailable: the server can't be reached, or broke off.
        """
        import openai

        told: list[str] = []
        try:
            stream = self._client.chat.completions.create(
                model=self.name,
                messages=_typed(messages),
                max_tokens=max_new_tokens,
                temperature=0,
                stream=True,
            )
            for chunk in stream:
                piece = chunk.choices[0].delta.content if chunk.choices else None
                if piece:
                    told.append(piece)
                    if on_text is not None:
                        on_text(piece)
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            raise AuthError(f"{self._base_url}: the key is refused ({error.status_code})") from None
        except openai.APIStatusError as error:
            kind = InvalidRequest if error.status_code < 500 else Unavailable
            raise kind(f"{self._base_url}: {error.status_code} for model {self.name}") from None
        except openai.APIError as error:
            raise Unavailable(
                f"{self._base_url}: {type(error).__name__}", hint="is the server up? try again"
            ) from None
        return "".join(told)

    def answer(
        self, conversations: Sequence[Sequence[Message]], *, max_new_tokens: int = 256
    ) -> list[str]:
        """Answer many conversations, one after the other."""
        return [self.chat(messages, max_new_tokens=max_new_tokens) for messages in conversations]

    def count_tokens(self, text: str) -> int:
        """At most how many tokens a text has: none is shorter than a byte."""
        return len(text.encode())

    def _connect(self, provider: str) -> "OpenAI":
        try:
            from openai import OpenAI
        except ImportError:
            raise ExtraMissing("openai", f"talking to {self._base_url}") from None
        credential = find_credential(provider)
        if credential is None:
            raise CredentialsMissing(
                f"no key for {provider}", hint="set its variable: ftctl doctor shows which"
            )
        return OpenAI(api_key=credential.key, base_url=self._base_url, timeout=_TIMEOUT_S)
