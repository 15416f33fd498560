"""From a model's name to what counts its tokens."""

import importlib.metadata
import json
from pathlib import Path

from ftctl.catalog.load import load_catalog
from ftctl.datasets.tokens.encodings import HARMONY, openai_encoding
from ftctl.datasets.tokens.mistral import MistralCounter, own_file, shipped_file
from ftctl.datasets.tokens.rendered import LocalCounter
from ftctl.datasets.tokens.texts import EstimateCounter, OpenAICounter
from ftctl.datasets.tokens.types import TokenCounter
from ftctl.errors import ExtraMissing, UsageError

# OpenAI cuts what is longer, at the end. Source: its fine-tuning guide, read 2026-11.
OPENAI_MAX_TOKENS = 65_536
# These keep what the base's context holds. Source: their fine-tuning pages, read 2026-11.
_KEEPING_THE_CONTEXT = ("together", "fireworks")


def counter_for(model: str, provider: str = "") -> TokenCounter:
    """What counts a model's tokens: its own tokenizer where one is here, else an estimate.

    Args:
        model: A name, a tuned model's name, a model's folder, a `.gguf` file, or a tokenizer of
            Mistral's own kind, such as `tekken.json`.
        provider: Who would tune it, where that is known; a tokenizer doesn't depend on it, but
            only a local model's tokenizer is looked for in packages.

    Raises:
        UsageError: a path was named, and there is no tokenizer in it.
        ExtraMissing: a path was named, and what reads it isn't installed.
    """
    place = Path(model).expanduser()
    if place.is_dir() or place.suffix == ".gguf" or own_file(place) is not None:
        return _in(place)
    try:
        named = named_counter(model)
        packaged = _packaged(model) if provider in ("", "local") and named is None else None
        if packaged is not None:
            return LocalCounter(packaged)
        if named is not None:
            return named
    except ExtraMissing as error:
        return EstimateCounter(f"the extra `{error.extra}` makes it exact ({error.hint})")
    return EstimateCounter(f"the tokenizer of {model} isn't here; a folder or a GGUF file of it is")


def named_counter(model: str) -> TokenCounter | None:
    """What counts the tokens of a vendor's model; None where its name says no tokenizer.

    Raises:
        ExtraMissing: the tokenizer is known, and what it takes isn't installed.
    """
    encoding = openai_encoding(model)
    if encoding is not None:
        return OpenAICounter(encoding, model)
    file = shipped_file(model)
    return MistralCounter(file) if file is not None else None


def billing_counter(model: str) -> TokenCounter | None:
    """What counts the tokens that a vendor will bill; None where an estimate has to do.

    Models on this machine are nobody's bill, and reading their tokenizers takes seconds.
    """
    try:
        return named_counter(model)
    except ExtraMissing:
        return None


def max_example_tokens(model: str, provider: str = "") -> int | None:
    """Tokens that are kept of an example of a model; None where nobody says.

    The catalog's figure, OpenAI's own, or at Together and Fireworks what the base's context holds.
    """
    base = load_catalog().find_model(model.removeprefix("ft:").partition(":")[0])
    limits = [
        place.max_example_tokens
        for place in (base.tunable if base else ())
        if place.max_example_tokens and provider in ("", place.provider)
    ]
    if limits:
        return min(limits)
    encoding = openai_encoding(model)
    if encoding is not None and encoding.name != HARMONY:
        return OPENAI_MAX_TOKENS
    if provider not in _KEEPING_THE_CONTEXT:
        return None
    return base.context if base else _context_in(Path(model).expanduser())


def _context_in(folder: Path) -> int | None:
    """Tokens that the model in a folder can take; None where it doesn't say."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        found = config.get("text_config", config).get("max_position_embeddings")
    except (OSError, ValueError, AttributeError):
        return None
    return found if isinstance(found, int) and found > 0 else None


def _in(place: Path) -> TokenCounter:
    if not place.exists():
        raise UsageError(
            f"{place}: no such file", hint="name a model's folder, a .gguf file or a tekken.json"
        )
    own = own_file(place)
    return LocalCounter(place.resolve()) if own is None else MistralCounter(str(own.resolve()))


def _packaged(model: str) -> Path | None:
    """The `.gguf` of a model of the catalog whose weights an installed package ships."""
    found = load_catalog().find_model(model)
    if found is None or found.package is None:
        return None
    try:
        files = importlib.metadata.files(found.package) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    return next((Path(str(f.locate())) for f in files if f.suffix == ".gguf"), None)
