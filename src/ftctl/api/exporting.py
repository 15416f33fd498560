"""`export`: a job's result in another shape or at another place."""

from collections.abc import Callable
from pathlib import Path

from ftctl.api.export_request import Exported, Exporting, Tell, fetched
from ftctl.api.job_handle import get_job
from ftctl.config import Settings, load_settings
from ftctl.errors import UsageError


def export(
    job_id: str,
    to: str,
    out: Path | str | None = None,
    *,
    public: bool = False,
    on_step: Tell | None = None,
    settings: Settings | None = None,
) -> Exported:
    """Write a job's result in another shape, or send it to a hub; the same again is harmless.

    Args:
        job_id: Its id, the beginning of it, or its name.
        to: A name of `TARGETS`, or `hub:ORG/NAME`.
        out: The folder or file to write.
        public: Let everybody read what is sent to a hub.
        on_step: Told what is being done.
        settings: Where things are on this machine.

    Raises:
        UsageError: an unknown target, or one without its folder or file.
        Unsupported: the provider gives no weights.
        PrivacyForbids: the job's rows must stay where they are, and so must what learned them.
        NotFound: there is no tuned model.
    """
    settings = settings or load_settings()
    name, _, place = to.partition(":")
    target = TARGETS.get(name)
    if target is None or bool(place) != (name == "hub"):
        known = ", ".join([*(n for n in TARGETS if n != "hub"), "hub:ORG/NAME"])
        raise UsageError(f"unknown target {to!r}", hint=f"known: {known}")
    if (out is None) != (name == "hub"):
        what = "goes to the hub" if name == "hub" else "needs a place to write to"
        raise UsageError(f"{to} {what}", hint="leave out -o" if name == "hub" else "-o PATH")
    if public and name != "hub":
        raise UsageError("--public is about a hub", hint="--to hub:ORG/NAME --public")
    asked = Exporting(
        job=get_job(job_id, settings=settings),
        to=to,
        out=None if out is None else Path(out).expanduser(),
        public=public,
        settings=settings,
        tell=on_step or (lambda _: None),
    )
    return target(asked)


def _peft(asked: Exporting) -> Exported:
    assert asked.out is not None  # noqa: S101 - `export` has seen to it
    folder = fetched(asked, asked.out)
    files = sorted(file for file in folder.iterdir() if file.is_file())
    return Exported(
        job=asked.job.id,
        to=asked.to,
        place=str(folder),
        files=tuple(file.name for file in files),
        bytes=sum(file.stat().st_size for file in files),
    )


def _autotrain_yaml(asked: Exporting) -> Exported:
    from ftctl.api.autotrain_yaml import write_autotrain_yaml

    return write_autotrain_yaml(asked)


def _hub(asked: Exporting) -> Exported:
    from ftctl.api.exporting_to_hub import send_to_hub

    return send_to_hub(asked)


# Name of each target, and what writes it.
TARGETS: dict[str, Callable[[Exporting], Exported]] = {
    "peft": _peft,
    "autotrain-yaml": _autotrain_yaml,
    "hub": _hub,
}
