"""Rows for tests of the rule table: examples, and who minds what about them."""

import json
from pathlib import Path
from typing import Any

from ftctl.datasets.check import check
from ftctl.datasets.report import Issue
from ftctl.datasets.rules.table import PROVIDERS

ERROR, WARNING = "error", "warning"
EVERY = dict.fromkeys(PROVIDERS, ERROR)
WARNED = dict.fromkeys(PROVIDERS, WARNING)
Row = dict[str, Any]
USER: Row = {"role": "user", "content": "2+2?"}
SAYS: Row = {"role": "assistant", "content": "4"}
WORSE: Row = {"role": "assistant", "content": "5"}
SYSTEM: Row = {"role": "system", "content": "Be brief."}
TOOL: Row = {
    "type": "function",
    "function": {"name": "f", "description": "Does it.", "parameters": {"type": "object"}},
}
CALL: Row = {"id": "aB3dE6gH9", "type": "function", "function": {"name": "f", "arguments": "{}"}}
TYPELESS: Row = {key: value for key, value in CALL.items() if key != "type"}
CALLS: Row = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT: Row = {"role": "tool", "tool_call_id": "aB3dE6gH9", "content": "done"}


def chat(*messages: Row, **more: object) -> Row:
    return {"messages": list(messages), **more}


def image(url: str) -> Row:
    part = {"type": "image_url", "image_url": {"url": url}}
    return chat({"role": "user", "content": [{"type": "text", "text": "What?"}, part]}, SAYS)


def images(count: int) -> Row:
    part = {"type": "image_url", "image_url": {"url": "https://example.org/a.png"}}
    return chat({"role": "user", "content": [part] * count}, SAYS)


def pair(
    *prompt: Row, chosen: object = (SAYS,), rejected: object = (WORSE,), **more: object
) -> Row:
    return {
        "input": {"messages": list(prompt or [USER]), **more},
        "preferred_output": chosen,
        "non_preferred_output": rejected,
    }


def issues(folder: Path, row: Row, method: str = "sft") -> list[Issue]:
    """What is found in the row, which stands in the third line."""
    file = folder / "x.jsonl"
    first: Row = {"sft": chat(USER, SAYS), "dpo": pair(), "rft": chat(USER, answer="4")}[method]
    rows = [first, first, row]
    file.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    report = check([file], providers=PROVIDERS, method=method, duplicates=False)
    return [issue for issue in report.issues if issue.line == 3]


def who(found: list[Issue], rule: str, path: str) -> dict[str, str]:
    """The strictest severity of each provider that minds."""
    told: dict[str, str] = {}
    for issue in reversed(found):
        if (issue.rule, issue.path) == (rule, path):
            told |= dict.fromkeys(issue.providers, issue.severity)
    return told
