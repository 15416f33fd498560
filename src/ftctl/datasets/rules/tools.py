"""Rules on tool definitions: shape, names, schemas."""

import functools
import json
import re
from collections.abc import Iterator
from typing import Any

import msgspec

from ftctl.datasets.rules.types import Example, Finding, JsonObject, kind, shown
from ftctl.datasets.scan import masked_text

MAX_TOOLS = 128  # source: OpenAI API specification, before 2026-08
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def tool_name_valid(name: object) -> bool:
    """Whether a function may be called so. Source: OpenAI API specification."""
    return isinstance(name, str) and _NAME.fullmatch(name) is not None


def is_flat(tool: JsonObject) -> bool:
    """Whether a definition has its function's fields at its top, as the Responses API wants."""
    flat = isinstance(tool.get("name"), str) and "function" not in tool
    return flat and tool.get("type") in (None, "function")


def decoded_tools(text: object) -> list[JsonObject] | None:
    """The definitions that a JSON string holds; None when it holds anything else."""
    try:
        value = json.loads(text) if isinstance(text, str) else None
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        return None
    return value


def functions_of(row: JsonObject) -> Iterator[tuple[str, JsonObject]]:
    """Path and fields of each function declared in the right shape."""
    tools = row.get("tools")
    for i, tool in enumerate(tools if isinstance(tools, list) else []):
        function = tool.get("function") if isinstance(tool, dict) else None
        if isinstance(function, dict):
            yield f"tools[{i}].function", function


def shape(example: Example) -> Iterator[Finding]:
    """`tools-type` and `tool-count`."""
    if "tools" not in example.row:
        return
    tools = example.row["tools"]
    if not isinstance(tools, list):
        lenient = tools is None or decoded_tools(tools) is not None
        key = "tools-type/shape" if lenient else "tools-type"
        yield Finding(key, "tools", f"tools is {kind(tools)}, not a list")
        return
    if len(tools) > MAX_TOOLS:
        yield Finding("tool-count", "tools", f"{len(tools)} tools; the limit is {MAX_TOOLS}")
    for i, tool in enumerate(tools):
        if not isinstance(tool, dict):
            yield Finding("tools-type", f"tools[{i}]", f"the tool is {kind(tool)}")
        elif is_flat(tool):
            yield Finding("tools-type/shape", f"tools[{i}].function", "the definition is flat")
        elif not isinstance(tool.get("function"), dict):
            yield Finding("tools-type", f"tools[{i}].function", "no function in the definition")
        elif tool.get("type") != "function":
            said = f"the type is {shown(tool.get('type'))}, not 'function'"
            yield Finding("tools-type", f"tools[{i}].type", said)


def names(example: Example) -> Iterator[Finding]:
    """`tool-name`: well formed, and each only once."""
    seen: set[str] = set()
    for path, function in functions_of(example.row):
        name = function.get("name")
        if not tool_name_valid(name):
            yield Finding("tool-name", f"{path}.name", f"{shown(name)} is no function name")
        elif name in seen:
            yield Finding("tool-name", f"{path}.name", f"{shown(name)} is declared twice")
        seen.add(str(name))


def definitions(example: Example) -> Iterator[Finding]:
    """`tool-parameters`, `tool-description`, `tool-schema`."""
    for path, function in functions_of(example.row):
        if function.get("description") is None:
            yield Finding("tool-description", f"{path}.description", "no description")
        if "parameters" not in function:
            yield Finding("tool-parameters", f"{path}.parameters", "no parameters")
        elif problem := schema_problem(function["parameters"]):
            yield Finding("tool-schema", f"{path}.parameters", problem)


def schema_problem(schema: object) -> str:
    """Why something is no JSON Schema of draft 7; "" when it is one."""
    if not isinstance(schema, dict):
        return f"parameters is {kind(schema)}, not a JSON Schema object"
    return _schema_problem(_encoded(schema))


def arguments_problem(schema: JsonObject, arguments: JsonObject) -> str:
    """Why arguments don't fit a function's declared schema; "" when they do.

    A schema that isn't one, or that points outside itself, refuses nothing.
    """
    from jsonschema.exceptions import ValidationError
    from referencing.exceptions import Unresolvable

    validator = _validator(_encoded(schema))
    if validator is None:
        return ""
    try:
        error: ValidationError | None = next(validator.iter_errors(arguments), None)
    except (RecursionError, ValueError, TypeError, re.error, Unresolvable):
        return ""
    if error is None:
        return ""
    where = ".".join(str(step) for step in error.absolute_path) or "the arguments"
    return (
        f"{masked_text(where)[:64]}: {error.validator} isn't met ({shown(error.validator_value)})"
    )


def _encoded(schema: JsonObject) -> bytes:
    try:
        return msgspec.json.encode(schema)
    except (ValueError, RecursionError, OverflowError):
        return b""


@functools.lru_cache(maxsize=512)
def _schema_problem(schema: bytes) -> str:
    from jsonschema import Draft7Validator
    from jsonschema.exceptions import SchemaError

    if not schema:
        return ""
    try:
        Draft7Validator.check_schema(msgspec.json.decode(schema))
    except SchemaError as error:
        where = ".".join(str(step) for step in error.absolute_path)
        at = f" at {masked_text(where)[:64]}" if where else ""
        return f"no valid JSON Schema{at}: {masked_text(error.message[:4096])[:80]}"
    except (RecursionError, ValueError, TypeError, OverflowError, re.error):
        return "no JSON Schema that can be read"
    return ""


@functools.lru_cache(maxsize=512)
def _validator(schema: bytes) -> Any:  # noqa: ANN401 - jsonschema ships no types
    from referencing import Registry

    if not schema or _schema_problem(schema):
        return None
    # An empty registry: a `$ref` never makes us fetch anything.
    return _timely()(msgspec.json.decode(schema), registry=Registry())


@functools.cache
def _timely() -> Any:  # noqa: ANN401
    """Draft 7 without patterns: one of `^(a+)+$` keeps Python's engine busy for years.

    One class for all schemas: what attrs writes for a class is kept for good.
    """
    from jsonschema import Draft7Validator
    from jsonschema.validators import extend

    original = Draft7Validator.VALIDATORS["additionalProperties"]

    def nothing(*_: object) -> tuple[()]:
        return ()

    def additional(validator: object, value: object, instance: object, within: JsonObject) -> Any:  # noqa: ANN401
        # Which properties are additional is told by the patterns beside it.
        return () if "patternProperties" in within else original(validator, value, instance, within)

    return extend(
        Draft7Validator,
        {"pattern": nothing, "patternProperties": nothing, "additionalProperties": additional},
    )


RULES = (shape, names, definitions)
