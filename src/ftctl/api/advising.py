"""`check` and `advise`: what the data are worth, and whether to fine-tune at all."""

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

from ftctl.advisor.advise import advise as advise_on
from ftctl.advisor.types import Advice, Facts
from ftctl.catalog.load import load_catalog
from ftctl.datasets.check import check as check_files
from ftctl.datasets.features import measure
from ftctl.datasets.report import Report


def check(
    *files: Path | str,
    providers: Sequence[str] = ("openai", "mistral", "local"),
    method: str = "sft",
    validation: Path | str | None = None,
) -> Report:
    """Check datasets against providers' rules: the `ftctl.data-check/1` document as a type.

    Raises:
        UsageError: an unreadable file or an unknown provider; bad data is a report, not an error.
    """
    held_out = None if validation is None else Path(validation)
    paths = [Path(file) for file in files]
    return check_files(paths, providers=providers, method=method, validation=held_out)


def advise(
    facts: Facts | Mapping[str, Any] | None = None,
    *,
    data: Path | str | None = None,
    as_of: date | None = None,
) -> Advice:
    """Whether to tune, where, and why: the `ftctl.advice/1` document as a type.

    Args:
        facts: What is known, by the names of `ftctl advise --schema`; all optional.
        data: Training examples, measured instead of asked about.
        as_of: The day the answer is for; the facts' own, or today.

    Raises:
        UsageError: an unknown fact or a value out of its range.
    """
    known = facts if isinstance(facts, Facts) else Facts.parse(facts or {})
    file = data or known.data
    features = None
    if file is not None:
        known = known.model_copy(update={"data": str(file)})
        features = measure(Path(file))
    day = as_of or known.as_of or datetime.now(UTC).date()
    return advise_on(known, features=features, catalog=load_catalog(), as_of=day)
