"""`ftctl token`: where the token of `ftctl serve` is, and a new one."""

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import UsageError


@make_command("token", short_help="Where the token of `ftctl serve` is; or a new one.")
@click.option("--new", is_flag=True, help="Make another token; the one before is void.")
def command(out: Output, *, new: bool) -> None:
    """Say where the token of `ftctl serve` is kept, or make a new one and print it once.

    A server that is running keeps the token that it began with until it is started again.

    Example: ftctl token --new
    """
    from ftctl.api.server_token import VARIABLE, find_token, make_token, token_file
    from ftctl.config import load_settings

    settings = load_settings()
    found = make_token(settings) if new else find_token(settings)
    if found is None:
        raise UsageError(
            f"there is no token yet: {VARIABLE} isn't set and {token_file(settings)} isn't there",
            hint="ftctl token --new, or start ftctl serve",
        )
    if out.json:
        shown = {"token": found.value} if found.made else {}
        out.document({"schema": "ftctl.token/1", "origin": found.origin, **shown})
        return
    out.plain(found.value if found.made else found.origin)
    if found.made:
        out.note(f"kept in {found.origin}; start ftctl serve again to use it")
