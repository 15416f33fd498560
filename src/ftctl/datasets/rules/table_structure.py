"""The rule table: an example's keys, messages, roles and their order."""

from ftctl.datasets.rules.rule import ERROR, UNVERIFIED, Rule

ROWS: dict[str, Rule] = {
    "missing-messages": Rule(ERROR, "no messages", "add the key `messages` with a non-empty list"),
    "messages-type": Rule(
        ERROR,
        "messages that are no list",
        "make `messages` a list of objects, not a string",
        "mended: a list written as a JSON string",
        certain=True,
    ),
    "message-type": Rule(
        ERROR, "a message that is no object", 'make it an object: {"role": ..., "content": ...}'
    ),
    "unknown-key/row": Rule(
        "EE-? WWW - W? ?? -",
        "a key of the row that nobody reads",
        "drop it; only messages, tools, parallel_tool_calls are read",
        "messages, tools, parallel_tool_calls, functions",
    ),
    "unknown-key/message": Rule(
        "EEE? WWW - ?? EE -",
        "a key of a message that nobody reads",
        "drop it; it is no key of a chat message",
        "role, content, name, weight, tool_calls, tool_call_id, refusal, function_call",
    ),
    "unknown-key/known": Rule(
        "---- WWW - -- -- -",
        "`name` or `refusal` where mistral-common forbids it",
        "drop it: this message has no such key here",
    ),
    "unknown-key/misplaced": Rule(
        "EEE? EEE - ?? EE W",
        "`prefix`, or a key of another role's messages",
        "drop it: it has no meaning in this place",
    ),
    "unknown-key/reasoning": Rule(
        "EEEE WWW - -- WW -",
        "`reasoning_content` in a message",
        "drop it, or put the reasoning into `content`",
    ),
    "unknown-key/thought": Rule(
        "EEEE WWW - -? WW -",
        "`reasoning` in a message",
        "drop it, or put the reasoning into `content`",
    ),
    "heterogeneous-keys": Rule(
        "WW-? --- W -? -- W",
        "`tools` and the like on some lines only",
        "give every line the same keys; an empty list will do",
        source='an OpenAI job refused with `contains an extra "tools"` (issue); '
        "datasets loader, run",
    ),
    "format": Rule(ERROR, "another dataset format", 'write chat examples: {"messages": [...]}'),
    "format/trl": Rule(
        "EEEE EEE - EE EE -",
        "a format that TRL reads as it is",
        "ftctl data convert FILE -o NEW writes chat examples",
        autotrain="W",
    ),
    "format/instruction": Rule(
        "EEEE EEE - -E EE -",
        "prompt and completion, or plain text",
        "ftctl data convert FILE -o NEW writes chat examples",
        autotrain="W",
    ),
    "format/convertible": Rule(
        "EEEE EEE E EE EE W",
        "a format that other trainers read",
        "ftctl data convert FILE -o NEW writes chat examples",
    ),
    "format/gemini": Rule(
        "EEEE EEE E EE -E E",
        "Gemini's own format",
        "ftctl data convert FILE -o NEW writes chat examples",
    ),
    "format/bedrock": Rule(
        "EEEE EEE E EE E- E",
        "Bedrock's own format",
        "ftctl data convert FILE -o NEW writes chat examples",
    ),
    "column-mapping": Rule(
        "---- --- - -- -- -",
        "columns that AutoTrain has to be told by name",
        "`ftctl export ID --to autotrain-yaml` writes the mapping for chat examples",
        source="AutoTrain Advanced 0.8.36, read",
        autotrain="W",
    ),
    "gemini-row": Rule(
        "---- --- - -- E- -",
        "a row in Gemini's own format that isn't as its page has it",
        'write {"contents": [{"role": "user" or "model", "parts": [{"text": ...}]}, ...]}, '
        "user and model in turn, the model last",
    ),
    "bedrock-row": Rule(
        "---- --- - -- -E -",
        "a row in Bedrock's own format that isn't as its page has it",
        'write {"schemaVersion": "bedrock-conversation-2024", "messages": [{"role": ..., '
        '"content": [{"text": ...}]}, ...]}, user and assistant in turn, the assistant last',
    ),
    "format-two": Rule(ERROR, "two formats in one file or row", "keep one format in a file"),
    "role": Rule(
        ERROR,
        "a role that nobody knows",
        "use system, user, assistant or tool, in lower case",
        "mended: case, spaces, human, gpt, model",
        certain=True,
    ),
    "role/developer": Rule(
        "??-- EEE W EE EE W",
        "the role developer",
        "write system instead of developer",
        certain=True,
    ),
    "legacy-function-call": Rule(
        "W-WW EEE E EE EE E",
        "`function_call`, `functions`, the role function",
        "write tools and tool_calls instead; functions are old",
        certain=True,
    ),
    "system-position": Rule(
        "---- WWW W EE -- W",
        "a system message that isn't first",
        "move the system message to the front",
    ),
    "system-count": Rule(
        "---- EEE W EE -- W",
        "more than one system message",
        "join the system messages into one",
        "1",
    ),
    "alternation": Rule(
        "---? --- W EW -E W",
        "two messages of the user in a row",
        "merge the two into one message; many templates refuse them",
    ),
    "alternation/assistant": Rule(
        "---E --- W EW -E W",
        "two messages of the assistant in a row",
        "merge the two into one message; many templates refuse them",
        source="an Azure job refused with `invalid schema`, 2026-03 (issue), and the columns'",
    ),
    "first-message": Rule(
        "---E --- W E? EE W",
        "the assistant speaks first",
        "begin with a user message; many templates refuse this",
    ),
    "first-message/alone": Rule(
        "---E EEE W E? EE W",
        "a single message, of the assistant",
        "add the user message that it answers",
    ),
    "last-message": Rule(
        "?--E EEE W ?? EE W",
        "a last message that isn't the assistant's",
        "drop what comes after the last assistant message",
        certain=True,
    ),
    "no-assistant": Rule(
        ERROR, "no message of the assistant", "add the assistant's answer: it is what is trained on"
    ),
    "no-user": Rule("W-WE WWW W WW EE W", "no message of the user", "add the user's message"),
    "name-pattern": Rule(
        "?--? WWW - ?? ?? W",
        "a name with spaces or <|\\/>",
        "use letters, digits, _ and - in names",
        source=UNVERIFIED,
    ),
}
