"""The body of `POST /v1/chat/completions`, and what of it is taken, ignored or refused."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from ftctl.server.job_request import Wire

DEFAULT_TOKENS = 1024  # an answer's length where nobody set one; OpenAI's is the model's own end


def _joined_text(value: object) -> object:
    """Content in parts as one text; there is nobody here to look at images."""
    if not isinstance(value, list):
        return value
    texts = [part.get("text") for part in value if isinstance(part, dict)]
    if len(texts) < len(value) or not all(isinstance(text, str) for text in texts):
        raise ValueError('only parts of {"type": "text", "text": …} are taken')
    return "".join(map(str, texts))


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


_Stops = Annotated[list[str], Field(max_length=4)]
_NoTools = Annotated[list[Any], Field(max_length=0)]  # calls in an answer aren't picked out here


class ChatMessage(Wire):
    """One message."""

    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: Annotated[str | None, BeforeValidator(_joined_text)] = None
    name: str | None = None
    tool_calls: list[dict[str, Any]] | None = None
    tool_call_id: str | None = None
    refusal: str | None = None
    annotations: list[Any] | None = None
    audio: None = None
    function_call: None = None

    def to_template(self) -> dict[str, Any]:
        """The message as chat templates know it: `developer` is `system` to open models."""
        known = self.model_dump(include={"content", "name", "tool_calls", "tool_call_id"})
        role = "system" if self.role == "developer" else self.role
        return {"role": role} | {key: value for key, value in known.items() if value is not None}


class TextFormat(Wire):
    """The one response format there is."""

    type: Literal["text"]


class StreamOptions(Wire):
    """What a stream carries besides text."""

    model_config = ConfigDict(extra="ignore", frozen=True, strict=True)

    include_usage: bool = False


class ChatRequest(Wire):
    """A question.

    Answers are greedy, so what steers sampling is checked for its range and changes nothing.
    """

    model: str
    messages: Annotated[list[ChatMessage], Field(min_length=1)]
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: Annotated[_Stops | None, BeforeValidator(_as_list)] = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    response_format: TextFormat | None = None
    tools: _NoTools | None = None
    logprobs: Literal[False] | None = None

    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, ge=0, le=1)
    presence_penalty: float | None = Field(None, ge=-2, le=2)
    frequency_penalty: float | None = Field(None, ge=-2, le=2)
    seed: int | None = None
    user: str | None = None
    safety_identifier: str | None = None
    store: bool | None = None
    metadata: dict[str, str] | None = None
    service_tier: str | None = None
    parallel_tool_calls: bool | None = None

    @property
    def longest(self) -> int:
        """The longest answer, in tokens."""
        return self.max_completion_tokens or self.max_tokens or DEFAULT_TOKENS
