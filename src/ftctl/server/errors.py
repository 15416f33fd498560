"""OpenAI's error objects: every failure that a client sees has this shape."""

import http
import logging

from pydantic import ValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse

from ftctl.errors import (
    DataInvalid,
    FtctlError,
    IllegalMove,
    NotFound,
    NotFoundHere,
    Refused,
    UsageError,
)
from ftctl.local_backend.chat import PromptTooLong

_log = logging.getLogger(__name__)
_LONGEST_PART = 80  # of a name that a client made up


class ApiError(Exception):
    """An answer that says no.

    Args:
        status: The HTTP status.
        message: What is wrong, for a person.
        code: A word for programs.
        param: The parameter it is about.
    """

    def __init__(
        self, status: int, message: str, *, code: str | None = None, param: str | None = None
    ) -> None:
        super().__init__(message)
        self.status, self.message, self.code, self.param = status, message, code, param

    def response(self) -> JSONResponse:
        """The error object; 401 also says how to come in."""
        kind = "server_error" if self.status >= 500 else "invalid_request_error"
        body = {"message": self.message, "type": kind, "param": self.param, "code": self.code}
        headers = (
            {"www-authenticate": "Bearer"} if self.status == http.HTTPStatus.UNAUTHORIZED else {}
        )
        return JSONResponse({"error": body}, self.status, headers)


_STATUS: tuple[tuple[type[FtctlError], int, str], ...] = (
    (PromptTooLong, 400, "context_length_exceeded"),
    (NotFound, 404, "not_found"),
    (NotFoundHere, 404, "not_found"),
    (IllegalMove, 400, "invalid_state"),
    (UsageError, 400, "invalid_value"),
    (DataInvalid, 400, "invalid_value"),
    (Refused, 503, "unavailable"),  # this installation lacks something that the request needs
)


def from_ftctl(error: FtctlError) -> ApiError:
    """One of our errors as an answer: its own sentence, and the status of its kind."""
    for kind, status, code in _STATUS:
        if isinstance(error, kind):
            param = "messages" if kind is PromptTooLong else None
            return ApiError(status, error.message, code=code, param=param)
    _log.error("%s: %s", error.kind, error.message)
    return ApiError(500, error.message, code=error.kind)


def from_validation(error: ValidationError) -> ApiError:
    """The first thing that is wrong with a body, as OpenAI words it."""
    first = error.errors(include_url=False, include_context=False)[0]
    # A key that is itself invalid is told of as `metadata.KEY.[key]`: the pair's place is enough.
    parts = [str(part)[:_LONGEST_PART] for part in first["loc"] if part != "[key]"]
    where = ".".join(part for part in parts if part) or None
    if first["type"] == "json_invalid":
        said = first["msg"].removeprefix("Invalid JSON: ")
        return ApiError(400, f"The body isn't valid JSON: {said}.", code="invalid_json")
    if first["type"] == "missing":
        message = f"Missing required parameter: '{where}'."
        return ApiError(400, message, code="missing_required_parameter", param=where)
    if first["type"] == "extra_forbidden":
        message = f"'{where}' isn't a parameter that this server takes."
        return ApiError(400, message, code="unknown_parameter", param=where)
    said = first["msg"].removeprefix("Value error, ")
    named = f"Invalid value for '{where}'" if where else "Invalid body"
    return ApiError(400, f"{named}: {said}.", code="invalid_value", param=where)


def answer_api_error(_request: Request, error: Exception) -> JSONResponse:
    """Starlette's handler of `ApiError`."""
    assert isinstance(error, ApiError)  # noqa: S101 - registered for nothing else
    return error.response()


def answer_ftctl_error(_request: Request, error: Exception) -> JSONResponse:
    """Starlette's handler of our own errors."""
    assert isinstance(error, FtctlError)  # noqa: S101 - registered for nothing else
    return from_ftctl(error).response()


def answer_http_error(request: Request, error: Exception) -> JSONResponse:
    """Starlette's handler of its own: unknown routes, wrong methods, broken forms."""
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for nothing else
    asked = f"{request.method} {request.url.path[:200]}"
    words = {
        404: ApiError(404, f"Unknown request URL: {asked}.", code="unknown_url"),
        405: ApiError(405, f"Method not allowed: {asked}.", code="method_not_allowed"),
    }
    said = ApiError(error.status_code, str(error.detail), code="invalid_request")
    response = words.get(error.status_code, said).response()
    response.headers.update(error.headers or {})
    return response
