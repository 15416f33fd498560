"""Models that answer: loaded when asked for, a few kept, one answer at a time."""

import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ftctl.job import TunedModel

if TYPE_CHECKING:
    from ftctl.local_backend.chat import Completion, LocalModel

_log = logging.getLogger(__name__)
_KEPT = 2


class Gone(Exception):
    """Nobody waits for this answer any more."""


@dataclass(frozen=True)
class Question:
    """What is asked of a model.

    Attributes:
        name: The model's name on the wire.
        where: Its base, and the adapter's folder if it is tuned.
        messages: The conversation.
        max_new_tokens: Longest answer, in tokens.
        stop: Texts that end the answer.
    """

    name: str
    where: TunedModel
    messages: Sequence[Mapping[str, Any]]
    max_new_tokens: int
    stop: Sequence[str]


class ModelThread:
    """The one thread in which models are loaded and answer, so that nothing else waits for them.

    Args:
        home: The ftctl home, for converted base models.
    """

    def __init__(self, home: Path) -> None:
        self._home = home
        self._pool = ThreadPoolExecutor(1, "ftctl-model")
        self._loaded: OrderedDict[str, LocalModel] = OrderedDict()
        self._closing = threading.Event()

    def ask(
        self, question: Question, on_text: Callable[[str], None], gone: threading.Event
    ) -> "Future[Completion]":
        """Queue a question; `on_text` is called in the model's thread.

        Args:
            question: What is asked.
            on_text: Gets the answer as it grows.
            gone: Set by whoever asked when the answer isn't wanted any more.
        """

        def tell(piece: str) -> None:
            if gone.is_set() or self._closing.is_set():
                raise Gone
            if piece:
                on_text(piece)

        return self._pool.submit(self._answer, question, tell)

    def forget(self, name: str) -> None:
        """Drop a model from memory, after what is being asked of it."""
        self._pool.submit(self._drop, name)

    def close(self) -> None:
        """End the answer that is under way and take no more."""
        self._closing.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _answer(self, question: Question, tell: Callable[[str], None]) -> "Completion":
        tell("")  # whoever asked may have left while others were answered
        return self._model(question.name, question.where).complete(
            question.messages,
            max_new_tokens=question.max_new_tokens,
            stop=question.stop,
            on_text=tell,
        )

    def _model(self, name: str, where: TunedModel) -> "LocalModel":
        from ftctl.local_backend.chat import load_model

        if name not in self._loaded:
            while len(self._loaded) >= _KEPT:
                self._drop(next(iter(self._loaded)))
            _log.info("loading %s", name)
            self._loaded[name] = load_model(
                where.folder or where.base_model,
                self._home,
                base=None if where.folder is None else where.base_model,
            )
            self._loaded[name].name = name  # what its errors call it: no path of this machine
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def _drop(self, name: str) -> None:
        if self._loaded.pop(name, None) is not None:
            _log.info("dropping %s", name)
            gc.collect()  # weights in cycles would stay until the next full collection
