"""`ftctl chat`: talk to a model."""

import sys
from collections.abc import Iterator

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import UsageError


@make_command("chat", short_help="Talk to a base or tuned model.")
@click.argument("target", metavar="ID_OR_DIR_OR_MODEL")
@click.argument("prompt", required=False)
@click.option("--provider", help="Who serves the model, where no job here made it.")
@click.option("--base-url", metavar="URL", help="Where that is, if not at the vendor.")
@click.option("--system", help="A system message; use the one the model was tuned with.")
@click.option("--max-new-tokens", type=click.IntRange(min=1), default=512, show_default=True)
def command(
    out: Output,
    target: str,
    prompt: str | None,
    *,
    provider: str | None,
    base_url: str | None,
    system: str | None,
    max_new_tokens: int,
) -> None:
    """Talk to a base or tuned model: a job, an adapter folder, a hub id or a name.

    Without PROMPT it reads questions from the terminal, or one from standard input.

    Example: ftctl chat smollm2-135m-instruct "What is the capital of France?"
    """
    from ftctl.api.model_handle import find_model

    if out.json and prompt is None and sys.stdin.isatty():
        raise UsageError("--json needs a PROMPT", hint='ftctl chat MODEL "your question" --json')
    model = find_model(target, provider=provider, base_url=base_url)
    messages: list[dict[str, str]] = []
    if system:
        messages.append({"role": "system", "content": system})
    for question in _questions(prompt):
        messages.append({"role": "user", "content": question})
        live = None if out.json else out.piece
        answer = model.chat(messages, max_new_tokens=max_new_tokens, on_text=live)
        messages.append({"role": "assistant", "content": answer})
        if not out.json:
            out.piece("\n")
    if out.json:
        answered = {"answer": messages[-1]["content"], "messages": messages}
        out.document({"schema": "ftctl.chat/1", "model": target, **answered})


def _questions(prompt: str | None) -> Iterator[str]:
    if prompt is not None:
        if not prompt.strip():
            raise UsageError("the prompt is empty", hint='ftctl chat MODEL "your question"')
        yield prompt
        return
    if not sys.stdin.isatty():
        text = sys.stdin.read().strip()
        if not text:
            raise UsageError(
                "no prompt: the argument is missing and standard input is empty",
                hint='ftctl chat MODEL "your question"',
            )
        yield text
        return
    while True:
        try:
            click.echo("> ", nl=False, err=True)
            question = input().strip()
        except EOFError:
            return
        if question:
            yield question
