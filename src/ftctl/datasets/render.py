"""Chat template, token ids and completion mask, in one place for everybody.

Training, counting, showing and serving all come here, so that what is trained on is what is
served. The tokenizer is transformers'; torch isn't needed and isn't imported.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from ftctl.config import switch_off_telemetry
from ftctl.datasets.rules.tools import decoded_tools, is_flat
from ftctl.errors import DataInvalid, ExtraMissing, UsageError

Message = Mapping[str, Any]


class Tokenizer(Protocol):
    """What we need of a transformers tokenizer."""

    eos_token_id: int | None
    pad_token_id: int | None
    padding_side: str

    def apply_chat_template(
        self,
        conversation: Sequence[Message],
        **options: Any,  # noqa: ANN401 - transformers' own
    ) -> str:
        """Messages to one string, by the model's own template."""

    def __call__(self, text: str, **options: Any) -> Any:  # noqa: ANN401 - transformers' own
        """Text to token ids."""

    def decode(self, ids: Sequence[int], **options: Any) -> str:  # noqa: ANN401 - as above
        """Token ids to text."""


@dataclass(frozen=True, slots=True)
class Rendered:
    """One example as the model sees it.

    Attributes:
        ids: Token ids, [T].
        mask: 1 where loss counts, [T].
    """

    ids: list[int]
    mask: list[int]

    @property
    def trained_tokens(self) -> int:
        """How many tokens loss counts on."""
        return sum(self.mask)


def load_tokenizer(folder: Path | str, *, key: str | None = None, chat: bool = True) -> Tokenizer:
    """Load the tokenizer of a model folder, a `.gguf` file or a hub id; no remote code is run.

    Args:
        folder: The model.
        key: For the hub; that of the environment when None.
        chat: Whether it has to have a chat template.

    Raises:
        ExtraMissing: transformers isn't installed.
        UsageError: there is no tokenizer, or it has no chat template.
    """
    switch_off_telemetry()
    try:
        from transformers import AutoTokenizer
    except ImportError:
        raise ExtraMissing("local", "reading a tokenizer") from None
    file = Path(folder)
    packed = {"gguf_file": file.name} if file.suffix == ".gguf" else {}
    place = str(file.parent if packed else folder)
    try:
        tokenizer = AutoTokenizer.from_pretrained(
            place, trust_remote_code=False, token=key, **packed
        )
    except ImportError:
        raise ExtraMissing("local", "reading a tokenizer out of a GGUF file") from None
    except Exception as error:  # noqa: BLE001 - a damaged file makes its readers fail in any way
        first = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UsageError(
            f"{folder}: no tokenizer could be read ({first})",
            hint="the folder needs tokenizer.json and tokenizer_config.json beside the weights",
        ) from None
    if chat and not tokenizer.chat_template:
        raise UsageError(
            f"{folder}: the tokenizer has no chat template, so chat examples can't be rendered",
            hint="use an instruct model, or add chat_template.jinja to the folder",
        )
    loaded: Tokenizer = tokenizer
    return loaded


def prompt_text(
    tokenizer: Tokenizer, messages: Sequence[Message], tools: Sequence[Any] | None = None
) -> str:
    """The text the model is asked to go on from: all messages, then the assistant's opening.

    Raises:
        DataInvalid: the template refuses the messages.
    """
    if messages:
        return _rendered(tokenizer, messages, tools, opening=True)
    # No template renders nothing: the opening is what stands before an answer that comes first.
    answer: list[Message] = [{"role": "assistant", "content": "x"}]
    whole = _rendered(tokenizer, answer, tools, opening=False)
    opening = _rendered(tokenizer, answer, tools, opening=True).removeprefix(whole)
    before, found, _ = whole.partition(opening) if opening else (whole, "", "")
    if not found:
        raise DataInvalid(
            "this model's chat template can't begin with an answer",
            hint="begin with a user message",
        )
    return before + found


def whole_text(tokenizer: Tokenizer, messages: Sequence[Message], tools: object = None) -> str:
    """All messages as the template writes them, and nothing after them.

    Raises:
        DataInvalid: the template refuses the messages.
    """
    return _rendered(tokenizer, messages, tools, opening=False)


def render(
    tokenizer: Tokenizer, messages: Sequence[Message], tools: Sequence[Any] | None = None
) -> Rendered:
    """Render a chat example and mark the tokens that are trained on.

    The mask comes from rendering step by step: what the template adds for an assistant message
    beyond its opening is trained, up to and including the stop token; white space that the
    template puts after the stop token, and everything said by others, isn't. Messages with
    `weight` 0 are left out of the loss.

    Args:
        tokenizer: The model's tokenizer, with a chat template.
        messages: A chat example's messages.
        tools: The tool definitions of the example.

    Returns:
        Token ids and mask, both [T].

    Raises:
        DataInvalid: the template refuses the messages, or rewrites earlier ones as more come.
    """
    ids: list[int] = []
    mask: list[int] = []
    done = ""
    for index, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        opening = prompt_text(tokenizer, messages[:index], tools)
        whole = _rendered(tokenizer, messages[: index + 1], tools, opening=False)
        if not whole.startswith(opening) or not opening.startswith(done):
            raise DataInvalid(
                f"messages[{index}]: this model's chat template changes earlier text as messages "
                "are added, so the answer's tokens can't be told apart",
                hint="use a template that only appends, or split the example at this message",
            )
        answer = whole[len(opening) :]
        trained = answer.rstrip()
        weight = 0 if message.get("weight") == 0 else 1
        for text, counts in ((opening[len(done) :], 0), (trained, weight)):
            piece = tokenizer(text, add_special_tokens=False)["input_ids"] if text else []
            ids += piece
            mask += [counts] * len(piece)
        done = opening + trained
    return Rendered(ids, mask)


def _rendered(
    tokenizer: Tokenizer, messages: Sequence[Message], tools: object, *, opening: bool
) -> str:
    from jinja2 import TemplateError

    try:
        return tokenizer.apply_chat_template(
            _plain(messages), tools=_tools(tools), tokenize=False, add_generation_prompt=opening
        )
    except (TemplateError, TypeError, KeyError, ValueError) as error:
        raise DataInvalid(
            f"the model's chat template refuses these messages: {error}",
            hint="ftctl data check FILE --for local",
        ) from None


def _plain(messages: Sequence[Message]) -> list[dict[str, Any]]:
    """Messages as templates expect them: text parts joined, null content empty, no weights.

    A developer's message, which few templates know, is a system message.
    """
    plain = []
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            content = "".join(part.get("text", "") for part in content)
        kept = {key: value for key, value in message.items() if key not in ("weight", "refusal")}
        role = "system" if message["role"] == "developer" else message["role"]
        plain.append(kept | {"role": role, "content": "" if content is None else content})
    return plain


def _tools(tools: object) -> list[Any] | None:
    """Definitions as templates expect them: what is a JSON string decoded, what is flat wrapped."""
    found = decoded_tools(tools) if isinstance(tools, str) else tools
    wrapped = [
        {"type": "function", "function": {k: v for k, v in tool.items() if k != "type"}}
        if isinstance(tool, dict) and is_flat(tool)
        else tool
        for tool in (found if isinstance(found, list | tuple) else [])
    ]
    return wrapped or None
