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
    max_kl: float | None = None,
    on_step: Tell | None = None,
    settings: Settings | None = None,
) -> Exported:
    """Write a job's result in another shape, or send it to a hub; the same again is harmless.

    Args:
        job_id: Its id, the beginning of it, or its name.
        to: A name of `TARGETS`, `hub:ORG/NAME`, or `gguf` or `ollama` with `:FORMAT`.
        out: The folder or file to write.
        public: Let everybody read what is sent to a hub.
        max_kl: How far changed weights may be from the trained ones, in nats a token; 0.02 when
            not given.
        on_step: Told what is being done.
        settings: Where things are on this machine.

    Raises:
        UsageError: an unknown target, or one without its folder or file.
        Unsupported: the provider gives no weights, or the target can't hold such a model.
        JobFailed: changed weights are another model than the trained ones.
        StoreError: the disk won't take it.
        PrivacyForbids: the job's rows must stay where they are, and so must what learned them.
        NotFound: there is no tuned model.
    """
    settings = settings or load_settings()
    name, _, place = to.partition(":")
    target = TARGETS.get(name)
    if target is None or (bool(place) != (name == "hub") and name not in _WITH_FORMATS):
        known = ", ".join([*(n for n in TARGETS if n != "hub"), "hub:ORG/NAME"])
        raise UsageError(f"unknown target {to!r}", hint=f"known: {known}")
    if (out is None) != (name == "hub"):
        what = "goes to the hub" if name == "hub" else "needs a place to write to"
        raise UsageError(f"{to} {what}", hint="leave out -o" if name == "hub" else "-o PATH")
    if public and name != "hub":
        raise UsageError("--public is about a hub", hint="--to hub:ORG/NAME --public")
    if max_kl is not None and name not in _CHANGED:
        raise UsageError(f"--max-kl is about {', '.join(_CHANGED)}", hint=f"leave it out of {to}")
    asked = Exporting(
        job=get_job(job_id, settings=settings),
        to=to,
        out=None if out is None else Path(out).expanduser(),
        public=public,
        settings=settings,
        tell=on_step or (lambda _: None),
        **({} if max_kl is None else {"max_kl": max_kl}),
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


def _axolotl_yaml(asked: Exporting) -> Exported:
    from ftctl.api.axolotl_yaml import write_axolotl_yaml

    return write_axolotl_yaml(asked)


def _mistral_finetune_yaml(asked: Exporting) -> Exported:
    from ftctl.api.mistral_finetune_yaml import write_mistral_finetune_yaml

    return write_mistral_finetune_yaml(asked)


def _hub(asked: Exporting) -> Exported:
    from ftctl.api.exporting_to_hub import send_to_hub

    return send_to_hub(asked)


def _merged(asked: Exporting) -> Exported:
    from ftctl.api.exporting_weights import write_merged

    return write_merged(asked)


def _gguf(asked: Exporting) -> Exported:
    from ftctl.api.exporting_weights import write_gguf

    return write_gguf(asked)


def _ollama(asked: Exporting) -> Exported:
    from ftctl.api.exporting_weights import write_ollama

    return write_ollama(asked)


_CHANGED = ("merged", "gguf", "ollama")  # those whose weights aren't the trained ones' bytes
_WITH_FORMATS = ("gguf", "ollama")

# Name of each target, and what writes it.
TARGETS: dict[str, Callable[[Exporting], Exported]] = {
    "peft": _peft,
    "merged": _merged,
    "gguf": _gguf,
    "ollama": _ollama,
    "autotrain-yaml": _autotrain_yaml,
    "axolotl-yaml": _axolotl_yaml,
    "mistral-finetune-yaml": _mistral_finetune_yaml,
    "hub": _hub,
}
