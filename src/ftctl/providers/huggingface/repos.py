"""Private repositories of a hub: datasets that go up, adapters that come down, and their end."""

import logging
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from ftctl.errors import InvalidRequest, NotFound, PrivacyForbids
from ftctl.providers.artifacts.download import Download, http_download
from ftctl.providers.artifacts.safe_names import WEIGHTS, choose
from ftctl.providers.huggingface.connection import HubConnection
from ftctl.providers.huggingface.wire import DATA_FILE, DATA_PREFIX, Order
from ftctl.providers.transport.http_errors import still_there

if TYPE_CHECKING:
    from huggingface_hub import HfApi

_DATA_CARD = """---
tags: [ftctl]
---
Training data of fine-tuning jobs, put here by ftctl; `ftctl forget JOB` deletes it.
"""
_CARD = """# {name}

A LoRA adapter, fine-tuned from `{base}` by ftctl.
"""
_log = logging.getLogger(__name__)


class Repos:
    """The repositories that a key opens.

    Args:
        at: Who is asked.
        who: Whom messages name.
        base_url: Where files are fetched from.
    """

    def __init__(self, at: HubConnection, who: str, base_url: str) -> None:
        self._at = at
        self._who = who
        self._base_url = base_url

    @property
    def me(self) -> str:
        """The key's own namespace."""
        return self._account[0]

    @property
    def organisations(self) -> tuple[str, ...]:
        """Namespaces of the organisations that the key's owner is in."""
        return self._account[1:]

    @cached_property
    def _account(self) -> tuple[str, ...]:
        def names(api: "HfApi") -> tuple[str, ...]:
            said = api.whoami()
            return (str(said["name"]), *(str(org["name"]) for org in said.get("orgs") or ()))

        return self._at.ask("say whose key this is", names)

    def hold(self, file: Path, sha256: str) -> str:
        """Put a dataset into a private repository named by its hash, unless it is there.

        Returns:
            The repository's id.

        Raises:
            PrivacyForbids: that repository is there, and public.
        """
        repo = f"{self.me}/{DATA_PREFIX}{sha256[:40]}"
        try:
            held = self.show(repo, "dataset")
        except NotFound:
            self.make(repo, "dataset", private=True)
        else:
            if any(_is_copy(entry, file, sha256) for entry in held.siblings or ()):
                _log.info("%s: holds %s already", self._who, repo)
                return repo
            if not held.private:
                raise PrivacyForbids(
                    f"not sent: everybody can see {repo}, and training data go there",
                    hint="make it private at the hub, or delete it there",
                )
        self.send(
            repo,
            "dataset",
            {"README.md": _DATA_CARD.encode(), DATA_FILE: file},
            message=f"sha256 {sha256}",
        )
        return repo

    def make(self, repo: str, kind: str, *, private: bool, **more: str) -> None:
        """Make a repository; one that is there is left as it is.

        Args:
            repo: Its id.
            kind: `model`, `dataset` or `space`.
            private: Whether only its owner may see it.
            more: What huggingface_hub's `create_repo` takes besides.
        """
        options: dict[str, Any] = dict(more)
        try:
            self._at.ask(
                f"make {repo}",
                lambda api: api.create_repo(repo, repo_type=kind, private=private, **options),
            )
        except InvalidRequest as error:
            if error.status != 409:
                raise
            self.show(repo, kind)  # a hub says so, too, when it makes another one just now

    def send(self, repo: str, kind: str, files: Mapping[str, bytes | Path], *, message: str) -> str:
        """Put files into a repository in one commit; what is there already isn't sent again.

        Returns:
            The commit.
        """
        opened = []
        try:
            for name, content in files.items():
                # Open files, not paths: those would go by Xet, a program with a network of its own.
                opened.append((name, content if isinstance(content, bytes) else content.open("rb")))
            return self._at.ask(f"take files into {repo}", _commit(repo, kind, opened, message))
        finally:
            for _, stream in opened:
                if not isinstance(stream, bytes):
                    stream.close()

    def find_adapter(self, repo: str) -> str | None:
        """Repository and commit of an adapter; None where there is no repository or no weights."""
        try:
            info = self.show(repo, "model")
        except NotFound:
            return None
        weights = any(entry.rfilename.endswith(WEIGHTS) for entry in info.siblings or ())
        return f"{repo}@{info.sha}" if weights else None

    def adapter_files(self, order: Order) -> dict[str, bytes | Download]:
        """What a job pushed, by name, each from the same commit.

        Raises:
            NotFound: there is no such repository.
            Unsupported: its weights aren't safetensors.
        """
        info = self.show(order.repo, "model")
        offered = [
            (entry.rfilename, self._download(order.repo, info.sha, entry))
            for entry in info.siblings or ()
            if entry.rfilename != ".gitattributes"
        ]
        files: dict[str, bytes | Download] = dict(choose(self._who, offered).files)
        origin = f'{{"repo": "{order.repo}", "commit": "{info.sha}", "job": "{order.marker}"}}\n'
        files["origin.json"] = origin.encode()
        files.setdefault("README.md", _CARD.format(name=order.name, base=order.base).encode())
        return files

    def delete(self, repo: str, kind: str, *, tag: str | None) -> None:
        """Delete a repository that carries our tag, and see that it is gone.

        Args:
            repo: Its id.
            kind: `model`, `dataset` or `space`.
            tag: What it must carry; None where whoever filled it puts no tag of ours there.

        Raises:
            InvalidRequest: it doesn't carry the tag.
            Unavailable: it is still there.
        """
        try:
            tags = self.show(repo, kind).tags or ()
        except NotFound:
            return
        if tag is not None and tag not in tags:
            raise InvalidRequest(
                f"{repo} doesn't carry the tag {tag!r} any more, so it isn't deleted",
                hint="delete it at the hub if it is yours to delete",
            )
        try:
            self._at.ask(f"delete {repo}", lambda api: api.delete_repo(repo, repo_type=kind))
            self.show(repo, kind)
        except NotFound:
            return
        raise still_there(self._who, repo)

    def show(self, repo: str, kind: str) -> Any:  # noqa: ANN401 - huggingface_hub's own types
        """What a hub says of a repository, sizes and hashes included.

        Raises:
            NotFound: there is none, or not for this key.
        """
        return self._at.ask(
            f"show {repo}", lambda api: api.repo_info(repo, repo_type=kind, files_metadata=True)
        )

    def _download(self, repo: str, commit: str, entry: Any) -> Download:  # noqa: ANN401 - RepoSibling
        path = quote(f"{repo}/resolve/{commit}/{entry.rfilename}")
        return http_download(
            entry.rfilename,
            lambda: f"{self._base_url}/{path}",
            who=self._who,
            base_url=self._base_url,
            credential=self._at.credential(),
            size=entry.size,
            sha256=entry.lfs.sha256 if entry.lfs else None,
        )


def _is_copy(entry: Any, file: Path, sha256: str) -> bool:  # noqa: ANN401 - RepoSibling
    same = entry.lfs is None or entry.lfs.sha256 == sha256
    return bool(entry.rfilename == DATA_FILE and entry.size == file.stat().st_size and same)


def _commit(
    repo: str, kind: str, files: list[tuple[str, Any]], message: str
) -> "Callable[[HfApi], str]":
    def send(api: "HfApi") -> str:
        from huggingface_hub import CommitOperationAdd

        adds = [CommitOperationAdd(name, content) for name, content in files]
        for add in adds:  # one by one: together they would be sent from threads without our client
            api.preupload_lfs_files(repo, [add], repo_type=kind)
        sent = api.create_commit(repo, adds, commit_message=message, repo_type=kind)
        return str(sent.oid)

    return send
