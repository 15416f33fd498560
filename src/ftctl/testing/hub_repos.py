"""The repositories of a hub on loopback: made, filled by commits, shown, sent, deleted."""

import base64
import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote

from typing_extensions import override

from ftctl.testing.loopback import Answer, Json, Loopback, Request, ranged

LARGE = (".safetensors", ".bin")  # stored apart by every hub; other files from 10 MB on
LARGE_BYTES = 10 << 20
_PLURALS = {"models": "model", "datasets": "dataset", "spaces": "space"}


@dataclass
class HubRepo:
    """A repository; `files` are those of its newest commit."""

    id: str
    kind: str
    private: bool
    files: dict[str, bytes] = field(default_factory=dict)
    commits: list[str] = field(default_factory=lambda: ["0" * 40])
    wrong_hashes: bool = False
    hardware: str | None = None

    @property
    def sha(self) -> str:
        """The newest commit."""
        return self.commits[-1]

    def commit(self, files: Mapping[str, bytes]) -> str:
        """Add files; the commit's hash."""
        self.files |= files
        names = "".join(f"{name}{hashlib.sha1(c).hexdigest()}" for name, c in self.files.items())  # noqa: S324 - git's own
        self.commits.append(hashlib.sha1(f"{self.sha}{names}".encode()).hexdigest())  # noqa: S324
        return self.sha

    def document(self, *, blobs: bool) -> Json:
        """What the API says of it."""
        return {
            "_id": hashlib.md5(self.id.encode()).hexdigest()[:24],  # noqa: S324 - not for safety
            "id": self.id,
            "author": self.id.split("/")[0],
            "sha": self.sha,
            "private": self.private,
            "gated": False,
            "disabled": False,
            "tags": _tags(self.files.get("README.md", b"")),
            "lastModified": "2026-11-24T10:00:00.000Z",
            "createdAt": "2026-11-24T10:00:00.000Z",
            "siblings": [self._sibling(name, blobs=blobs) for name in self.files],
        }

    def leaf(self, name: str) -> Json:
        """What a list of the repository's files says of one."""
        row = self._sibling(name, blobs=True)
        large = row.get("lfs")
        leaf: Json = {"path": name, "size": row["size"], "oid": row["blobId"]}
        return leaf if large is None else leaf | {"lfs": large | {"oid": large["sha256"]}}

    def _sibling(self, name: str, *, blobs: bool) -> Json:
        content = self.files[name]
        row: Json = {"rfilename": name}
        if not blobs:
            return row
        row["size"] = len(content)
        row["blobId"] = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()  # noqa: S324
        if is_large(name, len(content)):
            sha256 = hashlib.sha256(content).hexdigest()
            sha256 = "0" * 64 if self.wrong_hashes else sha256
            row["lfs"] = {"size": len(content), "sha256": sha256, "pointerSize": 134}
        return row


class HubStorage(Loopback):
    """Where a hub keeps large files: another address, opened by signed links and no key.

    Attributes:
        content: Files by sha256.
    """

    def __init__(self) -> None:
        super().__init__(None, prefix="")
        self.content: dict[str, bytes] = {}

    @override
    def right_key(self, authorization: str) -> bool:
        return not authorization

    @override
    def answer(self, request: Request) -> Answer:
        sha256 = request.path.strip("/")
        if request.query.get("signature") != "s":
            return self.refusal(403, "not signed")
        if request.method == "PUT":
            if hashlib.sha256(request.body).hexdigest() != sha256:
                return self.refusal(400, "not what was announced")
            self.content[sha256] = request.body
            return Answer(b"")
        if sha256 not in self.content:
            return self.refusal(404, "no such object")
        return ranged(request, self.content[sha256], f'"{sha256}"')

    def link(self, sha256: str) -> str:
        """A signed link to a file."""
        return f"{self.base_url}/{sha256}?signature=s"


class HubRepos:
    """What a hub answers about repositories.

    Args:
        storage: Where large files go.
        base_url: Of the hub.

    Attributes:
        by_id: The repositories by kind and id.
        sends_large_files: Whether the hub sends large files itself; else it points to the storage.
    """

    def __init__(self, storage: HubStorage) -> None:
        self.by_id: dict[tuple[str, str], HubRepo] = {}
        self.sends_large_files = True
        self._storage = storage

    def make(self, request: Request, me: str, base_url: str) -> Answer:
        """`POST /api/repos/create`."""
        asked = request.json()
        known = {"name", "organization", "type", "visibility"}
        unknown = (
            set(asked) - known - ({"sdk", "hardware"} if asked.get("type") == "space" else set())
        )
        if unknown:
            return refusal(400, f"unknown fields: {', '.join(sorted(unknown))}")
        kind = asked.get("type", "model")
        repo_id = f"{asked.get('organization') or me}/{asked['name']}"
        url = f"{base_url}/{'' if kind == 'model' else f'{kind}s/'}{repo_id}"
        if (kind, repo_id) in self.by_id:
            said = {"error": "You already created this repo", "url": url}
            return Answer(said, 409)
        private = asked.get("visibility") == "private"
        self.by_id[kind, repo_id] = HubRepo(repo_id, kind, private, hardware=asked.get("hardware"))
        return Answer({"url": url, "name": repo_id, "id": repo_id})

    def delete(self, request: Request, me: str) -> Answer:
        """`DELETE /api/repos/delete`."""
        asked = request.json()
        repo_id = f"{asked.get('organization') or me}/{asked['name']}"
        gone = self.by_id.pop((asked.get("type", "model"), repo_id), None)
        return Answer({}) if gone else missing()

    def api(self, request: Request, plural: str, repo_id: str, rest: list[str]) -> Answer:
        """`/api/models/…` and `/api/datasets/…`."""
        repo = self.by_id.get((_PLURALS[plural], repo_id))
        if repo is None:
            return missing()
        match [request.method, *rest]:
            case ["GET"] | ["GET", "revision", _]:
                return Answer(repo.document(blobs=request.query.get("blobs", "").lower() == "true"))
            case ["GET", "tree", _]:
                tree = [{"type": "file", **repo.leaf(name)} for name in repo.files]
                return Answer(json.dumps(tree).encode())
            case ["POST", "preupload", "main"]:
                rows = [self._mode(repo, row) for row in request.json()["files"]]
                return Answer({"files": rows})
            case ["POST", "commit", "main"]:
                return self._commit(repo, request)
        return refusal(404, "Not Found")

    def lfs(self, request: Request) -> Answer:
        """`POST /….git/info/lfs/objects/batch`."""
        rows: list[Json] = []
        for wanted in request.json()["objects"]:
            row = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self._storage.content:
                href = self._storage.link(wanted["oid"])
                row["actions"] = {"upload": {"href": href, "header": {}}}
            rows.append(row)
        return Answer({"transfer": "basic", "objects": rows})

    def send(self, request: Request) -> Answer:
        """`GET /NAMESPACE/NAME/resolve/COMMIT/FILE`."""
        kind, path = "model", request.path.strip("/")
        if path.startswith("datasets/"):
            kind, path = "dataset", path.removeprefix("datasets/")
        found = re.fullmatch(r"([^/]+/[^/]+)/resolve/([^/]+)/(.+)", path)
        repo = self.by_id.get((kind, found[1])) if found else None
        name = unquote(found[3]) if found else ""
        if repo is None or found is None:
            return missing()
        if name not in repo.files:
            headers = {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": repo.sha}
            return Answer({"error": "Entry not found"}, 404, headers)
        if found[2] not in ("main", *repo.commits):
            return Answer({"error": "Invalid rev id"}, 404, {"X-Error-Code": "RevisionNotFound"})
        content = repo.files[name]
        sha256 = hashlib.sha256(content).hexdigest()
        headers = {"X-Repo-Commit": repo.sha, "X-Linked-Size": str(len(content))}
        if is_large(name, len(content)) and not self.sends_large_files:
            self._storage.content[sha256] = content
            link = self._storage.link(sha256)
            return Answer(b"", 302, headers | {"Location": link, "X-Linked-ETag": f'"{sha256}"'})
        answer = ranged(request, content, f'"{sha256}"')
        return Answer(answer.body, answer.status, {**headers, **answer.headers})

    def _mode(self, repo: HubRepo, row: Json) -> Json:
        mode = "lfs" if is_large(row["path"], row["size"]) else "regular"
        held = repo.files.get(row["path"])
        oid = None
        if held is not None:
            git = hashlib.sha1(b"blob %d\0" % len(held) + held).hexdigest()  # noqa: S324 - git's own
            oid = hashlib.sha256(held).hexdigest() if mode == "lfs" else git
        return {"path": row["path"], "uploadMode": mode, "shouldIgnore": False, "oid": oid}

    def _commit(self, repo: HubRepo, request: Request) -> Answer:
        files: dict[str, bytes] = {}
        for line in request.body.splitlines():
            row = json.loads(line)
            value = row["value"]
            if row["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif row["key"] == "lfsFile":
                if value["oid"] not in self._storage.content:
                    return refusal(400, f"{value['path']} was never sent")
                files[value["path"]] = self._storage.content[value["oid"]]
            elif row["key"] != "header":
                return refusal(400, f"unknown operation {row['key']}")
        sha = repo.commit(files)
        return Answer({"success": True, "commitOid": sha, "commitUrl": f"/{repo.id}/commit/{sha}"})


def is_large(name: str, size: int) -> bool:
    """Whether a hub keeps a file in its storage for large ones."""
    return name.endswith(LARGE) or size >= LARGE_BYTES


def refusal(status: int, message: str) -> Answer:
    """An error as a hub says it."""
    return Answer({"error": message}, status, {"X-Error-Message": message})


def missing() -> Answer:
    """That there is no such repository or file."""
    headers = {"X-Error-Code": "RepoNotFound", "X-Error-Message": "Repository not found"}
    return Answer({"error": "Repository not found"}, 404, headers)


def _tags(readme: bytes) -> list[str]:
    """The tags of a card's head."""
    found = re.match(
        r"---\n(?:.*\n)*?tags: \[(.*)\]\n(?:.*\n)*?---\n", readme.decode(errors="replace")
    )
    return [tag.strip() for tag in found[1].split(",")] if found else []
