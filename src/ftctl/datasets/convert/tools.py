"""Tool definitions as OpenAI shapes them, and the older and flatter ways to write them."""

from ftctl.datasets.convert.example import CannotCarryError, Notes, Tool
from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.tools import decoded_tools, is_flat
from ftctl.datasets.rules.types import JsonObject, kind

_KEYS = frozenset({"name", "description", "parameters", "strict"})


def read_tools(row: JsonObject, notes: Notes) -> tuple[Tool, ...] | None:
    """The tools and legacy functions of a row; None when it says nothing of any.

    Raises:
        CannotCarryError: they aren't definitions of functions.
    """
    found, legacy = row.get("tools"), row.get("functions")
    tools = None if found is None else read_tool_list(found, "tools", notes)
    if legacy is None:
        return tools
    notes.changed("functions", "functions, to tools")
    return (tools or ()) + read_tool_list(legacy, "functions", notes)


def read_tool_list(value: object, path: str, notes: Notes) -> tuple[Tool, ...]:
    """Definitions in a list, or in a JSON text that holds one; wrapped or flat.

    Raises:
        CannotCarryError: they aren't definitions of functions.
    """
    if isinstance(value, str):
        value = decoded_tools(value) if value.strip() else []
    if not isinstance(value, list):
        raise CannotCarryError(path, f"{path} is no list of definitions")
    return tuple(_tool(item, f"{path}[{i}]", notes) for i, item in enumerate(value))


def _tool(item: object, path: str, notes: Notes) -> Tool:
    if not isinstance(item, dict):
        raise CannotCarryError(path, f"the tool is {kind(item)}")
    function: object = {k: v for k, v in item.items() if k != "type"}
    if not is_flat(item):
        notes.unknown(item, frozenset({"type", "function"}), path)
        function, path = item.get("function"), f"{path}.function"
    return read_function(function, path, notes)


def read_function(function: object, path: str, notes: Notes) -> Tool:
    """One definition without its wrapping.

    Raises:
        CannotCarryError: it isn't one.
    """
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise CannotCarryError(path, "no function with a name in the definition")
    notes.unknown(function, _KEYS, path)
    parameters, description = function.get("parameters"), function.get("description")
    strict = function.get("strict")
    if not isinstance(parameters, dict | None):
        raise CannotCarryError(f"{path}.parameters", f"parameters is {kind(parameters)}")
    if not isinstance(description, str | None):
        raise CannotCarryError(f"{path}.description", f"description is {kind(description)}")
    if not isinstance(strict, bool | None):
        raise CannotCarryError(f"{path}.strict", f"strict is {kind(strict)}")
    return Tool(function["name"], description, parameters, strict)


def write_tools(tools: tuple[Tool, ...]) -> list[JsonObject]:
    """Definitions in OpenAI's shape."""
    return [{"type": "function", "function": write_function(tool)} for tool in tools]


def write_function(tool: Tool) -> JsonObject:
    """One definition without its wrapping: what legacy `functions` and ShareGPT hold."""
    more = {"description": tool.description, "parameters": tool.parameters, "strict": tool.strict}
    return {"name": tool.name} | {key: value for key, value in more.items() if value is not None}


def arguments_object(text: str) -> JsonObject | None:
    """The object that a call's arguments are; None where the text isn't exactly one."""
    parsed = parse_line(text.encode("utf-8", "surrogatepass"))
    exact = parsed.valid and not parsed.findings
    return parsed.value if exact and isinstance(parsed.value, dict) else None
