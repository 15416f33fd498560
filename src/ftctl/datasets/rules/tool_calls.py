"""Rules on tool calls and their answers."""

import re
from collections.abc import Iterator

from ftctl.datasets.rules.json_text import parse_line
from ftctl.datasets.rules.tools import arguments_problem, functions_of
from ftctl.datasets.rules.types import Example, Finding, JsonObject, Message, kind, shown

MISTRAL_ID = re.compile(r"[a-zA-Z0-9]{9}")  # source: mistral-common, tokenizers v3 to v11


def call_shape(example: Example) -> Iterator[Finding]:
    """`tool-call-shape`, `tool-calls-empty`, `tool-arguments`."""
    for message in example.messages:
        if message.role != "assistant" or "tool_calls" not in message.fields:
            continue
        calls, path = message.fields["tool_calls"], f"{message.path}.tool_calls"
        if calls is None or calls == []:
            yield Finding("tool-calls-empty", path, "tool_calls is empty")
        elif not isinstance(calls, list):
            yield Finding("tool-call-shape", path, f"tool_calls is {kind(calls)}, not a list")
        else:
            for i, call in enumerate(calls):
                yield from _one_call(call, f"{path}[{i}]")


def _one_call(call: object, path: str) -> Iterator[Finding]:
    if not isinstance(call, dict):
        yield Finding("tool-call-shape", path, f"the call is {kind(call)}, not an object")
        return
    if not isinstance(call.get("id"), str) or not call["id"]:
        yield Finding("tool-call-shape", f"{path}.id", "the call has no id")
    if call.get("type") != "function":
        said = f"the type is {shown(call.get('type'))}, not 'function'"
        key = "tool-call-shape" if "type" in call else "tool-call-shape/type"
        yield Finding(key, f"{path}.type", said)
    function = call.get("function")
    if not isinstance(function, dict):
        yield Finding("tool-call-shape", f"{path}.function", "the call has no function")
        return
    if not isinstance(function.get("name"), str) or not function["name"]:
        yield Finding("tool-call-shape", f"{path}.function.name", "the function has no name")
    if not isinstance(function.get("arguments"), str):
        said = f"arguments is {kind(function.get('arguments'))}, not a string"
        yield Finding("tool-arguments", f"{path}.function.arguments", said)


def _functions_called(message: Message) -> Iterator[tuple[str, JsonObject]]:
    for path, call in message.calls:
        function = call.get("function")
        if message.role == "assistant" and isinstance(function, dict):
            yield f"{path}.function", function


def declared(example: Example) -> Iterator[Finding]:
    """`tool-undeclared`: a call of what `tools` doesn't hold."""
    names = {str(function.get("name")) for _, function in functions_of(example.row)}
    called = [pair for message in example.messages for pair in _functions_called(message)]
    if called and not example.row.get("tools"):
        yield Finding("tool-undeclared", "tools", "tools are called, but none is declared")
        return
    for path, function in called if isinstance(example.row.get("tools"), list) else ():
        name = function.get("name")
        if isinstance(name, str) and name not in names:
            yield Finding("tool-undeclared", f"{path}.name", f"{shown(name)} isn't in tools")


def arguments(example: Example) -> Iterator[Finding]:
    """`tool-arguments-json` and `tool-arguments-schema`."""
    schemas = {
        str(function.get("name")): function.get("parameters")
        for _, function in functions_of(example.row)
    }
    for message in example.messages:
        for path, function in _functions_called(message):
            text = function.get("arguments")
            if not isinstance(text, str):
                continue
            path = f"{path}.arguments"
            value, problems = _decoded(text, path)
            yield from problems
            if not isinstance(value, dict):
                continue
            schema = schemas.get(str(function.get("name")))
            problem = arguments_problem(schema, value) if isinstance(schema, dict) else ""
            if problem:
                yield Finding("tool-arguments-schema", path, problem)


def _decoded(text: str, path: str) -> tuple[object, list[Finding]]:
    """Arguments as strict JSON, and what keeps them from being it."""
    parsed = parse_line(text.encode("utf-8", "surrogatepass"))
    keys = {finding.key for finding in parsed.findings}
    if not parsed.valid:
        return None, [Finding("tool-arguments-json", path, "the arguments are not JSON")]
    if not isinstance(parsed.value, dict):
        said = f"the arguments are {kind(parsed.value)}"
        return None, [Finding("tool-arguments-json", path, said)]
    problems = []
    if "json-nan" in keys:
        said = "NaN or Infinity in the arguments, which is no JSON"
        problems.append(Finding("tool-arguments-json", path, said))
    if "duplicate-key" in keys:
        problems.append(Finding("duplicate-key", path, "a key comes twice in the arguments"))
    return parsed.value, problems


def ids(example: Example) -> Iterator[Finding]:
    """`tool-call-id-format`: what Mistral's tokenizers take."""
    for message in example.messages:
        for path, call in message.calls:
            yield from _id_format(call.get("id"), f"{path}.id")
        if message.role == "tool":
            yield from _id_format(
                message.fields.get("tool_call_id"), f"{message.path}.tool_call_id"
            )


def _id_format(value: object, path: str) -> Iterator[Finding]:
    if isinstance(value, str) and value and not MISTRAL_ID.fullmatch(value):
        yield Finding("tool-call-id-format", path, f"the id {shown(value, 24)}")


def answers(example: Example) -> Iterator[Finding]:
    """`tool-call-id-duplicate`, `tool-response-missing`, `tool-orphan`: calls and answers paired.

    Answers follow their calls at once, in any order; calls left open at the example's end are
    fine, since the answer to them is what the model has yet to see.
    """
    asked: dict[str, str] = {}  # id: path of the call that still may be answered
    answered: set[str] = set()
    for message in example.messages:
        if message.role == "tool":
            yield from _answer(message, asked, answered)
            continue
        for call_id, path in asked.items():
            if call_id not in answered:
                said = "the call isn't answered before the conversation goes on"
                yield Finding("tool-response-missing", path, said)
        asked, answered = {}, set()
        for path, call in message.calls if message.role == "assistant" else ():
            name = call.get("id")
            if not isinstance(name, str):
                continue
            if name in asked:
                yield Finding("tool-call-id-duplicate", f"{path}.id", "the id was used before")
            asked.setdefault(name, f"{path}.id")


def _answer(message: Message, asked: dict[str, str], answered: set[str]) -> Iterator[Finding]:
    path = f"{message.path}.tool_call_id"
    call_id = message.fields.get("tool_call_id")
    if not isinstance(call_id, str) or call_id not in asked:
        said = "answers no call" if call_id else "has no tool_call_id"
        yield Finding("tool-orphan", path, f"the tool message {said}")
    elif call_id in answered:
        yield Finding("tool-call-id-duplicate", path, "the call is answered twice")
    else:
        answered.add(call_id)


def beside_calls(example: Example) -> Iterator[Finding]:
    """`content-and-tool-calls` and `parallel-tool-calls`."""
    for message in example.messages:
        if message.role == "assistant" and message.calls and message.fields.get("content"):
            path = f"{message.path}.content"
            yield Finding("content-and-tool-calls", path, "text beside tool calls")
    if "parallel_tool_calls" not in example.row:
        return
    parallel = example.row["parallel_tool_calls"]
    if not isinstance(parallel, bool):
        said = f"parallel_tool_calls is {kind(parallel)}"
        yield Finding("parallel-tool-calls", "parallel_tool_calls", said)
    elif not parallel and any(len(message.calls) > 1 for message in example.messages):
        said = "parallel_tool_calls is false, but a message has several calls"
        yield Finding("parallel-tool-calls", "parallel_tool_calls", said)


RULES = (call_shape, declared, arguments, ids, answers, beside_calls)
