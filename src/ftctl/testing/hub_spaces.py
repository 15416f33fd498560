"""The Spaces of a hub on loopback: what they are given, where they stand, what they say."""

import json
from dataclasses import dataclass, field

from ftctl.testing.hub_repos import HubRepo, HubRepos, missing
from ftctl.testing.loopback import Answer, Json, Request

_BUILT = ("README.md", "Dockerfile")


@dataclass
class HubSpace:
    """What a Space has beside its files."""

    stage: str = "BUILDING"
    message: str | None = None
    secrets: list[str] = field(default_factory=list)  # their names alone
    variables: dict[str, str] = field(default_factory=dict)
    sleep_s: int | None = None
    titles: list[str] = field(default_factory=list)
    printed: list[tuple[str, str]] = field(default_factory=list)


class HubSpaces:
    """What a hub answers about Spaces.

    Args:
        repos: Their files.

    Attributes:
        by_id: The Spaces by id.
    """

    def __init__(self, repos: HubRepos) -> None:
        self.by_id: dict[str, HubSpace] = {}
        self._repos = repos

    def started(self) -> list[str]:
        """The ids of those that have what starts them."""
        return [
            repo.id
            for (kind, _), repo in self._repos.by_id.items()
            if kind == "space" and set(_BUILT) <= set(repo.files)
        ]

    def answer(self, request: Request, space_id: str, rest: list[str]) -> Answer:
        """`/api/spaces/NAMESPACE/NAME/…`; what is about files, the repositories answer."""
        repo = self._repos.by_id.get(("space", space_id))
        if repo is None:
            self.by_id.pop(space_id, None)
            return missing()
        space = self.by_id.setdefault(space_id, HubSpace())
        asked = request.json()
        answer = self._repos.api(request, "spaces", space_id, rest)
        match [request.method, *rest]:
            case ["POST", "secrets"]:
                space.secrets.append(asked["key"])
                answer = Answer({})
            case ["POST", "variables"]:
                space.variables[asked["key"]] = asked["value"]
                answer = Answer({})
            case ["GET", "variables"]:
                answer = Answer({key: {"value": said} for key, said in space.variables.items()})
            case ["POST", "sleeptime"]:
                space.sleep_s = asked["seconds"]
                answer = Answer(self._runtime(space, repo))
            case ["GET", "runtime"]:
                answer = Answer(self._runtime(space, repo))
            case ["POST", "pause"]:
                space.stage = "PAUSED"
                answer = Answer(self._runtime(space, repo))
            case ["GET", "discussions"]:
                answer = Answer(self._discussions(space, space_id))
            case ["GET", "logs", "run"]:
                rows = [{"timestamp": at, "data": said} for at, said in space.printed]
                answer = Answer("".join(f"data: {json.dumps(r)}\n\n" for r in rows).encode())
        return answer

    def _runtime(self, space: HubSpace, repo: HubRepo) -> Json:
        built = set(_BUILT) <= set(repo.files)
        document: Json = {
            "stage": space.stage if built else "NO_APP_FILE",
            "hardware": {"current": repo.hardware, "requested": repo.hardware},
            "gcTimeout": space.sleep_s,
        }
        return document | ({"errorMessage": space.message} if space.message else {})

    def _discussions(self, space: HubSpace, space_id: str) -> Json:
        rows = [
            {
                "num": number,
                "title": title,
                "author": {"name": "autotrain"},
                "createdAt": "2026-11-24T10:00:00.000Z",
                "status": "open",
                "repo": {"name": space_id, "type": "space"},
                "isPullRequest": False,
            }
            for number, title in enumerate(space.titles, start=1)
        ]
        return {"discussions": rows, "count": len(rows), "start": 0}
