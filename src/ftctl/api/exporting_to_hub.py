"""Send a tuned adapter and its card to a repository of a hub; private unless told otherwise."""

import json
import re
from pathlib import Path
from typing import Any

from ftctl.api.export_request import Exported, Exporting, at_home
from ftctl.api.job_handle import open_store
from ftctl.catalog.load import load_catalog
from ftctl.config import find_base_url, mask_url
from ftctl.errors import NotFound, PrivacyForbids, UsageError
from ftctl.policy import privacy_allows
from ftctl.providers.huggingface.connection import HubConnection
from ftctl.providers.huggingface.driver import BASE_URL
from ftctl.providers.huggingface.repos import Repos

_TAG = "ftctl"
_LEFT_OUT = ("manifest.json", "origin.json")  # of the copy here, not of the model
_REPO = re.compile(r"[A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95}", re.ASCII)
_HUB_ID = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def send_to_hub(asked: Exporting) -> Exported:
    """Send the adapter in one commit; what the hub holds already isn't sent again.

    Raises:
        PrivacyForbids: what learned the rows must stay where they are.
        UsageError: no `ORG/NAME`, or a repository that holds something else or is public.
    """
    repo = asked.to.removeprefix("hub:")
    if not _REPO.fullmatch(repo) or ".." in repo or "--" in repo:
        raise UsageError(f"{repo!r} isn't a repository", hint="--to hub:ORG/NAME")
    base_url = find_base_url("huggingface")
    _require_privacy(asked, base_url)
    who = "Hugging Face" if base_url is None else mask_url(base_url)
    base_url = (base_url or BASE_URL).rstrip("/")
    at = HubConnection(who, base_url)
    at.require()
    repos = Repos(at, who, base_url)
    files = _files_of(at_home(asked), asked)
    size = sum(len(f) if isinstance(f, bytes) else f.stat().st_size for f in files.values())
    seen = "public" if asked.public else "private"
    asked.tell(f"sending {len(files)} files, {size / 1e6:,.1f} MB, to {repo} at {who}, {seen}")
    _make(repos, repo, public=asked.public)
    with open_store(asked.settings) as store:
        detail = {"repo": repo, "hub": base_url, "public": asked.public, "bytes": size}
        store.audit("weights_leave", detail, job_id=asked.job.id)
    commit = repos.send(repo, "model", files, message=f"ftctl {asked.job.id}")
    return Exported(
        job=asked.job.id,
        to=asked.to,
        place=f"{base_url}/{repo}",
        files=tuple(files),
        bytes=size,
        commit=commit,
        private=not asked.public,
    )


def _require_privacy(asked: Exporting, base_url: str | None) -> None:
    """A tuned model can repeat what it learned, so it may go only where its rows may."""
    privacy = asked.spec.privacy
    keep = "ftctl export ID --to peft -o DIR keeps it here"
    verdict = privacy_allows("huggingface", privacy, base_url)
    if not verdict.allowed:
        raise PrivacyForbids(
            f"not sent: a tuned model can repeat its rows, and {verdict.reason}", hint=keep
        )
    if asked.public and privacy not in (None, "public"):
        raise PrivacyForbids(
            f"not sent: a tuned model can repeat its rows, and these are {privacy}, not public",
            hint="leave out --public",
        )


def _make(repos: Repos, repo: str, *, public: bool) -> None:
    """Make the repository, or see that the one that is there is ours to write to."""
    try:
        info = repos.show(repo, "model")
    except NotFound:
        repos.make(repo, "model", private=not public)
        return
    if not info.private and not public:
        raise UsageError(
            f"{repo} is public, and what it holds can be read by everybody",
            hint="say --public, or name another repository",
        )
    names = {entry.rfilename for entry in info.siblings or ()} - {".gitattributes"}
    if names and _TAG not in (info.tags or ()):
        raise UsageError(
            f"{repo} holds something that ftctl didn't put there", hint="name another repository"
        )


def _files_of(folder: Path, asked: Exporting) -> dict[str, bytes | Path]:
    """What is sent: the folder's files, without the names of this machine's folders."""
    base = _public_base(asked.spec.model)
    files: dict[str, bytes | Path] = {}
    for file in sorted(folder.iterdir()):
        if file.name in _LEFT_OUT or not file.is_file():
            continue
        if file.name == "README.md":
            text = _card(file.read_text("utf-8"), base)
            for here in _folders_of_base(folder, asked):
                text = text.replace(here, base or Path(here).name)
            files[file.name] = text.encode()
        elif file.name in ("run.json", "adapter_config.json"):
            document = _without_folders(json.loads(file.read_bytes()))
            if file.name == "adapter_config.json" and base is not None:
                document["base_model_name_or_path"] = base
            files[file.name] = json.dumps(document, indent=1).encode()
        else:
            files[file.name] = file
    return files


def _folders_of_base(folder: Path, asked: Exporting) -> set[str]:
    """Where the base stood on this machine, as a card may name it."""
    named = json.loads((folder / "adapter_config.json").read_bytes())["base_model_name_or_path"]
    return {place for place in (str(named), asked.spec.model) if Path(place).is_absolute()}


def _public_base(model: str) -> str | None:
    """The base model's hub id; None where it has none."""
    row = load_catalog().find_model(model)
    if row is not None and row.hub_id is not None:
        return row.hub_id
    return model if _HUB_ID.fullmatch(model) and not Path(model).exists() else None


def _card(text: str, base: str | None) -> str:
    """The card with a head that a hub takes: a base that it can know, and our tag."""
    head, rest = _split(text)
    kept = [line for line in head if not line.startswith(("base_model:", "tags:"))]
    tags = next((line for line in head if line.startswith("tags: [")), "tags: [lora]")
    if not re.search(rf"[\[ ]{_TAG}[,\]]", tags):
        tags = f"{tags.removesuffix(']')}, {_TAG}]"
    known = [] if base is None else [f"base_model: {base}"]
    if "library_name: peft" not in kept:
        kept.append("library_name: peft")
    return "\n".join(["---", *known, *kept, tags, "---", rest])


def _split(text: str) -> tuple[list[str], str]:
    """The lines of a card's head, and what comes after it."""
    found = re.match(r"---\n(.*?)\n---\n(.*)", text, re.DOTALL)
    return (found[1].splitlines(), found[2]) if found else ([], text)


def _without_folders(value: Any) -> Any:  # noqa: ANN401 - whatever stands in the JSON
    """A document in which paths of this machine are only their last part."""
    if isinstance(value, dict):
        return {name: _without_folders(inner) for name, inner in value.items()}
    if isinstance(value, list):
        return [_without_folders(inner) for inner in value]
    if isinstance(value, str) and re.match(r"[A-Za-z]:[\\/]|/|~[\\/]", value):
        return re.split(r"[\\/]", value.rstrip("\\/"))[-1]
    return value
