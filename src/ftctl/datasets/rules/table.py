"""Who applies which rule at which severity: the one table.

Source, unless a row says otherwise. openai: the supervised fine-tuning and vision guides, the
data-preparation notebook, the public API specification before 2026-08. mistral: the validators of
mistral-common 1.13.1 and mistral-finetune, run per tokenizer version; where versions differ, the
strictest that customers still meet. local: what chat templates, TRL 1.16's data utilities and the
`datasets` loader do, run. All read or run up to 2026-11-24.
"""

from datetime import date
from typing import Literal, NamedTuple

Severity = Literal["error", "warning"]

PROVIDERS = ("openai", "mistral", "local")
READ = date(2026, 11, 24)

_WORDS: dict[str, Severity] = {"E": "error", "W": "warning"}


class Rule(NamedTuple):
    """One row: severity per provider, in the order of `PROVIDERS`, and how to mend it.

    Attributes:
        severities: One letter a provider: E error, W warning, - fine.
        hint: What to do.
        source: Where it is written, where that isn't the module's.
        as_of: When it was read or run.
    """

    severities: str
    hint: str
    source: str = ""
    as_of: date = READ


_UNVERIFIED = "unverified: no vendor text says so; reported because it is likely a mistake"

RULES: dict[str, Rule] = {
    # Bytes, file, JSON
    "encoding": Rule("EEE", "save it as UTF-8: iconv -f FROM -t UTF-8 FILE > NEW"),
    "bom": Rule("WE-", "drop the first three bytes: sed -i '1s/^\\xEF\\xBB\\xBF//' FILE"),
    "line-ends": Rule("WWW", "end lines with LF: tr '\\r' '\\n' < FILE > NEW", _UNVERIFIED),
    "blank-line": Rule("WE-", "drop empty lines: grep -v '^[[:space:]]*$' FILE > NEW"),
    "compressed": Rule("EE-", "unpack it: gunzip, unzstd, xz -d or unzip", "upload errors"),
    "compressed/misnamed": Rule("EEW", "unpack it, or name it NAME.jsonl.gz", "upload errors"),
    "compressed/not": Rule("WWW", "name it NAME.jsonl: it isn't compressed"),
    "compressed/unread": Rule("EEE", "unpack it: gunzip, unzstd, xz -d or unzip"),
    "empty-file": Rule("EEE", "give it examples, one JSON object a line"),
    "file-extension": Rule("EE-", "name it NAME.jsonl"),
    "file-size": Rule("EE-", "split it, or drop duplicates: 512 MB a file is the limit"),
    "not-jsonl": Rule("EEW", "one object a line: jq -c '.[]? // .' FILE > NEW.jsonl"),
    "json": Rule("EEE", "write lines with a JSON library, such as json.dumps"),
    "json/two-objects": Rule("EEW", "put the second object on a line of its own"),
    "line-not-object": Rule("EEE", 'each line is an object: {"messages": [...]}'),
    "line-not-object/list": Rule("EEW", "put each object of the list on a line of its own"),
    "json-nan": Rule("EEW", "write null or leave the key out"),
    "json-nan/schema": Rule("WWW", "write null or leave the key out", "parsers disagree, run"),
    "duplicate-key": Rule("WWE", "keep one of the two; parsers disagree on which counts"),
    "lone-surrogate": Rule("EEE", "write the whole character, or drop it; it can't be tokenized"),
    "control-char": Rule("WWW", "drop it; it is almost always left over from extraction"),
    "json-depth": Rule("EEE", "flatten it, or write the inner part as a string"),
    # Structure and roles
    "missing-messages": Rule("EEE", "add the key `messages` with a non-empty list"),
    "messages-type": Rule("EEE", "make `messages` a list of objects, not a string"),
    "message-type": Rule("EEE", 'make it an object: {"role": ..., "content": ...}'),
    "unknown-key/row": Rule("EW-", "drop it; only messages, tools, parallel_tool_calls are read"),
    "unknown-key/message": Rule("EW-", "drop it; it is no key of a chat message"),
    "unknown-key/known": Rule("-W-", "drop it: this message has no such key here"),
    "unknown-key/misplaced": Rule("EEW", "drop it: it has no meaning in this place"),
    "unknown-key/reasoning": Rule("EW-", "drop it, or put the reasoning into `content`"),
    "heterogeneous-keys": Rule(
        "W-W",
        "give every line the same keys; an empty list will do",
        'an OpenAI job refused with `contains an extra "tools"` (issue); datasets loader, run',
    ),
    "format": Rule("EEE", 'write chat examples: {"messages": [...]}'),
    "format/trl": Rule("EE-", "ftctl data convert FILE -o NEW writes chat examples"),
    "format/convertible": Rule("EEW", "ftctl data convert FILE -o NEW writes chat examples"),
    "format-two": Rule("EEE", "keep one format in a file"),
    "role": Rule("EEE", "use system, user, assistant or tool, in lower case"),
    "role/developer": Rule("WEW", "write system instead of developer", _UNVERIFIED),
    "legacy-function-call": Rule("WEE", "write tools and tool_calls instead; functions are old"),
    "system-position": Rule("-WW", "move the system message to the front"),
    "system-count": Rule("-EW", "join the system messages into one"),
    "alternation": Rule("--W", "merge the two into one message; many templates refuse them"),
    "first-message": Rule("--W", "begin with a user message; many templates refuse this"),
    "first-message/alone": Rule("-EW", "add the user message that it answers"),
    "last-message": Rule("WEW", "drop what comes after the last assistant message"),
    "no-assistant": Rule("EEE", "add the assistant's answer: it is what is trained on"),
    "no-user": Rule("WWW", "add the user's message"),
    "name-pattern": Rule("WWW", "use letters, digits, _ and - in names", _UNVERIFIED),
    # Content, images, weight
    "content": Rule("EEE", "write the text, or drop the message"),
    "content/text": Rule("EWE", "rename the key `text` to `content`"),
    "content/refusal": Rule("WEE", "copy the refusal into `content`"),
    "content-null-string": Rule("WWW", "write null without quotes"),
    "empty-content": Rule("WWW", "write the text, or drop the example"),
    "empty-content/assistant": Rule("EEW", "write the answer, or drop the example"),
    "trailing-space": Rule("WWW", "strip it: the model would learn it"),
    "content-type": Rule("EEE", "write content as a string (json.dumps for data)"),
    "content-part": Rule("EEE", 'write parts as {"type": "text", "text": ...}'),
    "tool-content-type": Rule("E-W", "join the parts into one string"),
    "content-parts-local": Rule("-WW", "join the text parts into one string"),
    "image-needs-vision": Rule("WWE", "tune a vision model, or drop the image"),
    "image-role": Rule("EEE", "put images into user messages"),
    "image-count": Rule("EWE", "keep at most 10 images in an example"),
    "image-size": Rule("EWE", "shrink it below 10 MB"),
    "image-format": Rule("EWE", "use JPEG, PNG or WEBP"),
    "image-source": Rule("EWE", "give an https:// or a data: URL"),
    "audio": Rule("EWE", "write down what is said, or drop the example"),
    "weight": Rule("EEW", "write 0 or 1, or drop the key"),
    "weight/string": Rule("EWW", "write 0 or 1 without quotes"),
    "weight/odd": Rule("WWW", "write 0 or 1, on assistant messages only"),
    "weight/float": Rule("W-W", "write 0 or 1 as a whole number"),
    "weight-ignored-local": Rule("--W", "other trainers need the example split at this message"),
    "no-trained-token": Rule("WWW", "give one assistant message weight 1, or drop the example"),
    # Tools
    "tools-type": Rule("EEE", "make `tools` a list of definitions"),
    "tools-type/shape": Rule("EEW", 'write {"type": "function", "function": {"name": ...}}'),
    "tool-count": Rule("E--", "declare at most 128 tools"),
    "tool-name": Rule("EEW", "use 1 to 64 letters, digits, _ and -, each name once"),
    "tool-parameters": Rule("-E-", 'add "parameters": {"type": "object", "properties": {}}'),
    "tool-description": Rule("-E-", "say in `description` what the function does"),
    "tool-schema": Rule("WEW", "make `parameters` a JSON Schema (draft 7)"),
    "tool-undeclared": Rule("WWW", "declare the function in `tools`"),
    "tool-call-shape": Rule("EEW", "a call has id, type and function with a name"),
    "tool-call-shape/type": Rule("E-W", 'add "type": "function"'),
    "tool-arguments": Rule("EEW", "write arguments as a string that holds JSON"),
    "tool-arguments-json": Rule("WWE", "write the arguments as a JSON object, in a string"),
    "tool-arguments-schema": Rule("WWW", "call the function as it is declared"),
    "tool-call-id-format": Rule("-E-", "use nine letters and digits, here and in the answer"),
    "tool-call-id-duplicate": Rule("EEW", "give every call an id of its own, answered once"),
    "tool-response-missing": Rule("EEW", "answer each call by a tool message right after it"),
    "tool-orphan": Rule("EEW", "put it right after the call that it answers, with its id"),
    "tool-calls-empty": Rule("WWW", "drop the key"),
    "content-and-tool-calls": Rule("-W-", "drop the text; tokenizer v3 refuses it beside calls"),
    "parallel-tool-calls": Rule("WWW", "write true or false, as the calls are"),
    # Other methods: pairs of answers (dpo), prompts that a grader judges (rft)
    "preference": Rule(
        "EEE",
        'write {"input": {"messages": [...]}, "preferred_output": [...], '
        '"non_preferred_output": [...]}, each output a list with an assistant message',
    ),
    "preference/same": Rule("WWW", "give a worse answer: nothing is learnt from equal ones"),
    "preference/odd": Rule("WWW", "drop it, or write it as OpenAI's preference guide does"),
    "task": Rule(
        "EEE", 'write {"messages": [..., a user message]} and beside it what the grader compares'
    ),
    "task/odd": Rule("WWW", "drop it: a prompt's message has no such thing"),
    # Counts, length, across lines
    "min-examples": Rule("EWW", "OpenAI wants 10 examples at least; write more"),
    "few-examples": Rule("--W", "50 to 100 good examples are the usual start"),
    "few-examples/advice": Rule("---", "50 to 100 good examples are the usual start"),
    "validation-size": Rule("-W-", "keep it below 1 MB and 5 % of the training file"),
    "too-long": Rule("WWW", "shorten or split the example; what is cut off isn't learnt"),
    "too-long/prompt": Rule("EWW", "shorten the prompt: no token of the answer would be left"),
    "duplicate-example": Rule("WWW", "drop one; it counts twice in training"),
    "near-duplicate": Rule("WWW", "drop one, unless the repetition is meant"),
    "train-val-overlap": Rule("WWW", "ftctl data split FILE makes disjoint files"),
    "conflicting-answers": Rule("WWW", "decide for one answer; the model would learn neither"),
    "system-inconsistent": Rule("WWW", "use one system prompt, the one that you will serve with"),
    "mixed-tasks": Rule("WWW", "tune a model per task, or check that the mix is meant"),
    "label-imbalance": Rule("WWW", "add examples of the rare labels, or drop common ones"),
    "truncated-answer": Rule("WWW", "raise max_tokens where the answers were made"),
    "special-token": Rule("WWW", "drop the model's own control tokens from the text"),
    "special-token/fim": Rule(
        "EWW", "drop it: OpenAI refuses it", "OpenAI job errors, 2026-02 (issue)"
    ),
    "pii": Rule("WWW", "replace it by a placeholder, or decide that it may be learnt"),
    "secret": Rule("WWW", "drop it, and revoke it if it is real: models repeat what they saw"),
}


class Ruling(NamedTuple):
    """A finding as one severity's group of providers sees it."""

    rule: str
    severity: Severity
    providers: tuple[str, ...]
    hint: str


def rule_on(key: str, providers: tuple[str, ...]) -> list[Ruling]:
    """What a row of the table means to some providers: one ruling per severity, errors first.

    Advice that is no provider's rule is a warning of nobody.
    """
    row = RULES[key]
    rule, _, variant = key.partition("/")
    if variant == "advice":
        return [Ruling(rule, "warning", (), row.hint)]
    groups: dict[Severity, list[str]] = {"error": [], "warning": []}
    for provider, letter in zip(PROVIDERS, row.severities, strict=True):
        if provider in providers and letter in _WORDS:
            groups[_WORDS[letter]].append(provider)
    return [Ruling(rule, level, tuple(who), row.hint) for level, who in groups.items() if who]
