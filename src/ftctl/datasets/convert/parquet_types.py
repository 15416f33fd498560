"""The types of a Parquet table's columns, from what the rows say."""

from typing import NamedTuple

from ftctl.datasets.rules.types import JsonObject

# Keys of the objects that become structs; any other object, whose keys may differ from row to row
# and mean something by being absent, is JSON text.
_STRUCT_KEYS = frozenset(
    {
        *("role", "content", "type", "text", "image_url", "url", "detail", "name", "tool_calls"),
        *("id", "function", "arguments", "tool_call_id", "refusal", "reasoning_content", "weight"),
        *("train", "train_detail", "begin_offset", "end_offset", "label", "from", "value"),
        "function_call",
    }
)
# Fields whose objects may become structs.
_STRUCTURED = frozenset(
    {
        *("messages", "conversations", "prompt", "completion", "chosen", "rejected"),
        *("preferred_output", "non_preferred_output", "completions", "labels", "segments"),
        "history",
    }
)


class Type(NamedTuple):
    """A column's type.

    Attributes:
        name: string, bool, int64, double, list, struct, or null where no row has a value.
        item: What a list is of.
        fields: What a struct has.
    """

    name: str
    item: "Type | None" = None
    fields: "tuple[tuple[str, Type], ...]" = ()


TEXT = Type("string")
_NULL = Type("null")
_SCALARS = {bool: Type("bool"), int: Type("int64"), float: Type("double"), str: TEXT}
_PARTS = Type("list", Type("struct", None, (("type", TEXT), ("text", TEXT))))


class NoTypeError(Exception):
    """Values that only JSON text can say in one column."""


def column_types(types: dict[str, Type], row: JsonObject) -> None:
    """Widen the types of columns by one more row; what has no type of its own becomes text."""
    for field, value in row.items():
        before = types.get(field, _NULL)
        try:
            now = type_of(field, value)
            apart = _NULL not in (before, now) and before.name != now.name
            types[field] = TEXT if apart else widened(before, now)
        except NoTypeError:
            types[field] = TEXT


def type_of(field: str, value: object) -> Type:
    """The type of a field's value.

    Raises:
        NoTypeError: only JSON text says it.
    """
    if isinstance(value, list | dict) and field not in _STRUCTURED:
        raise NoTypeError
    return _nested(value)


def _nested(value: object, key: str = "") -> Type:
    if value is None:
        return _NULL
    if key == "arguments":
        return TEXT
    if isinstance(value, list):
        item = _NULL
        for one in value:
            if one is None:
                raise NoTypeError
            item = widened(item, _nested(one))
        return Type("list", item)
    if isinstance(value, dict):
        if not value or not value.keys() <= _STRUCT_KEYS:
            raise NoTypeError
        fields = tuple((name, _nested(inner, name)) for name, inner in value.items())
        return Type("struct", None, fields)
    if type(value) is int and not -(2**63) <= value < 2**63:
        raise NoTypeError
    return _SCALARS[type(value)]


def widened(one: Type, two: Type) -> Type:
    """The type that holds the values of both.

    Raises:
        NoTypeError: only JSON text does.
    """
    if _NULL in (one, two):
        return two if one == _NULL else one
    if {one.name, two.name} == {"string", "list"}:  # content as text in one, as parts in another
        parts = one if one.name == "list" else two
        return widened(parts, _PARTS)
    if one.name != two.name:
        raise NoTypeError
    if one.name == "list":
        return Type("list", widened(one.item or _NULL, two.item or _NULL))
    if one.name == "struct":
        fields = dict(one.fields)
        for name, of in two.fields:
            fields[name] = widened(fields.get(name, _NULL), of)
        return Type("struct", None, tuple(fields.items()))
    return one
