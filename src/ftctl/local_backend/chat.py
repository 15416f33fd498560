"""A base or tuned model that answers on this machine."""

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from ftctl.datasets.render import Message, Tokenizer, load_tokenizer, prompt_text
from ftctl.local_backend.base_models import find_base, require_local_extra
from ftctl.local_backend.generate import generate
from ftctl.local_backend.hardware import find_device, has_fast_bf16
from ftctl.local_backend.model import adapter_base, load_base, load_tuned

_BATCH = 64


class LocalModel:
    """A loaded model and its tokenizer.

    Args:
        name: What to call it.
        model: In evaluation mode, adapter merged.
        tokenizer: With the chat template it was tuned with.
    """

    def __init__(self, name: str, model: Any, tokenizer: Tokenizer) -> None:  # noqa: ANN401
        self.name = name
        self._model, self._tokenizer = model, tokenizer
        stops = getattr(model.generation_config, "eos_token_id", None)
        known = stops if isinstance(stops, list) else [stops]
        self._stop_ids = frozenset(i for i in [*known, tokenizer.eos_token_id] if i is not None)

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
        so_far: list[int] = []
        told = ""

        def show(token: int) -> None:
            nonlocal told
            so_far.append(token)
            text = self._text(so_far)
            if on_text is not None and not text.endswith("\ufffd"):  # a character in mid-token
                on_text(text[len(told) :])
                told = text

        prompt = self._ids(prompt_text(self._tokenizer, messages))
        ids = generate(
            self._model,
            [prompt],
            stop_ids=self._stop_ids,
            max_new_tokens=max_new_tokens,
            on_token=show,
        )
        return self._text(ids[0])

    def count_tokens(self, text: str) -> int:
        """How many tokens a text has, for this model."""
        return len(self._ids(text))

    def _ids(self, text: str) -> list[int]:
        ids: list[int] = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        return ids

    def _text(self, ids: Sequence[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=True)


def load_model(target: str | Path, home: Path, *, base: str | None = None) -> LocalModel:
    """Load a base model, or a base with the adapter in a folder.

    Args:
        target: A model folder, an adapter folder, a hub id or a name in the catalog.
        home: The ftctl home, for converted models.
        base: The adapter's base by the name it was submitted with; else what the adapter says.

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
    folder = Path(target).expanduser()
    if (folder / "adapter_config.json").is_file():
        base_folder = find_base(base or adapter_base(folder), home)
        model = load_tuned(base_folder, folder, dtype, device)
        tokenizer = load_tokenizer(folder)
    else:
        base_folder = find_base(str(target), home)
        model = load_base(base_folder, dtype, device)
        tokenizer = load_tokenizer(base_folder)
    return LocalModel(str(target), model.eval(), tokenizer)
