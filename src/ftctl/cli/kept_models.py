"""`ftctl models show|rename|archive|unarchive|delete`: tuned models that a vendor keeps."""

import dataclasses
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click
from typing_extensions import override

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import UsageError

if TYPE_CHECKING:
    from ftctl.api.kept_models import Storage
    from ftctl.providers.base import KeptModel


class ModelsGroup(click.Group):
    """A group that takes a base model's name where no command of its own stands first."""

    @override
    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        verb = bool(args) and args[0] in self.commands
        ctx.allow_interspersed_args = not verb  # a command's options are its own
        return super().parse_args(ctx, ["", *args] if verb else args)


def at_a_vendor(function: Callable[..., None]) -> Callable[..., None]:
    """The options that say whose models are meant."""
    for option in (
        click.option("--base-url", metavar="URL", help="Where that is, if not at the vendor."),
        click.option("--provider", help="Who keeps it, where no job here made it."),
    ):
        function = option(function)
    return function


def show_kept(out: Output, provider: str, base_url: str | None) -> None:
    """The tuned models that a vendor keeps, and what keeping them costs."""
    from ftctl.api.kept_models import Keeper

    keeper = Keeper(provider, base_url=base_url)
    models = keeper.models()
    storage = keeper.storage(len(models))
    if out.json:
        document: dict[str, Any] = {"schema": "ftctl.kept-models/1", "provider": keeper.provider}
        document["models"] = [_row(model) for model in models]
        document["storage"] = None if storage is None else storage.model_dump(mode="json")
        out.document(document)
        return
    if not models:
        out.plain(f"{keeper.provider} keeps no tuned model of this account")
        return
    out.table(
        ("model", "base", "name", "made", "archived", "ends"),
        [
            (
                model.id,
                model.base,
                model.name,
                str(model.created or ""),
                "archived" if model.archived else "",
                str(model.ends or ""),
            )
            for model in models
        ],
        title=f"kept by {keeper.provider}",
    )
    if storage is not None:
        out.note(what_keeping_costs(storage))


def what_keeping_costs(storage: "Storage") -> str:
    """One line for a person."""
    return (
        f"each costs {storage.usd_per_model:.2f} USD a month to keep, together {storage.usd:.2f} "
        f"USD, used or not ({storage.source}; checked {storage.as_of}); ftctl models delete ID "
        "ends it"
    )


def _row(model: "KeptModel") -> dict[str, Any]:
    days = {"created": model.created, "ends": model.ends}
    told = {name: None if day is None else str(day) for name, day in days.items()}
    return dataclasses.asdict(model) | told


def _show(out: Output, model: "KeptModel") -> None:
    row = _row(model)
    if out.json:
        out.document({"schema": "ftctl.kept-model/1", **row})
        return
    out.table(("what", "says"), [(name, "" if v is None else str(v)) for name, v in row.items()])


@make_command("show", short_help="A tuned model that a vendor keeps.")
@click.argument("model", metavar="ID")
@at_a_vendor
def show_command(out: Output, model: str, *, provider: str | None, base_url: str | None) -> None:
    """Show a tuned model that a vendor keeps.

    Example: ftctl models show ft:open-mistral-7b:me:20250101:ab12cd34 --provider mistral
    """
    from ftctl.api.kept_models import keeper_of

    _show(out, keeper_of(model, provider=provider, base_url=base_url).show(model))


@make_command("rename", short_help="Give a tuned model another name to be shown by.")
@click.argument("model", metavar="ID")
@click.argument("name")
@click.option("--description", help="A few words on it.")
@at_a_vendor
def rename_command(
    out: Output,
    model: str,
    name: str,
    *,
    description: str | None,
    provider: str | None,
    base_url: str | None,
) -> None:
    """Give a tuned model another name to be shown by; it answers to its id as before.

    Example: ftctl models rename ft:open-mistral-7b:me:20250101:ab12cd34 colours --provider mistral
    """
    from ftctl.api.kept_models import keeper_of

    keeper = keeper_of(model, provider=provider, base_url=base_url)
    _show(out, keeper.rename(model, name, description))


@make_command("archive", short_help="Put a tuned model aside.")
@click.argument("model", metavar="ID")
@at_a_vendor
def archive_command(out: Output, model: str, *, provider: str | None, base_url: str | None) -> None:
    """Put a tuned model aside; `unarchive` brings it back. Whether it still costs isn't known.

    Example: ftctl models archive ft:open-mistral-7b:me:20250101:ab12cd34 --provider mistral
    """
    from ftctl.api.kept_models import keeper_of

    _show(out, keeper_of(model, provider=provider, base_url=base_url).archive(model))


@make_command("unarchive", short_help="Bring back a tuned model that was put aside.")
@click.argument("model", metavar="ID")
@at_a_vendor
def unarchive_command(
    out: Output, model: str, *, provider: str | None, base_url: str | None
) -> None:
    """Bring back a tuned model that was put aside.

    Example: ftctl models unarchive ft:open-mistral-7b:me:20250101:ab12cd34 --provider mistral
    """
    from ftctl.api.kept_models import keeper_of

    keeper = keeper_of(model, provider=provider, base_url=base_url)
    _show(out, keeper.archive(model, archived=False))


@make_command("delete", short_help="Delete a tuned model for good.")
@click.argument("model", metavar="ID")
@click.option("--yes", is_flag=True, help="Delete without asking.")
@at_a_vendor
def delete_command(
    out: Output, model: str, *, yes: bool, provider: str | None, base_url: str | None
) -> None:
    """Delete a tuned model for good: it answers no more, and nobody can bring it back.

    Example: ftctl models delete ft:open-mistral-7b:me:20250101:ab12cd34 --provider mistral --yes
    """
    from ftctl.api.kept_models import keeper_of

    keeper = keeper_of(model, provider=provider, base_url=base_url)
    if not yes:
        _require_word(keeper.show(model))
    keeper.delete(model)
    if out.json:
        document = {"provider": keeper.provider, "model": model, "deleted": True}
        out.document({"schema": "ftctl.model-deleted/1", **document})
    else:
        out.plain(f"deleted {model} at {keeper.provider}")


def _require_word(model: "KeptModel") -> None:
    """A person's yes, where one is there."""
    named = f" ({model.name})" if model.name else ""
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("nothing was deleted: nobody is here to ask", hint="--yes deletes it")
    if not click.confirm(f"delete {model.id}{named} for good?", err=True):
        raise click.exceptions.Exit(1)


COMMANDS = (show_command, rename_command, archive_command, unarchive_command, delete_command)
