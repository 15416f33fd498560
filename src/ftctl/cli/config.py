"""`ftctl config`: the settings, the keys, and where each comes from."""

import sys

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import UsageError


@click.group("config", short_help="Show settings and where each value comes from.")
def command() -> None:
    """Show settings and where each value comes from."""


@make_command("show", short_help="Every setting with its value.")
@click.option("--origin", is_flag=True, help="Also say where each value comes from.")
def show(out: Output, *, origin: bool) -> None:
    """Print every setting; a flag wins over the environment, then ftctl.toml, then your own file.

    A key is never printed, only whether there is one: from the vendor's own variable, else from
    the system's keyring, else from credentials.toml in the ftctl home.

    Example: ftctl config show --origin
    """
    from ftctl.config import (
        BASE_URL_VARIABLES,
        Setting,
        credential_states,
        find_base_url,
        load_settings,
        user_file,
    )

    loaded = load_settings()
    settings = loaded.explained()
    settings |= {
        f"base_url_{provider}": Setting(url, f"environment ({variable})")
        for provider, variable in BASE_URL_VARIABLES.items()
        if (url := find_base_url(provider)) is not None
    }
    states = list(credential_states(loaded.home))
    if out.json:
        own = user_file()
        document = {
            "schema": "ftctl.config/1",
            "settings": {
                name: {"value": setting.value, "origin": setting.origin}
                for name, setting in settings.items()
            },
            "credentials": {
                state.provider: {
                    "set": state.origin is not None,
                    "origin": state.origin,
                    "problem": state.problem and state.problem.message,
                }
                for state in states
            },
            "user_file": own and str(own),
        }
        out.document(document)
        return
    columns = ("setting", "value", "from") if origin else ("setting", "value")
    rows = [(name, setting.value, setting.origin) for name, setting in settings.items()]
    for state in states:
        found = "set" if state.origin else "not usable" if state.problem else "not set"
        where = state.origin or (state.problem.message if state.problem else "")
        rows.append((f"key of {state.provider}", found, where))
    out.table(columns, [row[: len(columns)] for row in rows])


@make_command(
    "set-key",
    short_help="Keep a provider's key.",
    context_settings={"allow_extra_args": True, "ignore_unknown_options": True},
)
@click.argument("provider")
@click.option("--keyring", is_flag=True, help="In the system's keyring instead of the file.")
@click.pass_context
def set_key(context: click.Context, out: Output, *, provider: str, keyring: bool) -> None:
    """Keep a key in credentials.toml of the ftctl home (mode 0600), or in the system's keyring.

    It is asked for without echo, or read from stdin; never taken as an argument, which other
    users of the machine could see. A key in the vendor's own variable wins over a kept one.

    Example: ftctl config set-key openai < key.txt
    """
    from ftctl.config import clean_key, find_credential, keep_key

    if context.args:  # not repeated: one of them may be the key
        raise UsageError(
            "set-key takes a provider and --keyring, nothing else; a key never as an argument",
            hint='printf %s "$KEY" | ftctl config set-key PROVIDER',
        )
    text = _read_key()
    key = clean_key(text)
    if key != text.rstrip("\r\n"):
        out.note("blanks or quotes around the key were left out")
    place = keep_key(provider, key, keyring=keyring)
    found = find_credential(provider)
    used = found.origin if found else None
    if out.json:
        document = {"schema": "ftctl.key/1", "provider": provider, "kept": place, "used": used}
        out.document(document)
        return
    out.line(f"key of {provider} kept: {place}")
    if used != place:
        out.note(f"{used} has one, too, and wins")


def _read_key() -> str:
    if sys.stdin.isatty():
        asked: str = click.prompt("key", hide_input=True, err=True)
        return asked
    return sys.stdin.read()


@make_command("delete-key", short_help="Delete a provider's kept key.")
@click.argument("provider")
def delete_key(out: Output, *, provider: str) -> None:
    """Delete a key from credentials.toml and the system's keyring; variables stay as they are.

    Example: ftctl config delete-key openai
    """
    from ftctl.config import delete_key, find_credential

    places = delete_key(provider)
    found = find_credential(provider)
    used = found.origin if found else None
    if out.json:
        document = {"schema": "ftctl.key/1", "provider": provider, "deleted": places, "used": used}
        out.document(document)
        return
    out.line(f"key of {provider} deleted: {', '.join(places) or 'none was kept'}")
    if used:
        out.note(f"{used} still has one")


for _command in (show, set_key, delete_key):
    command.add_command(_command)
