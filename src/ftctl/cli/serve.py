"""`ftctl serve`: OpenAI's wire on this machine."""

import logging
from typing import TYPE_CHECKING

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import ExtraMissing

if TYPE_CHECKING:
    from ftctl.server.app import Service

_MIB = 2**20


@make_command("serve", short_help="OpenAI's fine-tuning and chat API on your own GPUs.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8321,
    show_default=True,
    help="0 takes a free one.",
)
@click.option(
    "--base",
    "bases",
    multiple=True,
    metavar="NAME=PATH_OR_ID",
    help="A base model to offer; repeatable.",
)
@click.option(
    "--max-upload-mb",
    type=click.IntRange(min=1),
    default=512,
    show_default=True,
    help="Largest file that is taken.",
)
def command(
    out: Output, *, host: str, port: int, bases: tuple[str, ...], max_upload_mb: int
) -> None:
    """Serve fine-tuning and chat as OpenAI's API does, until interrupted.

    Point a client at it: OPENAI_BASE_URL is what it prints, OPENAI_API_KEY the token. Jobs that
    run when it ends go on, and are there when it starts again.

    Example: ftctl serve --base my-model=/models/my-model
    """
    _require_extra()
    from ftctl.config import load_settings
    from ftctl.server.app import serve

    if not out.quiet:
        logging.getLogger("ftctl.server").setLevel(logging.INFO)
    serve(
        load_settings(),
        host=host,
        port=port,
        bases=bases,
        max_upload_bytes=max_upload_mb * _MIB,
        on_ready=lambda service: _tell(out, service, host),
    )


def _tell(out: Output, service: "Service", host: str) -> None:
    """Where it listens, what it offers, and the token when nobody has seen it yet."""
    if not _is_loopback(host):
        out.note("others can reach this address: put TLS in front, the token travels in clear")
    token = service.token
    if out.json:
        body = {"base_url": service.base_url, "bases": service.bases, "token_origin": token.origin}
        once = {"token": token.value} if token.made else {}
        out.document({"schema": "ftctl.serve/1", **body, **once})
        return
    out.plain(service.base_url)
    out.plain(f"models: {', '.join(service.bases) or 'none yet: --base NAME=PATH adds one'}")
    out.plain(
        f"token: {token.value} (kept in {token.origin}, shown this once)"
        if token.made
        else f"token: in {token.origin}"
    )


def _is_loopback(host: str) -> bool:
    from ipaddress import ip_address

    try:
        return ip_address(host).is_loopback
    except ValueError:  # a name
        return host == "localhost"


def _require_extra() -> None:
    """Say which extra is missing before anything is done.

    Raises:
        ExtraMissing: starlette, uvicorn or python-multipart isn't installed.
    """
    from importlib.util import find_spec

    if any(find_spec(name) is None for name in ("starlette", "uvicorn", "python_multipart")):
        raise ExtraMissing("server", "ftctl serve")
