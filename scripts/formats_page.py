"""The page about dataset formats: what each carries, from the table that conversion works by."""

from collections.abc import Callable

from ftctl.datasets.convert.example import (
    Conversation,
    Example,
    PlainText,
    Preference,
    PromptCompletion,
    Segments,
    Stepwise,
    Task,
    Unpaired,
)
from ftctl.datasets.convert.formats import FORMATS
from ftctl.datasets.convert.says import ANY_ADDRESS, Says

ROWS = {
    "openai": '`{"messages": [{"role", "content", "weight"?, "tool_calls"?, …}], "tools"?}`',
    "openai-legacy": "the same with `functions` and `function_call`",
    "openai-dpo": '`{"input": {"messages"}, "preferred_output", "non_preferred_output"}`',
    "openai-rft": '`{"messages": [… user], …}`: any other key is for the grader',
    "mistral": "chat, ids of nine characters; `interactions` of the old trainer is read",
    "trl": "`messages`, `text`, `prompt` (+ `completion`, `label` or `completions`, `labels`), "
    "`chosen` and `rejected`; texts or messages; `tools` a list or JSON text",
    "sharegpt": '`{"conversations": [{"from", "value"}], "system"?, "tools"?}` (+ `chosen`, '
    "`rejected`)",
    "alpaca": '`{"instruction", "input"?, "output", "system"?, "history"?}` (+ `chosen`, '
    "`rejected` or `kto_tag`)",
    "axolotl": "`messages` with `train` and `train_detail`; `segments`; `text`; `instruction` and "
    "`response`, `question` and `answer` and the like are read",
    "together": "chat, `prompt` and `completion`, OpenAI's pairs, `text`",
    "fireworks": "chat, OpenAI's pairs",
    "gemini": '`{"contents": [{"role", "parts"}], "systemInstruction"?, "tools"?}` (+ '
    "`completions` with scores)",
    "bedrock": '`{"schemaVersion", "system": [{"text"}], "messages": [{"role", "content": '
    '[{"text"} …]}], "toolConfig"?}`; pairs as `candidates`',
    "text": '`{"text"}`',
}
KINDS: dict[type[Example], str] = {
    Conversation: "chat",
    Preference: "pairs",
    Unpaired: "good or bad answers",
    Task: "tasks for a grader",
    PromptCompletion: "bare prompt and completion",
    PlainText: "bare text",
    Segments: "segments",
    Stepwise: "answers judged by steps",
}
DROPPED = {
    "weights": "weights of 0",
    "spans": "stretches that are learnt",
    "names": "speakers' names",
    "tool_names": "a tool's name that isn't its function's",
    "reasoning": "reasoning",
    "details": "images' `detail`",
    "tools": "tools and calls",
    "text_beside_calls": "text beside calls",
    "parallel": "`parallel_tool_calls`",
    "strict": "`strict`",
    "open_end": "what follows the last answer",
}
CHANGED = {
    "developer": "the role developer",
    "systems": "further system messages",
    "refusals": "refusals",
    "parts": "texts as parts",
    "tool_parts": "tools' answers in parts",
    "several_calls": "calls made at once",
    "own_ids": "ids of calls",
    "same_speaker": "two messages in a row by one speaker",
}

HEAD = """# Dataset formats

Written by `make docs` from the table that `ftctl data convert` works by.

`convert` reads one format and writes another, a line at a time, whole or not at all. What the new
format can't say is listed with line and path: dropped, or said in other words. `--strict` writes
nothing where anything would be dropped.

```sh
cat > faq.csv <<'EOF'
question,answer,role
What is the capital of Italy?,Rome.,Be brief.
"Which is larger, 9.9 or 9.11?",9.9.,Be brief.
EOF
ftctl data convert faq.csv -o chat.jsonl --map prompt=question,completion=answer,system=role
ftctl data convert chat.jsonl -o bedrock.jsonl --to bedrock
ftctl data convert bedrock.jsonl -o mistral.jsonl --to mistral --strict
ftctl data convert chat.jsonl -o axolotl.jsonl --to axolotl --json
```

## Which format a file is in

Its first 20 rows tell, and must agree; rows that no format fits are left to the report. The keys
are looked at in this order: a batch request · OpenAI's pairs · Gemini's `contents` · Bedrock's
`schemaVersion`, or parts without a type · Anthropic's `system` beside `messages` · `messages` ·
`conversations` · `interactions` · `chosen` and `rejected` · `prompt` with `completion` or
`completions` · `instruction` and `output` · `segments` · instruction keys of Axolotl's · `text` ·
`prompt`. Where none fits, the nearest is told and what it lacks. `--from` names the format,
`--map FIELD=KEY` other names of keys. What looks like OpenAI's chat is read as that: Mistral,
Together and Fireworks only differ in what they take. Batch requests, Anthropic's messages and
token ids can't be converted.

## Tables

CSV (UTF-8, the first line names the columns; a comma, semicolon or tab between cells) and Parquet
(`pip install 'ftctl[arrow]'`) hold the rows of any format: a column is a field. A `system` column
beside `prompt` or `messages` becomes the first message. `--map FIELD=COLUMN,…` tells names that
differ. In CSV a list stands as JSON; Python's literals, as AutoTrain writes them, are read and
never run. In Parquet messages are lists of structs, so that TRL reads them; tools and calls'
arguments are JSON text. Faults of encoding and quoting are told by line, and hide no other row.

```sh
ftctl data convert chat.jsonl -o chat.csv --to csv
ftctl data convert chat.jsonl -o answers.csv --to alpaca --map instruction=question,output=answer
cat > autotrain.csv <<'EOF'
prompt,text,rejected_text
Is 7 prime?,Yes.,No.
Is 9 prime?,No.,Yes.
EOF
ftctl data convert autotrain.csv -o pairs.jsonl --to openai-dpo \\
    --map chosen=text,rejected=rejected_text
```

CSV has no types and no nulls: an empty cell of a text that every row needs is an empty text,
elsewhere it is nothing; a number or object of a grader's comes back as text. A bare text that
would be read back as a list is refused.

## What each carries

Every format carries turns of text. Where one holds no pairs, the better answer is kept, and the
worse one told as dropped; a bad answer is never trained on."""


def formats() -> str:
    """The page."""
    head = "| format | a row | holds | drops | says in other words |"
    lines = [head, "|---|---|---|---|---|", *map(row, FORMATS)]
    return f"{HEAD}\n\n" + "\n".join(lines) + "\n"


def row(name: str) -> str:
    """One format's line of the table."""
    codec = FORMATS[name]
    holds = ", ".join(words for kind, words in KINDS.items() if kind in codec.kinds)
    drops, changes = "", ""
    if {Conversation, Preference, Task} & set(codec.kinds):
        lost = lost_by(codec.says)
        drops = ", ".join([*lost(DROPPED), *images(codec.says)])
        changes = ", ".join(lost(CHANGED))
    return f"| `{name}` | {ROWS[name]} | {holds} | {drops} | {changes} |"


def lost_by(says: Says) -> Callable[[dict[str, str]], list[str]]:
    """What isn't said, in the words of a table; without tools nothing of theirs is told."""
    of_tools = {"tool_names", "text_beside_calls", "parallel", "strict"}
    of_tools |= {"tool_parts", "several_calls", "own_ids"}
    silent = set() if says.tools else of_tools
    silent |= set() if says.images else {"details"}
    return lambda words: [
        told for key, told in words.items() if key not in silent and not getattr(says, key)
    ]


def images(says: Says) -> list[str]:
    """Which images are dropped."""
    if says.images == ANY_ADDRESS:
        return []
    if not says.images:
        return ["images"]
    return [f"images at other addresses than {' or '.join(f'`{one}`' for one in says.images)}"]
