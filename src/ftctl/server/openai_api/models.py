"""`/v1/models`: the bases that can be tuned, then what was tuned."""

from pathlib import Path
from typing import Literal

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ftctl.job import JobRecord
from ftctl.server.backend import Backend, backend_of
from ftctl.server.errors import ApiError
from ftctl.server.job_request import CHECKPOINT_MARK
from ftctl.server.models import Place
from ftctl.server.openai_api.bodies import Deleted, Page, WireObject, answer


class ModelObject(WireObject):
    """A model; `created` of a base is 0 where it isn't a folder with a date."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: str


def find_place(backend: Backend, name: str) -> Place:
    """What a model's name on the wire, or a checkpoint's, means here.

    Raises:
        ApiError: 404, there is none.
    """
    if name in backend.bases:
        return Place(backend.bases[name])
    finished, mark, step = name.partition(CHECKPOINT_MARK)
    record = backend.tuning.find_tuned(finished)
    if record is None:
        raise unknown_model(name)
    weights = backend.tuning.facts(record).checkpoint_weights(step) if mark else None
    if mark and weights is None:
        raise unknown_model(name)
    run = backend.settings.home / "runs" / record.marker
    return Place(record.model, run / "output", weights)


def unknown_model(name: str) -> ApiError:
    """The 404 of a model's name."""
    message = f"The model '{name[:160]}' does not exist; GET /v1/models lists those that do."
    return ApiError(404, message, code="model_not_found", param="model")


async def listing(request: Request) -> Response:
    """`GET /v1/models`."""
    backend = backend_of(request)

    def page() -> Page[ModelObject]:
        tuned = [_tuned(record, name) for record, name in backend.tuning.tuned()]
        return Page[ModelObject](data=[*(_base(backend, name) for name in backend.bases), *tuned])

    return answer(await run_in_threadpool(page))


def _base(backend: Backend, name: str) -> ModelObject:
    path = Path(backend.bases[name])
    created = int(path.stat().st_mtime) if path.is_absolute() and path.exists() else 0
    return ModelObject(id=name, created=created, owned_by="base")


def _tuned(record: JobRecord, name: str) -> ModelObject:
    return ModelObject(id=name, created=int(record.created_at.timestamp()), owned_by="ftctl")


async def retrieve(request: Request) -> Response:
    """`GET /v1/models/{model}`."""
    backend = backend_of(request)
    name = request.path_params["model"]

    def found() -> ModelObject:
        if name in backend.bases:
            return _base(backend, name)
        record = backend.tuning.find_tuned(name)
        if record is None:
            raise unknown_model(name)
        return _tuned(record, name)

    return answer(await run_in_threadpool(found))


async def delete(request: Request) -> Response:
    """`DELETE /v1/models/{model}`: a tuned model with its checkpoints; bases stay."""
    backend = backend_of(request)
    name = request.path_params["model"]

    def forget() -> Deleted:
        if name in backend.bases:
            message = f"'{name}' is a base model; the server's owner decides which there are."
            raise ApiError(403, message, code="model_not_deletable", param="model")
        record = backend.tuning.find_tuned(name)
        if record is None:
            raise unknown_model(name)
        backend.models.forget(name)
        backend.tuning.delete_tuned(record)
        return Deleted(id=name, object="model")

    return answer(await run_in_threadpool(forget))


ROUTES = [
    Route("/v1/models", listing, methods=["GET"]),
    Route("/v1/models/{model:path}", retrieve, methods=["GET"]),
    Route("/v1/models/{model:path}", delete, methods=["DELETE"]),
]
