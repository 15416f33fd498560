"""`ftctl data show`: what a model sees of an example, and what it is trained on."""

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ftctl.cli.options import command as make_command
from ftctl.cli.render import Output
from ftctl.errors import UsageError

if TYPE_CHECKING:
    from ftctl.datasets.render import Tokenizer
    from ftctl.datasets.show.html import Page
    from ftctl.datasets.show.pick import Row
    from ftctl.datasets.show.tokens import Look
    from ftctl.datasets.show.types import Broken, Example, Token
    from ftctl.datasets.tokens.mistral import MistralCounter

_FILE = click.Path(path_type=Path)
_STYLES = {"trained": "green", "untrained": "red", "cut": "bright_black"}
# Where there is no colour: as in a word-wise diff, `+` is what the model gains.
_MARKS = {"trained": ("{+", "+}"), "untrained": ("[-", "-]"), "cut": ("[x", "x]")}
_SAID = {"trained": "trained on", "untrained": "not trained on", "cut": "cut"}


@make_command("show", short_help="What the model sees, and what it is trained on.")
@click.argument("place", metavar="FILE_OR_DIR", type=_FILE)
@click.option(
    "-n", "count", type=click.IntRange(1, 100), help="Examples to show; 3, or 1 with --line."
)
@click.option("--line", type=click.IntRange(min=1), metavar="L", help="Show this line of the file.")
@click.option("--model", metavar="M", help="Whose chat template and tokens: a folder, GGUF, name.")
@click.option(
    "--max-length",
    type=click.IntRange(min=1),
    metavar="T",
    help="Tokens beyond it are cut; 2048 for a model that can be trained here, as there.",
)
@click.option(
    "--max-tokens",
    type=click.IntRange(min=2),
    default=4096,
    show_default=True,
    help="Tokens shown of each example.",
)
@click.option("--html", type=_FILE, metavar="OUT", help="Write a page instead of printing.")
@click.pass_context
def show_command(
    context: click.Context,
    out: Output,
    *,
    place: Path,
    count: int | None,
    line: int | None,
    model: str | None,
    max_length: int | None,
    max_tokens: int,
    html: Path | None,
) -> None:
    """Show examples as the model sees them, token by token, by its own chat template.

    Green is what training learns from, red is what it doesn't, grey is beyond --max-length; where
    there is no colour the marks are {+trained on+}, [-not trained on-] and [xcutx]. Without
    --model there are no tokens: roles, and which messages are trained on, are shown. Of Mistral's
    models, those of 2024 are rendered as mistral-common does it for fine-tuning.

    DIR is a dataset that another trainer has tokenized (Axolotl's last_run_prepared/HASH, or
    save_to_disk): labels of -100 are red; without --model its token ids are shown.

    A line that can't be shown is told and passed over. Exits 1 where nothing can be shown.

    Example: ftctl data show train.jsonl --line 7 --model smollm2-135m-instruct
    """
    from ftctl.datasets.show.pick import pick
    from ftctl.datasets.show.prepared import find_prepared
    from ftctl.datasets.show.tokens import Look
    from ftctl.datasets.show.types import Broken, Example, Shown
    from ftctl.datasets.tokens.mistral import MistralCounter
    from ftctl.local_backend.data import DEFAULT_MAX_LENGTH

    if place.is_dir():
        place = find_prepared(place)
    elif max_length and not model:
        raise UsageError("--max-length counts tokens: whose?", hint="add --model M")
    tokenizer = _tokenizer(model, chat=not place.is_dir()) if model else None
    here = tokenizer is not None and not isinstance(tokenizer, MistralCounter)
    if here and max_length is None and not place.is_dir():
        max_length = DEFAULT_MAX_LENGTH
    look = Look(tokenizer, max_length, max_tokens)
    about = f"{place}, {f'tokens of {model}' if model else 'no model named'}"
    items = pick(_rows(place, line or 1, look), place, line=line, count=count or (1 if line else 3))
    with _page(html, place, about) as page:
        shown, kept = _go_through(out, items, page)
    if out.json:
        document = Shown(
            file=str(place),
            source="prepared" if place.is_dir() else "chat",
            model=model,
            max_length=max_length,
            html=None if html is None else str(html),
            examples=tuple(item for item in kept if isinstance(item, Example)),
            broken=tuple(item for item in kept if isinstance(item, Broken)),
        )
        out.document(document)
    elif html is not None:
        out.line(f"{place} → {html}")
    context.exit(0 if shown else 1)


def _go_through(
    out: Output, items: "Iterable[Example | Broken]", page: "Page | None"
) -> "tuple[int, list[Example | Broken]]":
    """Print each item, or write it to the page; how many examples, and all of them for `--json`."""
    from ftctl.datasets.show.types import Broken

    shown, kept = 0, []
    for item in items:
        shown += not isinstance(item, Broken)
        if page is not None:
            page.add(item)
        if out.json:
            kept.append(item)
        if isinstance(item, Broken):
            _tell(out, item)
        elif page is None and not out.json:
            if shown == 1 and item.tokens:
                out.note(_legend(marked=not out.colored))
            _print(out, item)
    return shown, kept


def _legend(*, marked: bool) -> str:
    if not marked:
        return "green: trained on; red: not trained on; grey: cut"
    return "; ".join(f"{a}{_SAID[kind]}{b}" for kind, (a, b) in _MARKS.items())


def _page(html: Path | None, place: Path, about: str) -> "AbstractContextManager[Page | None]":
    from ftctl.datasets.show.html import Page

    return nullcontext() if html is None else Page(html, place.name, about)


def _rows(place: Path, first: int, look: "Look") -> "Iterator[Row]":
    from ftctl.datasets.show.chat import chat_rows
    from ftctl.datasets.show.prepared import prepared_rows

    read = prepared_rows if place.is_dir() else chat_rows
    return read(place, first, look)


def _tokenizer(model: str, *, chat: bool) -> "Tokenizer | MistralCounter":
    """The tokenizer that training would use; no weights are read."""
    from ftctl.catalog.load import load_catalog
    from ftctl.config import load_settings
    from ftctl.datasets.render import load_tokenizer
    from ftctl.datasets.tokens.choose import counter_for
    from ftctl.datasets.tokens.mistral import MistralCounter, own_file
    from ftctl.datasets.tokens.rendered import LocalCounter
    from ftctl.local_backend.base_models import find_base, hub_key

    folder = Path(model).expanduser()
    if folder.is_dir() and own_file(folder) is None:
        return load_tokenizer(folder, chat=chat)
    counter = counter_for(model, "local")
    if isinstance(counter, LocalCounter):
        return counter.tokenizer
    known = load_catalog().find_model(model)
    of_hub = known.hub_id is not None if known else "/" in model and not folder.exists()
    if isinstance(counter, MistralCounter) and not of_hub:
        return counter
    home = load_settings().home
    base = find_base(model, home)
    return load_tokenizer(base, key=hub_key(base, home), chat=chat)


def _tell(out: Output, item: "Broken") -> None:
    out.note(f"{item.file}:{item.line}: can't be shown: {item.message}")
    if item.hint:
        out.note(f"  → {item.hint}")


def _print(out: Output, example: "Example") -> None:
    from ftctl.datasets.show.html import counts_said
    from ftctl.pages.text import visible

    head = f": {counts_said(example)}" if example.total_tokens is not None else ""
    out.styled((f"line {example.line}", "bold"), head)
    if example.tokens:
        out.styled(*_runs(example, marked=not out.colored))
    for said in example.messages:
        out.styled((visible(said.role), "bold"), f" ({_SAID[said.kind]})")
        more = f" … {said.left_out_characters:,} more characters" * bool(said.left_out_characters)
        out.styled((visible(said.text), _STYLES[said.kind]), more)
    for remark in example.remarks:
        out.styled(f"note: {remark}")
    out.line()


def _runs(example: "Example", *, marked: bool) -> "Iterator[str | tuple[str, str]]":
    """The tokens, each in its colour; or with marks around each run of one kind."""
    before = ""
    for i, token in enumerate(example.tokens):
        gap = example.left_out_tokens and i == example.left_out_after
        if marked and before and (gap or token.kind != before):
            yield _MARKS[before][1]
            before = ""
        if gap:
            yield f" … {example.left_out_tokens:,} tokens … "
        if marked and token.kind != before:
            yield _MARKS[token.kind][0]
        yield _token(token, i, marked=marked)
        before = token.kind
    if marked and before:
        yield _MARKS[before][1]


def _token(token: "Token", place: int, *, marked: bool) -> str | tuple[str, str]:
    """One token; where colours are, every other one is underlined, and control tokens are bold."""
    from ftctl.pages.text import visible

    text = visible(token.text).replace("\n", "↵\n")
    if marked:
        return text
    underline = " underline" if place % 2 else ""
    return text, f"{_STYLES[token.kind]}{' bold' if token.control else ''}{underline}"
