"""What the contract tests of our own hosted vendors have in common."""

from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol, cast

from specimens import spec_on_ten_rows
from typing_extensions import override

from ftctl.config import load_settings
from ftctl.job import JobSpec
from ftctl.providers.base import Provider
from ftctl.providers.registry import get_provider
from ftctl.testing.http_contract import HttpUnderTest
from ftctl.testing.loopback import Json, Loopback
from ftctl.testing.under_test import Verb


class Holds(Protocol):
    """A vendor on loopback, as far as its jobs are concerned."""

    jobs: Mapping[str, Any]
    move: Callable[[str, str], object]


class HostedUnderTest(HttpUnderTest):
    """A vendor of ours; a subclass names what is its own.

    Attributes:
        asked: Fields of a job that it takes.
        verb_routes: The routes of the verbs.
        done: Its word for a job that succeeded.
        documents: The module that shows a job in odd moments.
        status: The key of a job's status.
    """

    asked: Mapping[str, Any]
    verb_routes: Mapping[Verb, str]
    done: str
    documents: ModuleType
    status: str = "status"

    def __init__(self, vendor: Loopback, folder: Path) -> None:
        super().__init__(vendor, self.verb_routes)
        self._holds = cast("Holds", vendor)
        self._spec = spec_on_ten_rows(
            folder,
            base_url=vendor.base_url,
            **self.asked,
        )

    @property
    @override
    def spec(self) -> JobSpec:
        return self._spec

    @override
    def driver(self) -> Provider:
        return get_provider(self._spec.provider, load_settings(), self._spec.base_url)

    @override
    def finish(self, remote_id: str) -> None:
        self._holds.move(remote_id, self.done)

    @override
    def made(self) -> int:
        return len(self._holds.jobs)

    @override
    def with_status(self, document: Json, word: str) -> Json:
        return document | {self.status: word}

    @override
    def without_model(self, document: Json) -> Json:
        return cast("Json", self.documents.without_model(document))

    @override
    def troubled(self, document: Json) -> Json:
        return cast("Json", self.documents.trouble_while_running(document))

    @override
    def succeeded_in_part(self, document: Json) -> Json:
        return cast("Json", self.documents.succeeded_in_part(document))
