"""From a job to the request that creates it, in a vendor's dialect of OpenAI's wire."""

import re
from collections.abc import Mapping
from typing import Any

from ftctl.catalog.load import load_catalog
from ftctl.errors import UsageError
from ftctl.job import JobSpec, Method
from ftctl.providers.base import RemoteFile
from ftctl.providers.openai import wire as wire
from ftctl.providers.openai.graders import grader_of
from ftctl.providers.openai.profiles import Profile, Setting, Value
from ftctl.providers.sending import number_of

LONGEST_NAME = 64  # characters; OpenAI's API reference
_METHODS: Mapping[Method, str] = {"sft": "supervised", "dpo": "dpo", "rft": "reinforcement"}


def request_of(
    spec: JobSpec, files: Mapping[str, RemoteFile], marker: str, profile: Profile
) -> dict[str, Any]:
    """The arguments of the SDK's create; what isn't set is left to the vendor.

    Raises:
        UsageError, Unsupported: a setting or grader that isn't taken, as `settings_of`.
    """
    request: dict[str, Any] = {
        "model": vendor_name(spec.model, profile),
        "training_file": files["training"].id,
    }
    if "validation" in files:
        request["validation_file"] = files["validation"].id
    if spec.hyperparameters.seed is not None:
        request["seed"] = spec.hyperparameters.seed
    if profile.longest_suffix:
        request["suffix"] = _suffix(spec.name, marker, profile)
    if profile.marker == "metadata":
        request["metadata"] = {wire.MARKER: marker, wire.NAME: spec.name}
    settings = {**settings_of(spec, profile), **profile.sent_for.get(spec.tuning, {})}
    if profile.body == "hyperparameters":
        request["hyperparameters"] = settings
    else:
        kind = _METHODS[spec.method]
        method: dict[str, Any] = {"hyperparameters": settings}
        if spec.method == "rft":
            method["grader"] = grader_of(spec.options, profile)
        request["method"] = {"type": kind, kind: method}
    more = {
        rule.theirs: _value(name, spec.options[name], rule, profile)
        for name, rule in profile.options.items()
        if name in spec.options
    }
    return request | ({"extra_body": more} if more else {})


def settings_of(spec: JobSpec, profile: Profile) -> dict[str, Value]:
    """The settings of optimisation by the vendor's names; the seed stands elsewhere.

    Raises:
        UsageError: a setting that this method doesn't take, or a value that isn't taken.
    """
    rules = profile.settings[spec.method]
    given: dict[str, Any] = spec.hyperparameters.model_dump(exclude_none=True, exclude={"seed"})
    given |= spec.options
    elsewhere = {*profile.options, *(("grader",) if spec.method == "rft" else ())}
    for name in given.keys() - rules.keys() - elsewhere:
        raise UsageError(
            f"{profile.who} takes no {name} for {spec.method}",
            hint=f"it takes {', '.join(sorted(rules))}",
        )
    return {
        rule.theirs: _value(name, given[name], rule, profile)
        for name, rule in rules.items()
        if name in given
    }


def _value(name: str, given: str | float, rule: Setting, profile: Profile) -> Value:
    if rule.words:
        word = str(given).strip().lower()
        if word not in rule.words:
            raise UsageError(
                f"{name}={given}: {profile.who} takes {', '.join(rule.words)}",
                hint=f"--set {name}={next(iter(rule.words))}",
            )
        return rule.words[word]
    number = number_of(str(given))
    inside = rule.low < number if rule.above else rule.low <= number
    if not inside or number > rule.high or (rule.whole and number != int(number)):
        raise UsageError(f"{name}={given}: {profile.who} takes {_range(rule)}", hint=rule.says)
    return int(number) if rule.whole else number


def _range(rule: Setting) -> str:
    kind = "whole numbers" if rule.whole else "numbers"
    begins = f"above {rule.low:g}" if rule.above else f"from {rule.low:g}"
    return f"{kind} {begins}" + (f" to {rule.high:g}" if rule.high < float("inf") else "")


def _suffix(name: str, marker: str, profile: Profile) -> str:
    """What ends the tuned model's name; where nothing else keeps our marker, it stands there."""
    tail = f"-{marker}" if profile.marker == "suffix" else ""
    if not tail and profile.longest_suffix == LONGEST_NAME:
        return name
    # Vendors whose suffix is short, or is all that they keep, name the signs that it may have.
    plain = re.sub(r"[^A-Za-z0-9_-]+", "-", name)
    return plain[: profile.longest_suffix - len(tail)].strip("-") + tail


def vendor_name(model: str, profile: Profile) -> str:
    """The vendor's own name for a model; the name as given where nothing else is known."""
    row = load_catalog().find_model(model)
    if row is None:
        return model
    if row.name in profile.model_names:
        return profile.model_names[row.name]
    if profile.names_by == "hub_id":
        return row.hub_id or model
    if profile.names_by == "date" and model == row.name:
        dated = [name for name in row.aliases if re.search(r"-\d{4}-\d\d-\d\d$", name)]
        return next(iter(dated), model)
    return model
