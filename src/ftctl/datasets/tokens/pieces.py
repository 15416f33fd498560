"""An example as the texts that are tokenized one by one, and the tokens that a chat adds to them.

Source of what is added: OpenAI's cookbook, which counts prompts as the API bills them, read
2026-11. Whether training bills the 3 tokens before a reply isn't known. Calls and refusals in
messages and nested schemas follow no published rule: their texts are counted, and the example isn't
exact.
"""

from collections.abc import Iterator
from typing import NamedTuple

from ftctl.datasets.fingerprints import canonical
from ftctl.datasets.rules.types import Example, JsonObject, Message, read_example
from ftctl.datasets.tokens.images import OTHER_BILL, ImageBill, image_tokens

PER_MESSAGE = 3
PER_NAME = 1
PER_REPLY = 3
PER_FUNCTION = {"o200k_base": 7, "o200k_harmony": 7, "cl100k_base": 10}
PER_PROPERTIES = 3
PER_PROPERTY = 3
PER_ENUM = -3
PER_ENUM_ITEM = 3
AFTER_FUNCTIONS = 12

# What rows of other formats hold that is trained on.
_ANSWERS = frozenset(["chosen", "rejected", "completion", "text"])


class Piece(NamedTuple):
    """One text, and the tokens that stand before it.

    Attributes:
        path: JSON path of the text.
        text: What is tokenized.
        before: Tokens that the chat adds in front.
        trained: Whether loss counts on the text's tokens.
        exact: Whether a published rule says how it is counted.
    """

    path: str
    text: str
    before: int = 0
    trained: bool = False
    exact: bool = True


def iter_pieces(row: JsonObject, encoding: str, bill: ImageBill = OTHER_BILL) -> Iterator[Piece]:
    """The pieces of an example in the order in which a model sees them.

    Args:
        row: A decoded line of any format; what isn't a chat is all its strings.
        encoding: Whose rule for tools is applied.
        bill: What the model counts for an image.
    """
    messages = read_example(row).messages or list(_pair_messages(row))
    if not messages:
        yield from _iter_strings(row, "", trained=False)
        return
    prompt = row.get("input")
    asked = prompt if isinstance(prompt, dict) else row
    yield from tool_pieces(asked.get("tools") or _legacy_tools(asked), encoding)
    for message in messages:
        yield from _message_pieces(message, bill)
    yield Piece("", "", PER_REPLY)


def _pair_messages(row: JsonObject) -> Iterator[Message]:
    """The messages of a row of preferences: prompt, the better answer, the worse one."""
    prompt = row.get("input")
    lists = {"input.messages": prompt.get("messages") if isinstance(prompt, dict) else None}
    lists |= {key: row.get(key) for key in ("preferred_output", "non_preferred_output")}
    for within, found in lists.items():
        for i, fields in enumerate(found if isinstance(found, list) else []):
            if isinstance(fields, dict):
                yield Message(i, fields, within)


def _legacy_tools(row: JsonObject) -> list[JsonObject]:
    functions = row.get("functions")
    return [{"function": f} for f in (functions if isinstance(functions, list) else [])]


def _message_pieces(message: Message, bill: ImageBill) -> Iterator[Piece]:
    trained = is_trained(message.role, message.fields.get("weight"))
    yield Piece(f"{message.path}.role", message.role, PER_MESSAGE)
    name = message.fields.get("name")
    if isinstance(name, str):
        yield Piece(f"{message.path}.name", name, PER_NAME)
    for path, _, text in Example({}, [message]).iter_texts():
        yield Piece(path, text, 0, trained, ".function." not in path)
    for path, function, keys in (
        *((f"{path}.function", call.get("function"), ("name",)) for path, call in message.calls),
        (
            f"{message.path}.function_call",
            message.fields.get("function_call"),
            ("name", "arguments"),
        ),
        (message.path, message.fields, ("refusal",)),
    ):
        for key in keys:
            if isinstance(function, dict) and isinstance(function.get(key), str):
                yield Piece(f"{path}.{key}", function[key], 0, trained, exact=False)
    content = message.fields.get("content")
    for i, part in enumerate(content if isinstance(content, list) else []):
        image = part.get("image_url") if isinstance(part, dict) else None
        if image is not None:
            tokens, sure = image_tokens(image, bill)
            yield Piece(f"{message.path}.content[{i}]", "", tokens, exact=sure)


def is_trained(role: str, weight: object) -> bool:
    """Whether loss counts on a message: an answer whose weight isn't 0."""
    return role == "assistant" and weight != 0


def tool_pieces(tools: object, encoding: str) -> Iterator[Piece]:
    """The pieces of an example's tool definitions."""
    found = tools if isinstance(tools, list) else []
    per_function = PER_FUNCTION.get(encoding, 7)
    for i, tool in enumerate(found):
        function = tool.get("function") if isinstance(tool, dict) else None
        if not isinstance(function, dict):
            yield Piece(f"tools[{i}]", canonical(tool), exact=False)
            continue
        said = f"{_word(function, 'name')}:{_word(function, 'description').removesuffix('.')}"
        yield Piece(f"tools[{i}].function", said, per_function)
        parameters = function.get("parameters")
        properties = parameters.get("properties") if isinstance(parameters, dict) else None
        if isinstance(properties, dict) and properties:
            yield Piece(f"tools[{i}].function.parameters", "", PER_PROPERTIES)
            for name, schema in properties.items():
                yield from _property_pieces(f"tools[{i}].function.parameters", name, schema)
    if found:
        yield Piece("tools", "", AFTER_FUNCTIONS)


def _property_pieces(path: str, name: str, schema: object) -> Iterator[Piece]:
    if not isinstance(schema, dict) or not isinstance(schema.get("type"), str):
        yield Piece(path, f"{name}:{canonical(schema)}", PER_PROPERTY, exact=False)
        return
    before = PER_PROPERTY
    values = schema.get("enum")
    if isinstance(values, list):
        before += PER_ENUM
        for value in values:
            yield Piece(path, value if isinstance(value, str) else canonical(value), PER_ENUM_ITEM)
    said = f"{name}:{schema['type']}:{_word(schema, 'description').removesuffix('.')}"
    yield Piece(path, said, before)
    for nested in ("properties", "items"):
        if schema.get(nested):
            yield Piece(path, canonical(schema[nested]), exact=False)


def _word(fields: JsonObject, key: str) -> str:
    value = fields.get(key)
    return value if isinstance(value, str) else ""


def _iter_strings(value: object, path: str, *, trained: bool) -> Iterator[Piece]:
    """Every string of a row that is no chat."""
    if isinstance(value, str):
        yield Piece(path, value, 0, trained)
    elif isinstance(value, dict):
        for key, inner in value.items():
            where = f"{path}.{key}" if path else key
            yield from _iter_strings(inner, where, trained=trained or key in _ANSWERS)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            yield from _iter_strings(inner, f"{path}[{i}]", trained=trained)
