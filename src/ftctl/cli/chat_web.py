"""`ftctl chat --web`: a model's chat box, and a browser to show it."""

import os
import sys
import threading
import webbrowser
from typing import TYPE_CHECKING

from ftctl.cli.chat_server import About, ChatServer
from ftctl.cli.render import Output
from ftctl.local_backend.chat import LocalModel

if TYPE_CHECKING:
    from ftctl.api.model_handle import TunedModelHandle


def run(
    out: Output,
    handle: "TunedModelHandle",
    name: str,
    system: str | None,
    *,
    port: int,
    max_new_tokens: int,
    open_: bool,
) -> None:
    """Load a model and serve its chat box until interrupted.

    Args:
        out: Where the address is told.
        handle: The model.
        name: What the page calls it.
        system: The first system message; the one it was tuned with when None.
        port: 0 takes a free one.
        max_new_tokens: Longest answer, in tokens.
        open_: Whether to open a browser, where a person looks on and there is one.

    Raises:
        CannotListen: the port can't be had.
        UsageError: the model can't be loaded.
        ExtraMissing: torch or transformers isn't installed.
    """
    with ChatServer(port) as server:
        model = handle.load(merge=False)
        known = handle.training_prompt
        trained = None if known is None else known.text or ""
        about = About(
            model=name,
            system=(trained or "") if system is None else system,
            trained=trained,
            has_base=isinstance(model, LocalModel) and model.has_adapter,
            max_new_tokens=max_new_tokens,
        )
        server.offer(model, about)
        if out.json:
            out.document({"schema": "ftctl.chat-web/1", "url": server.url})
        else:
            out.plain(server.url)
            out.note("for you alone; Ctrl-C ends it")
        if open_ and not out.json and _has_browser():
            # A browser may hold up whoever starts it until it ends.
            threading.Thread(target=webbrowser.open, args=[server.link], daemon=True).start()
        server.serve_forever(poll_interval=0.1)


def _has_browser() -> bool:
    """Whether a person looks on, at a screen: one in text would take this terminal."""
    screens = ("DISPLAY", "WAYLAND_DISPLAY", "BROWSER")
    return sys.stdout.isatty() and (sys.platform != "linux" or any(map(os.environ.get, screens)))
