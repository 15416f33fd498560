"""The body of `POST /v1/chat/completions`, and what of it is taken, ignored or refused."""

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, model_validator

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


def _only(*allowed: object, why: str) -> BeforeValidator:
    """Takes these values, and says why no others."""

    def checked(value: object) -> object:
        if any(value == each and type(value) is type(each) for each in (None, *allowed)):
            return value
        raise ValueError(why)

    return BeforeValidator(checked)


_Stops = Annotated[list[str], Field(max_length=4)]
_NO_TOOLS = _only([], why="this server doesn't call tools; leave it out")
_NO_FORCED_TOOLS = _only("none", "auto", why="this server doesn't call tools; leave it out")
_TEXT_ONLY = _only(["text"], why="this server answers in text only")
_NO_LOGPROBS = _only(False, 0, why="this server doesn't tell log probabilities; leave it out")
_NO_BIAS = _only({}, why="answers are greedy here and can't be biased; leave it out")
_NOT_HERE = _only(why="this server can't do it; leave it out")


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

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        """Only what an assistant said may be without content: it may have been calls."""
        if self.content is None and self.role != "assistant":
            raise ValueError("content is missing")
        return self

    def to_template(self) -> dict[str, Any]:
        """The message as chat templates know it: `developer` is `system` to open models."""
        known = self.model_dump(include={"content", "name", "tool_calls", "tool_call_id"})
        role = "system" if self.role == "developer" else self.role
        return {"role": role} | {key: value for key, value in known.items() if value is not None}


class TextFormat(Wire):
    """The one response format there is."""

    type: Annotated[str, _only("text", why="this server has neither JSON mode nor schemas")]
    json_schema: dict[str, Any] | None = None


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
    response_format: TextFormat | None = None

    n: Annotated[int | None, _only(1, why="this server gives one answer")] = None
    tools: Annotated[list[Any] | None, _NO_TOOLS] = None
    functions: Annotated[list[Any] | None, _NO_TOOLS] = None
    tool_choice: Annotated[str | None, _NO_FORCED_TOOLS] = None
    function_call: Annotated[str | None, _NO_FORCED_TOOLS] = None
    modalities: Annotated[list[str] | None, _TEXT_ONLY] = None
    audio: Annotated[None, _TEXT_ONLY] = None
    logprobs: Annotated[bool | None, _NO_LOGPROBS] = None
    top_logprobs: Annotated[int | None, _NO_LOGPROBS] = None
    logit_bias: Annotated[dict[str, float] | None, _NO_BIAS] = None
    web_search_options: Annotated[None, _NOT_HERE] = None
    moderation: Annotated[None, _NOT_HERE] = None
    reasoning_effort: Annotated[None, _NOT_HERE] = None
    verbosity: Annotated[None, _NOT_HERE] = None

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
    prediction: dict[str, Any] | None = None  # this and the cache's settings save time elsewhere
    prompt_cache_key: str | None = None
    prompt_cache_options: dict[str, Any] | None = None
    prompt_cache_retention: str | None = None

    @property
    def longest(self) -> int:
        """The longest answer, in tokens."""
        return self.max_completion_tokens or self.max_tokens or DEFAULT_TOKENS
