"""Models that answer: loaded when asked for, a few kept, one answer at a time."""

import gc
import logging
import threading
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from ftctl.errors import Refused
from ftctl.server.errors import ApiError

if TYPE_CHECKING:
    from ftctl.local_backend.chat import Completion, LocalModel

_log = logging.getLogger(__name__)
_KEPT = 2


class Gone(Exception):
    """Nobody waits for this answer any more."""


@dataclass(frozen=True)
class Place:
    """Where a model is on this machine.

    Attributes:
        base_model: Its base, as the job or the server's owner named it.
        adapter: The adapter's folder, if it is tuned.
        weights: The adapter's weights, where they are a checkpoint's instead of the last ones.
    """

    base_model: str
    adapter: Path | None = None
    weights: Path | None = None


@dataclass(frozen=True)
class Question:
    """What is asked of a model.

    Attributes:
        name: The model's name on the wire.
        where: Where it is.
        messages: The conversation.
        max_new_tokens: Longest answer, in tokens.
        stop: Texts that end the answer.
    """

    name: str
    where: Place
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
        """Drop a model and its checkpoints from memory, after what is being asked of them."""
        self._pool.submit(self._drop_all, name)

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

    def _model(self, name: str, where: Place) -> "LocalModel":
        if name not in self._loaded:
            while len(self._loaded) >= _KEPT:
                self._drop(next(iter(self._loaded)))
            _log.info("loading %s", name)
            try:
                model = self._load(where)
            except Refused:  # an extra is missing, and its message says which
                raise
            except Exception:  # noqa: BLE001 - whatever is wrong with it
                _log.exception("%s can't be loaded", name)
                message = f"The model '{name}' can't be loaded; the server's log says why."
                raise ApiError(503, message, code="model_not_loaded", param="model") from None
            model.name = name  # what its errors call it: no path of this machine
            self._loaded[name] = model
        self._loaded.move_to_end(name)
        return self._loaded[name]

    def _load(self, where: Place) -> "LocalModel":
        from ftctl.local_backend.chat import load_model

        if where.adapter is None:
            return load_model(where.base_model, self._home)
        if where.weights is None:
            return load_model(where.adapter, self._home, base=where.base_model)
        with TemporaryDirectory() as folder:  # the finished adapter, with the weights of a step
            for file in where.adapter.iterdir():
                source = where.weights if file.name == where.weights.name else file
                (Path(folder) / file.name).symlink_to(source)
            return load_model(folder, self._home, base=where.base_model)

    def _drop_all(self, name: str) -> None:
        for loaded in list(self._loaded):
            if loaded == name or loaded.startswith(f"{name}:"):
                self._drop(loaded)

    def _drop(self, name: str) -> None:
        if self._loaded.pop(name, None) is not None:
            _log.info("dropping %s", name)
            gc.collect()  # weights in cycles would stay until the next full collection
