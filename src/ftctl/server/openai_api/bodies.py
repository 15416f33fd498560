"""What all routes share: bodies in, objects and pages out."""

from collections.abc import Callable, Sequence
from typing import Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.requests import Request
from starlette.responses import Response

from ftctl.server.errors import ApiError, from_validation

Body = TypeVar("Body", bound=BaseModel)
Item = TypeVar("Item", bound=BaseModel)
Row = TypeVar("Row")


class WireObject(BaseModel):
    """An object as the wire shows it."""

    model_config = ConfigDict(frozen=True)


class Page(WireObject, Generic[Item]):
    """A part of a list."""

    object: Literal["list"] = "list"
    data: list[Item]
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None


class Deleted(WireObject):
    """What is said of a thing that is no more."""

    id: str
    object: str
    deleted: bool = True


async def read_body(request: Request, kind: type[Body]) -> Body:
    """The JSON body as a type.

    Raises:
        ApiError: 400, with the first thing that is wrong with it.
    """
    body = await request.body()
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise from_validation(error) from None


def answer(value: BaseModel) -> Response:
    """An object as a JSON response."""
    return Response(value.model_dump_json(), media_type="application/json")


def limit_of(request: Request, default: int, largest: int) -> int:
    """The query's `limit`.

    Raises:
        ApiError: it isn't a whole number in range.
    """
    given = request.query_params.get("limit", str(default))
    if not (given.isascii() and given.isdigit() and len(given) < 7 and 1 <= int(given) <= largest):
        message = f"Invalid value for 'limit': a whole number from 1 to {largest}."
        raise ApiError(400, message, code="invalid_value", param="limit")
    return int(given)


def cut(
    request: Request, rows: Sequence[Row], id_of: Callable[[Row], str], limit: int
) -> tuple[Sequence[Row], bool]:
    """The rows after the query's `after`, at most `limit` of them, and whether there are more.

    Raises:
        ApiError: `after` is no row's id.
    """
    after = request.query_params.get("after")
    start = 0
    if after is not None:
        start = next((n for n, row in enumerate(rows, 1) if id_of(row) == after), 0)
        if not start:
            message = f"Invalid value for 'after': nothing here has the id {after[:80]}."
            raise ApiError(400, message, code="invalid_value", param="after")
    return rows[start : start + limit], len(rows) > start + limit
