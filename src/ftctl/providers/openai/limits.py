"""What a vendor of OpenAI's wire takes, asked before anything is sent: names, ranges, models."""

from ftctl.catalog.load import load_catalog
from ftctl.catalog.types import Model, Tunable
from ftctl.errors import PrivacyForbids, Unsupported, UsageError
from ftctl.job import JobSpec, Method
from ftctl.policy import base_of
from ftctl.providers.base import RemoteFile
from ftctl.providers.openai.profiles import Profile
from ftctl.providers.openai.request import LONGEST_NAME, request_of


def require_bounds(spec: JobSpec, profile: Profile) -> None:
    """Refuse a name, setting or grader that the vendor wouldn't take.

    Raises:
        UsageError: with what it takes.
        Unsupported: a method, or a kind of grader, that it doesn't have.
        PrivacyForbids: rows that must stay in a region would be trained on anywhere.
    """
    if spec.method not in profile.settings:
        raise Unsupported(
            f"{profile.who} doesn't tune with {spec.method}",
            hint=f"--method {min(profile.settings)}",
        )
    if not 1 <= len(spec.name) <= LONGEST_NAME:
        raise UsageError(
            f"the name {spec.name!r} has {len(spec.name)} characters; {profile.who} takes 1 to "
            f"{LONGEST_NAME} (it becomes part of the model's name)",
            hint="--name SHORTER",
        )
    request_of(spec, {"training": RemoteFile("file", spec.data_sha256)}, "job", profile)
    if spec.method == "rft" and profile.rft_needs_validation and spec.validation is None:
        raise UsageError(
            f"rft at {profile.who} needs a validation file, too", hint="--validation FILE"
        )
    if spec.privacy == "regulated" and profile.regulated is not None:
        name, words = profile.regulated
        if spec.options.get(name) not in words:
            raise PrivacyForbids(
                f"not sent: the rows are regulated, and only {name}={', '.join(sorted(words))} "
                f"keeps them in a region of your contract with {profile.who}.",
                hint=f"--set {name}={min(words)}",
            )


def require_tunable(model: str, method: Method, profile: Profile) -> None:
    """Refuse a model that the catalog doesn't know as tunable there.

    Whether it still is on a day is the availability gate's affair.

    Raises:
        UsageError: an unknown model at a vendor all of whose models are known; names the nearest.
        Unsupported: not tunable there.
    """
    catalog, base = load_catalog(), base_of(model)
    if not profile.all_models_known and (catalog.find_model(base) is None or "/" in model):
        return  # a vendor of open models takes more of them than the catalog holds
    row = catalog.get_model(base)
    if _tunable(row, method, profile) is None:
        open_ones = [m.name for m in catalog.models if _is_open(_tunable(m, method, profile))]
        raise Unsupported(
            f"{profile.who} doesn't tune {row.name} with {method} (source: {row.source})",
            hint=f"it tunes {', '.join(open_ones) or 'no model so any more'}; "
            "--provider local tunes open models here",
        )


def _tunable(row: Model, method: Method, profile: Profile) -> Tunable | None:
    found = (t for t in row.tunable if t.provider == profile.name and method in t.methods)
    return next(found, None)


def _is_open(tunable: Tunable | None) -> bool:
    """Whether it was still open on the day on which the catalog was checked."""
    return tunable is not None and (tunable.until is None or tunable.until > tunable.as_of)
