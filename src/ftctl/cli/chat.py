"""`ftctl chat`: talk to a model, in the terminal or in a browser."""

import contextlib
import re
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import FtctlError, UsageError

if TYPE_CHECKING:
    from ftctl.api.model_handle import TunedModelHandle

_HINT = 'ftctl chat MODEL "your question"'
_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f]")  # what could move a terminal's cursor


@make_command("chat", short_help="Talk to a base or tuned model.")
@click.argument("target", metavar="ID_OR_DIR_OR_MODEL")
@click.argument("prompt", required=False)
@click.option("--provider", help="Who serves the model, where no job here made it.")
@click.option("--base-url", metavar="URL", help="Where that is, if not at the vendor.")
@click.option(
    "--system",
    metavar="TEXT",
    help="A system message. Without it the one the model was tuned with is sent, where that is "
    "known; an empty one sends none.",
)
@click.option(
    "--max-new-tokens",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Longest answer.",
)
@click.option("--web", is_flag=True, help="A chat box in the browser, for you alone.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=0,
    show_default=True,
    help="Of --web; 0 takes a free one.",
)
@click.option("--no-open", is_flag=True, help="With --web, print the address and open nothing.")
def command(
    out: Output,
    target: str,
    prompt: str | None,
    *,
    provider: str | None,
    base_url: str | None,
    system: str | None,
    max_new_tokens: int,
    web: bool,
    port: int,
    no_open: bool,
) -> None:
    """Talk to a base or tuned model: a job, an adapter folder, a hub id or a name.

    Without PROMPT it reads questions from the terminal, or one from standard input. In the
    terminal /reset begins a new conversation, Ctrl-C stops an answer, /exit or Ctrl-D ends. With
    --web it opens a chat box in the browser, until Ctrl-C; an adapter answers beside its base.

    Example: ftctl chat smollm2-135m-instruct "What is the capital of France?"
    """
    from ftctl.api.model_handle import find_model

    if web:
        if prompt is not None:
            raise UsageError(
                "--web takes no PROMPT", hint=f"ask in the page: ftctl chat {target} --web"
            )
        from ftctl.cli.chat_web import run

        model = find_model(target, provider=provider, base_url=base_url)
        run(out, model, target, system, port=port, max_new_tokens=max_new_tokens, open_=not no_open)
        return
    question = _given(prompt)
    if out.json and question is None:
        raise UsageError("--json needs a PROMPT", hint=f"{_HINT} --json")
    talk = _Talk(out, find_model(target, provider=provider, base_url=base_url), max_new_tokens)
    talk.begin(system)
    if question is None:
        _converse(out, talk)
        return
    answer = talk.ask(question)
    if out.json:
        answered = {"answer": answer, "messages": talk.messages}
        out.document({"schema": "ftctl.chat/1", "model": target, **answered})


def _given(prompt: str | None) -> str | None:
    """The one question that was put; None where a person at a terminal will put them."""
    if prompt is not None:
        if not prompt.strip():
            raise UsageError("the prompt is empty", hint=_HINT)
        return prompt
    if sys.stdin.isatty():
        return None
    text = sys.stdin.read().strip()
    if text != _readable(text):
        raise UsageError("standard input isn't UTF-8 text", hint=_HINT)
    if not text:
        raise UsageError(
            "no prompt: the argument is missing and standard input is empty", hint=_HINT
        )
    return text


class _Talk:
    """One conversation at a time, and what is said once about its system message."""

    def __init__(self, out: Output, model: "TunedModelHandle", max_new_tokens: int) -> None:
        self.messages: list[dict[str, str]] = []
        self._out, self._model, self._max_new_tokens = out, model, max_new_tokens

    def begin(self, system: str | None) -> None:
        """Load the model, and choose the system message."""
        known = self._model.training_prompt
        if system is None and known is not None and known.text:
            system = known.text
            note = (
                f"sent with the system message it was tuned with: {known}; --system sends another"
            )
            self._out.note(note)
        self.messages = [{"role": "system", "content": system}] if system else []
        warning = "" if known is None else known.unlike(self.messages)
        if warning:
            self._out.note(f"warning: {warning}; without --system that is put right")

    def reset(self) -> None:
        """Forget all but the system message."""
        self.messages = [message for message in self.messages if message["role"] == "system"]

    def ask(self, question: str) -> str:
        """Ask, show the answer as it grows, and keep both; an answer that is stopped as it is."""
        asked = [*self.messages, {"role": "user", "content": question}]
        told: list[str] = []

        def tell(piece: str) -> None:
            told.append(piece)
            if not self._out.json:
                self._out.piece(_shown(piece))

        try:
            answer = self._model.chat(asked, max_new_tokens=self._max_new_tokens, on_text=tell)
        except KeyboardInterrupt:
            if any(told):
                self.messages = [*asked, {"role": "assistant", "content": "".join(told)}]
            raise
        self.messages = [*asked, {"role": "assistant", "content": answer}]
        if not self._out.json:
            self._out.piece("\n")
        return answer


def _readable(text: str) -> str:
    """The text with a sign for each byte that is none."""
    return text.encode("utf-8", "replace").decode()


def _shown(piece: str) -> str:
    """A model's words on a terminal, where none of them may steer it."""
    if not sys.stdout.isatty():
        return piece
    return _CONTROLS.sub(lambda found: f"\\u{ord(found[0]):04x}", piece)


def _converse(out: Output, talk: _Talk) -> None:
    """Questions and answers until the person leaves; what fails is told, and it goes on."""
    out.note("/reset begins a new conversation, Ctrl-C stops an answer, /exit or Ctrl-D ends")
    for line in _lines():
        if line == "/exit":
            return
        if line == "/reset":
            talk.reset()
            out.note("a new conversation")
            continue
        try:
            talk.ask(line)
        except KeyboardInterrupt:
            out.piece("\n")
            out.note("stopped")
        except FtctlError as error:
            out.piece("\n")
            out.note(f"{error.message}\n  → {error.hint or '/reset begins anew'}")


def _lines() -> Iterator[str]:
    """What a person types, without the empty lines."""
    with contextlib.suppress(ImportError):  # not everywhere: arrow keys and history
        import readline  # noqa: F401 - input() uses it once it is there
    while True:
        try:
            if not sys.stdout.isatty():
                click.echo("> ", nl=False, err=True)
            line = input("> " if sys.stdout.isatty() else "").strip()
        except EOFError:
            click.echo(err=True)
            return
        if line:
            yield _readable(line)
