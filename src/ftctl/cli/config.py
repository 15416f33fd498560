"""`ftctl config show`: the settings and where each value comes from."""

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output


@click.group("config", short_help="Show settings and where each value comes from.")
def command() -> None:
    """Show settings and where each value comes from."""


@make_command("show", short_help="Every setting with its value.")
@click.option("--origin", is_flag=True, help="Also say where each value comes from.")
def show(out: Output, *, origin: bool) -> None:
    """Print every setting; a flag wins over the environment, then ftctl.toml, then your own file.

    Example: ftctl config show --origin
    """
    from ftctl.config import load_settings, user_file

    settings = load_settings().explained()
    if out.json:
        told = {
            name: {"value": setting.value, "origin": setting.origin}
            for name, setting in settings.items()
        }
        own = user_file()
        out.document(
            {"schema": "ftctl.config/1", "settings": told, "user_file": own and str(own)},
        )
        return
    columns = ("setting", "value", "from") if origin else ("setting", "value")
    rows = [(name, setting.value, setting.origin) for name, setting in settings.items()]
    out.table(columns, [row[: len(columns)] for row in rows])


command.add_command(show)
