"""The rule table: tools, their calls and answers."""

from ftctl.datasets.rules.rule import ERROR, WARNING, Rule

ROWS: dict[str, Rule] = {
    "tools-type": Rule(
        ERROR, "tools that are no list of definitions", "make `tools` a list of definitions"
    ),
    "tools-type/shape": Rule(
        "EEEE EEE W EE EE W",
        "definitions that are flat, or written as a JSON string",
        'write {"type": "function", "function": {"name": ...}}',
        certain=True,
    ),
    "tool-count": Rule("E-EE --- - ?? ?? -", "too many tools", "declare at most 128 tools", "128"),
    "tool-name": Rule(
        "EEEE EEE W ?? EE W",
        "a function's name that isn't taken, or comes twice",
        "use 1 to 64 letters, digits, _ and -, each name once",
        "[a-zA-Z0-9_-]{1,64}",
    ),
    "tool-parameters": Rule(
        "---- EEE - -- EE -",
        "a function without parameters",
        'add "parameters": {"type": "object", "properties": {}}',
        certain=True,
    ),
    "tool-description": Rule(
        "---- EEE - -- EE -",
        "a function without description",
        "say in `description` what the function does",
    ),
    "tool-schema": Rule(
        "???? EEE W ?? ?? W",
        "parameters that are no JSON Schema",
        "make `parameters` a JSON Schema (draft 7)",
        "draft 7",
    ),
    "tool-undeclared": Rule(
        WARNING, "a call of a function that isn't declared", "declare the function in `tools`"
    ),
    "tool-call-shape": Rule(
        "EEEE EEE W EE EE W",
        "a call without id, function or name",
        "a call has id, type and function with a name",
    ),
    "tool-call-shape/type": Rule(
        "EEEE --- W EE EE W", "a call without type", 'add "type": "function"', certain=True
    ),
    "tool-arguments": Rule(
        "EEEE EEE W ?? -- W",
        "arguments that are no string",
        "write arguments as a string that holds JSON",
        certain=True,
    ),
    "tool-arguments-json": Rule(
        "???? WWW E ?? EE E",
        "arguments that hold no JSON object",
        "write the arguments as a JSON object, in a string",
        source="ours: no validator refuses it, run",
    ),
    "tool-arguments-schema": Rule(
        WARNING,
        "arguments that don't fit the declared schema",
        "call the function as it is declared",
        source="ours",
    ),
    "tool-call-id-format": Rule(
        "---- EE? - -- -- -",
        "an id that Mistral's tokenizers don't take",
        "use nine letters and digits, here and in the answer",
        "[a-zA-Z0-9]{9}",
        certain=True,
    ),
    "tool-call-id-duplicate": Rule(
        "EEEE WWE W ?? ?? W",
        "an id that two calls share, or a call that is answered twice",
        "give every call an id of its own, answered once",
    ),
    "tool-response-missing": Rule(
        "EEEE EEE W ?? EE W",
        "a call without an answer before the conversation goes on",
        "answer each call by a tool message right after it",
    ),
    "tool-orphan": Rule(
        "EEEE EEE W ?? EE W",
        "an answer without a call",
        "put it right after the call that it answers, with its id",
    ),
    "tool-calls-empty": Rule(WARNING, "an empty list of calls", "drop the key", certain=True),
    "content-and-tool-calls": Rule(
        "---- E-- - ?? -- -",
        "text beside tool calls",
        "drop the text; tokenizer v3 refuses it beside calls",
    ),
    "parallel-tool-calls": Rule(
        "W-WW WWW - WW -- W",
        "parallel_tool_calls that is no true or false, or isn't as the calls are",
        "write true or false, as the calls are",
    ),
    "tools-unsupported": Rule(
        "---- --- - -- -E -",
        "tools in examples for Nova or AutoTrain",
        "drop the tools, or tune elsewhere; Nova 2's page says that they may fail, AutoTrain never "
        "shows them to the model",
        source="Nova's data page; AWS's checker lets them pass. AutoTrain's code",
        autotrain="E",
    ),
}
