"""What the routes stand on: settings, store, files, jobs and models of one server."""

from dataclasses import dataclass, field
from typing import Self

from starlette.requests import Request

from ftctl.config import Settings
from ftctl.providers.registry import get_provider
from ftctl.server.files import FileStore
from ftctl.server.models import ModelThread
from ftctl.server.tuning import Tuning
from ftctl.server.uploads import UploadStore
from ftctl.store import Store

MAX_UPLOAD_BYTES = 512 * 2**20  # source: OpenAI's limit of a file, SDK docstring, read 2026-11


@dataclass(frozen=True)
class Backend:
    """The parts of one server; `close` it."""

    settings: Settings
    bases: dict[str, str]
    store: Store
    files: FileStore
    uploads: UploadStore
    tuning: Tuning
    models: ModelThread
    max_upload_bytes: int
    warned: set[str] = field(default_factory=set)  # models whose other system message was told

    @classmethod
    def open(
        cls,
        settings: Settings,
        bases: dict[str, str],
        *,
        max_upload_bytes: int = MAX_UPLOAD_BYTES,
    ) -> Self:
        """Open the store and what stands on it.

        Args:
            settings: Where store, files and runs are.
            bases: Base models by their names on the wire.
            max_upload_bytes: The largest file taken.

        Raises:
            StoreError: the store can't be opened.
        """
        store = Store(settings.database_url)
        files = FileStore(settings.home / "server" / "files")
        files.sweep()
        uploads = UploadStore(settings.home / "server" / "parts", files)
        uploads.sweep()
        tuning = Tuning(settings, store, files, get_provider("local", settings), bases)
        models = ModelThread(settings.home)
        return cls(settings, bases, store, files, uploads, tuning, models, max_upload_bytes)

    def close(self) -> None:
        """End what is under way here; jobs' workers go on."""
        self.tuning.close()
        self.models.close()
        self.store.close()


def backend_of(request: Request) -> Backend:
    """The backend of the server that got the request."""
    backend: Backend = request.app.state.backend
    return backend
