"""A base or tuned model that answers on this machine."""

import contextlib
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ftctl.datasets.render import Message, Tokenizer, load_tokenizer, prompt_text
from ftctl.errors import UsageError
from ftctl.local_backend.base_models import (
    find_base,
    hub_key,
    require_local_extra,
)
from ftctl.local_backend.generate import generate, stop_ids_of
from ftctl.local_backend.hardware import find_device, has_fast_bf16
from ftctl.local_backend.hub_adapters import CONFIG, fetch_adapter
from ftctl.local_backend.model import adapter_base, load_base, load_tuned
from ftctl.local_backend.training_prompt import TrainingPrompt, find_training_prompt

if TYPE_CHECKING:
    pass

_BATCH = 64


@dataclass(frozen=True, slots=True)
class Completion:
    """One answer, and what it took.

    Attributes:
        text: The answer.
        prompt_tokens: Tokens of the messages.
        completion_tokens: Tokens of the answer, as they were made.
        ended: `stop` when the model or a stop text ended it, `length` when the limit did.
    """

    text: str
    prompt_tokens: int
    completion_tokens: int
    ended: Literal["stop", "length"]


class PromptTooLong(UsageError):
    """The messages alone fill the model's context."""


class LocalModel:
    """A loaded model and its tokenizer.

    Args:
        name: What to call it.
        model: In evaluation mode, adapter merged or beside it.
        tokenizer: With the chat template it was tuned with.
        training_prompt: The system message it was tuned with, where that is known.
    """

    def __init__(
        self,
        name: str,
        model: Any,  # noqa: ANN401
        tokenizer: Tokenizer,
        training_prompt: TrainingPrompt | None = None,
    ) -> None:
        self.name = name
        self.training_prompt = training_prompt
        self._model, self._tokenizer = model, tokenizer
        self.context_tokens: int | None = getattr(model.config, "max_position_embeddings", None)
        self._stop_ids = stop_ids_of(model, tokenizer)

    @property
    def has_adapter(self) -> bool:
        """Whether the base model can answer, too: the adapter stands beside it, not in it."""
        return hasattr(self._model, "disable_adapter")

    def answer(
        self,
        conversations: Sequence[Sequence[Message]],
        *,
        max_new_tokens: int = 256,
        on_progress: Callable[[int], None] | None = None,
    ) -> list[str]:
        """Answer many conversations greedily, in batches of similar length.

        Args:
            conversations: Messages up to the one to be answered.
            max_new_tokens: Longest answer, in tokens.
            on_progress: Called with the number of answers so far.

        Returns:
            An answer for each conversation, in their order.
        """
        prompts = [self._ids(prompt_text(self._tokenizer, messages)) for messages in conversations]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        answers = [""] * len(prompts)
        for start in range(0, len(order), _BATCH):
            chosen = order[start : start + _BATCH]
            ids = generate(
                self._model,
                [prompts[i] for i in chosen],
                stop_ids=self._stop_ids,
                max_new_tokens=max_new_tokens,
            )
            for place, answer in zip(chosen, ids, strict=True):
                answers[place] = self._text(answer)
            if on_progress is not None:
                on_progress(start + len(chosen))
        return answers

    def chat(
        self,
        messages: Sequence[Message],
        *,
        max_new_tokens: int = 512,
        on_text: Callable[[str], None] | None = None,
    ) -> str:
        """Answer one conversation; `on_text` gets the text piece by piece as it grows."""
        return self.complete(messages, max_new_tokens=max_new_tokens, on_text=on_text).text

    def complete(
        self,
        messages: Sequence[Message],
        *,
        max_new_tokens: int,
        stop: Sequence[str] = (),
        on_text: Callable[[str], None] | None = None,
        tuned: bool = True,
    ) -> Completion:
        """Answer one conversation greedily, and say what it took.

        Args:
            messages: Messages up to the one to be answered.
            max_new_tokens: Longest answer, in tokens; less where the model's context ends sooner.
            stop: Texts before which the answer ends.
            on_text: Called at every token with what can be shown by now, "" when that is nothing;
                an error that it raises ends the answer.
            tuned: False leaves the adapter out; only where `has_adapter`.

        Raises:
            PromptTooLong: no token of an answer would fit.
            DataInvalid: the chat template refuses the messages.
        """
        prompt = self._ids(prompt_text(self._tokenizer, messages))
        room = self.context_tokens - len(prompt) if self.context_tokens else max_new_tokens
        if room < 1:
            raise PromptTooLong(
                f"the messages have {len(prompt)} tokens; {self.name} holds "
                f"{self.context_tokens}, answer included",
                hint="shorten the messages",
            )
        growing = _Growing(self._text, stop, on_text)
        limit = min(max_new_tokens, room)
        off = contextlib.nullcontext() if tuned else self._model.disable_adapter()
        with off, contextlib.suppress(_StopSeen):
            generate(
                self._model,
                [prompt],
                stop_ids=self._stop_ids,
                max_new_tokens=limit,
                on_token=growing.add,
            )
        ended: Literal["stop", "length"] = (
            "stop" if growing.stopped or len(growing.ids) < limit else "length"
        )
        return Completion(growing.end(), len(prompt), len(growing.ids), ended)

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has, for this model."""
        return len(self._ids(text))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _text(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)


class _StopSeen(Exception):
    """A stop text has come up: nothing after it is wanted."""


class _Growing:
    """The text of an answer as its tokens come; shows only what no stop text can take back."""

    def __init__(
        self,
        decode: Callable[[Sequence[int]], str],
        stop: Sequence[str],
        on_text: Callable[[str], None] | None,
    ) -> None:
        self._decode, self._stop = decode, [text for text in stop if text]
        self._on_text = on_text or (lambda _: None)
        self._shown = 0
        self.ids: list[int] = []
        self.stopped = False

    def add(self, token: int) -> None:
        """Take one more token.

        Raises:
            _StopSeen: the answer is whole.
        """
        self.ids.append(token)
        text = self._decode(self.ids)
        if any(stop in text for stop in self._stop):
            self.stopped = True
            raise _StopSeen
        held = max((_overlap(text, stop) for stop in self._stop), default=0)
        in_mid_character = text.endswith("\ufffd")
        self._show(text, 0 if in_mid_character else len(text) - held)

    def end(self) -> str:
        """The whole answer, up to the first stop text; shows what was held back."""
        text = self._decode(self.ids)
        text = text[: min((text.find(stop) for stop in self._stop if stop in text), default=None)]
        self._show(text, len(text))
        return text

    def _show(self, text: str, until: int) -> None:
        until = max(until, self._shown)
        self._on_text(text[self._shown : until])
        self._shown = until


def _overlap(text: str, stop: str) -> int:
    """How many last characters of a text may be the beginning of a stop text."""
    longest = min(len(text), len(stop) - 1)
    return next((n for n in range(longest, 0, -1) if text.endswith(stop[:n])), 0)


def load_model(
    target: str | Path, home: Path, *, base: str | None = None, merge: bool = True
) -> LocalModel:
    """Load a base model, or a base with the adapter in a folder or a hub's repository.

    Args:
        target: A model folder, an adapter folder, a hub id or a name in the catalog.
        home: The ftctl home, for converted models.
        base: The adapter's base by the name it was submitted with; else what the adapter says.
        merge: Merged, an adapter costs nothing per token; beside its base it can be left out.

    Raises:
        UsageError: it can't be found or loaded.
        ExtraMissing: torch or transformers isn't installed.
    """
    require_local_extra("running a model here")
    # Read when torch is loaded: idle threads that spin slow every other program here down.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    import torch

    device = find_device()
    dtype = torch.bfloat16 if has_fast_bf16(device) else torch.float32
    where, adapter = _places(target, home, base)
    key = hub_key(where, home)
    if adapter is None:
        model = load_base(where, dtype, device, key=key)
        tokenizer = load_tokenizer(where, key=key)
    else:
        model = load_tuned(where, adapter, dtype, device, key=key, merge=merge)
        tokenizer = load_tokenizer(adapter)
    folder = where if adapter is None else adapter
    prompt = find_training_prompt(folder) if isinstance(folder, Path) else None
    return LocalModel(str(target), model.eval(), tokenizer, prompt)


def _places(target: str | Path, home: Path, base: str | None) -> tuple[Path | str, Path | None]:
    """Where the base model is, and the adapter if there is one."""
    folder = Path(target).expanduser()
    adapter = folder if (folder / CONFIG).is_file() else None
    if adapter is None:
        found = find_base(str(target), home)
        if isinstance(found, str) and found == target:  # no name of the catalog: of either kind
            adapter = fetch_adapter(found, home)
        if adapter is None:
            return found, None
    return find_base(base or adapter_base(adapter), home), adapter
