"""Counts by Mistral's own tokenizers, of the families that mistral-common ships."""

import re
import warnings
from collections.abc import Mapping, Sequence
from functools import partial
from importlib.metadata import version
from inspect import signature
from pathlib import Path
from typing import Any

from typing_extensions import override

from ftctl.datasets.render import Rendered
from ftctl.datasets.rules.types import JsonObject
from ftctl.datasets.tokens.encodings import base_name
from ftctl.datasets.tokens.pieces import is_trained
from ftctl.datasets.tokens.rendered import RenderedCounter
from ftctl.errors import DataInvalid, ExtraMissing, UsageError

# Which file of mistral-common is a model's, by its name.
# Source: mistral-common 1.9.1's table of models, and Mistral's model cards for the names without
# a date. Families newer than 2024 aren't shipped: name their folder or file instead.
_V1 = "tokenizer.model.v1"
_V2 = "mistral_instruct_tokenizer_240216.model.v2"
_V3 = "mistral_instruct_tokenizer_240323.model.v3"
_V7 = "mistral_instruct_tokenizer_241114.model.v7"
_V7_IMAGES = "mistral_instruct_tokenizer_241114.model.v7m1"
_NEMO = "tekken_240718.json"
_PIXTRAL = "tekken_240911.json"
_FILES = {
    "ministral-8b-2410": _NEMO,
    "ministral-8b": _NEMO,  # the catalog's; newer ones bear another date
    "open-mistral-nemo": _NEMO,
    "mistral-nemo": _NEMO,
    "mistral-small-2409": _NEMO,
    "pixtral-12b": _PIXTRAL,
    "pixtral-12b-2409": _PIXTRAL,
    "pixtral-large-2411": _V7_IMAGES,
    "open-mistral-7b": _V1,
    "open-mixtral-8x7b": _V1,
    "mistral-medium-2312": _V1,
    "mistral-tiny-2312": _V2,
    "mistral-small-2312": _V2,
    "mistral-small-2402": _V2,
    "mistral-large-2402": _V2,
    "mistral-tiny-2407": _V3,
    "open-mixtral-8x22b": _V3,
    "mistral-large-2407": _V3,
    "codestral-2405": _V3,
    "codestral-mamba-2407": _V3,
    "mistral-large-2411": _V7,
    # The catalog's and the hub's names of the same weights.
    "mistral-7b-instruct": _V3,
    "ministral-8b-instruct-2410": _NEMO,
    "mistral-nemo-instruct-2407": _NEMO,
    "mistral-7b-instruct-v0.3": _V3,
    "mistral-large-instruct-2407": _V3,
    "mistral-large-instruct-2411": _V7,
}
_DATED = re.compile(r"-\d{4}$")
_OWN = re.compile(r"tekken.*\.json|.*\.model\.v\d+(?:m\d+)?")
_TEXTS = ("text", "thinking")
_BYTE = re.compile("<0x([0-9A-F]{2})>")
_MESSAGE_KEYS = ("role", "content", "tool_calls", "tool_call_id")


def shipped_file(model: str) -> str | None:
    """The file of mistral-common for a model; None where it ships none.

    Args:
        model: A name such as `open-mistral-nemo-2407`, or a tuned model's `ft:ministral-8b:…`.
    """
    base = base_name(model)
    found = _FILES.get(base)
    if found is None and _DATED.search(base) and base.startswith("open-"):
        found = _FILES.get(_DATED.sub("", base))
    return found


def own_file(place: Path) -> Path | None:
    """A tokenizer of Mistral's own kind: the file named, or a folder's that holds no other.

    Args:
        place: A file such as `tekken.json`, or a model's folder.
    """
    if place.is_dir():
        file = place / "tekken.json"
        return file if file.is_file() and not (place / "tokenizer.json").exists() else None
    return place if _OWN.fullmatch(place.name) else None


class MistralCounter(RenderedCounter):
    """A family's tokenizer and template, as mistral-common renders rows for fine-tuning.

    Args:
        file: One that mistral-common ships, see `shipped_file`; or a path, see `own_file`.

    Raises:
        ExtraMissing: mistral-common isn't installed.
        UsageError: no tokenizer can be read there.
    """

    def __init__(self, file: str) -> None:
        try:
            import mistral_common
            from mistral_common.protocol.instruct.validator import ValidationMode
            from mistral_common.tokens.tokenizers.mistral import MistralTokenizer
        except ImportError:
            raise ExtraMissing("tokens", "counting with Mistral's tokenizers") from None
        place = Path(mistral_common.__path__[0], "data", file)  # a path of its own stays itself
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                mode = ValidationMode.finetuning
                # Theirs is typed more narrowly than it is used.
                self._tokenizer: Any = MistralTokenizer.from_file(str(place), mode=mode)
        except (ImportError, OSError) as error:  # sentencepiece is an extra of theirs
            raise ExtraMissing("tokens", f"counting with {file} ({error})") from None
        except Exception as error:  # noqa: BLE001 - a damaged file makes its reader fail in any way
            raise UsageError(
                f"{file}: no tokenizer could be read ({type(error).__name__})",
                hint="fetch the model's tokenizer file again",
            ) from None
        instruct: Any = self._tokenizer.instruct_tokenizer
        encode = instruct.encode_assistant_message
        # Releases before 1.13 ask whether the answer goes on; it never does here.
        older = "continue_message" in signature(encode).parameters
        self._encode_answer = partial(encode, continue_message=False) if older else encode
        self._in_json = file.endswith(".json")
        encoding, release = place.name.removesuffix(".json"), version("mistral-common")
        says = f"{encoding}, rendered for fine-tuning by mistral-common {release}"
        super().__init__((file,), encoding=encoding, says=says)

    @override
    def count(self, texts: Sequence[str]) -> list[int]:
        encode = self._tokenizer.instruct_tokenizer.tokenizer.encode
        whole = (text.encode("utf-8", "replace").decode() for text in texts)
        return [len(encode(text, bos=False, eos=False)) for text in whole]

    def decode(self, ids: Sequence[int]) -> str:
        """What tokens say, special ones as they are written; what is no character as U+FFFD."""
        from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy

        inner: Any = self._tokenizer.instruct_tokenizer.tokenizer
        if self._in_json:
            text: str = inner.decode(list(ids), SpecialTokenPolicy.KEEP)
            return text
        return b"".join(_piece_bytes(inner.id_to_piece(i)) for i in ids).decode("utf-8", "replace")

    @property
    def special_ids(self) -> frozenset[int]:
        """The tokens that no text is tokenized to."""
        return frozenset(self._tokenizer.instruct_tokenizer.tokenizer.special_ids)

    @override
    def rendered(self, row: JsonObject) -> Rendered:
        from mistral_common.exceptions import MistralCommonException
        from mistral_common.protocol.instruct.request import ChatCompletionRequest

        messages, tools = row.get("messages"), row.get("tools")
        if not isinstance(messages, list) or not all(isinstance(m, dict) for m in messages):
            raise DataInvalid("not a chat example")
        if not all(map(_only_text, messages)):
            # mistral-common would fetch an image, from any address or file that the row names.
            raise DataInvalid("only text can be rendered here, and the row holds something else")
        try:
            request: Any = ChatCompletionRequest.from_openai(
                [_plain(message) for message in messages],
                tools if isinstance(tools, list) and tools else None,
            )
            ids = list(self._tokenizer.encode_chat_completion(request).tokens)
            lengths = self._answer_lengths(request.messages)
        # They check rows by pydantic, asserts and own errors; what they refuse, a rule reports.
        except (MistralCommonException, ValueError, TypeError, KeyError, AssertionError) as error:
            said = f" ({error})" if isinstance(error, MistralCommonException) else ""
            name = type(error).__name__
            raise DataInvalid(
                f"mistral-common refuses the row: {name}{said}",
                hint="ftctl data check FILE --for mistral",
            ) from None
        weights = [is_trained("assistant", m.get("weight")) for m in messages if _answers(m)]
        return Rendered(ids, self._mask(ids, lengths, weights))

    def _answer_lengths(self, messages: Sequence[Any]) -> list[int]:
        """Tokens of each answer with its end; 0 of one that the template leaves out."""
        last_user = max((i for i, m in enumerate(messages) if m.role == "user"), default=-1)
        return [
            len(self._encode_answer(message, is_before_last_user_message=i < last_user))
            for i, message in enumerate(messages)
            if message.role == "assistant"
        ]

    def _mask(self, ids: list[int], lengths: list[int], weights: list[bool]) -> list[int]:
        """1 on the tokens of answers: each ends where the next end-of-sequence stands.

        Raises:
            DataInvalid: the answers can't be found among the ids.
        """
        end_id = self._tokenizer.instruct_tokenizer.tokenizer.eos_id
        ends = [place for place, token in enumerate(ids) if token == end_id]
        there = [pair for pair in zip(lengths, weights, strict=True) if pair[0]]
        if len(ends) != len(there):
            raise DataInvalid("the answers can't be told apart among the tokens")
        mask = [0] * len(ids)
        for end, (length, trained) in zip(ends, there, strict=True):
            if trained:
                mask[end + 1 - length : end + 1] = [1] * length
        return mask

    @override
    def _text(self, ids: Sequence[int]) -> str:
        from mistral_common.tokens.tokenizers.base import SpecialTokenPolicy

        decoded: str = self._tokenizer.decode(list(ids), SpecialTokenPolicy.IGNORE)
        return decoded


def _piece_bytes(piece: str) -> bytes:
    """What a token of SentencePiece stands for."""
    byte = _BYTE.fullmatch(piece)
    return bytes.fromhex(byte[1]) if byte else piece.replace("▁", " ").encode()


def _only_text(message: Mapping[str, object]) -> bool:
    content = message.get("content")
    parts = content if isinstance(content, list) else []
    return all(isinstance(part, dict) and part.get("type") in _TEXTS for part in parts)


def _answers(message: Mapping[str, object]) -> bool:
    return message.get("role") == "assistant"


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """A message with the keys that mistral-common takes, a developer's as a system message."""
    kept = {key: message[key] for key in _MESSAGE_KEYS if message.get(key) is not None}
    return kept | {"role": "system"} if message.get("role") == "developer" else kept
