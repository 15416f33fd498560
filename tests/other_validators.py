"""What other validators say of rows; run by the Python of an environment that has them.

Reads a JSON list of lines as base64 from standard input; writes, by validator, a list of what each
says of each line: "" where it takes it, else why not, with `crash: ` before what isn't its own
refusal.
"""

import base64
import contextlib
import importlib
import io
import json
import os
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

VERSIONS = ("v3", "v7", "v11", "v13")


def mistral(version: str) -> Callable[[bytes], None]:
    from mistral_common.protocol.instruct import messages as kinds
    from mistral_common.protocol.instruct.request import ChatCompletionRequest
    from mistral_common.protocol.instruct.tool_calls import Tool
    from mistral_common.protocol.instruct.validator import ValidationMode, get_validator
    from mistral_common.tokens.tokenizers.base import TokenizerVersion

    by_role = {
        "system": kinds.SystemMessage,
        "user": kinds.UserMessage,
        "assistant": kinds.FinetuningAssistantMessage,
        "tool": kinds.ToolMessage,
    }
    validator = get_validator(TokenizerVersion(version), ValidationMode.finetuning)

    def judge(line: bytes) -> None:
        row = json.loads(line)
        unknown = set(row) - {"messages", "tools", "parallel_tool_calls"}
        if unknown:
            raise ValueError(f"extra keys {unknown}")
        messages = []
        for message in row["messages"]:
            if message["role"] not in by_role:
                raise ValueError(f"role {message['role']!r}")
            messages.append(by_role[message["role"]].model_validate(message))
        tools = row.get("tools")
        request: ChatCompletionRequest[Any] = ChatCompletionRequest(
            messages=messages,
            tools=None if tools is None else [Tool.model_validate(tool) for tool in tools],
        )
        validator.validate_request(request)

    return judge


def together(line: bytes) -> None:
    check_file = importlib.import_module("together.utils.files").check_file
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "x.jsonl"
        file.write_bytes(line + b"\n")
        found = check_file(file)
    if not found["is_check_passed"]:
        raise ValueError(found["message"])


def cookbook(line: bytes) -> None:
    """The format checks of OpenAI's data-preparation notebook, written anew."""
    row = json.loads(line)
    messages = row.get("messages") if isinstance(row, dict) else None
    if not messages:
        raise ValueError("no messages")
    for message in messages:
        if "role" not in message or "content" not in message:
            raise ValueError("a message lacks a key")
        if any(k not in ("role", "content", "name", "function_call", "weight") for k in message):
            raise ValueError("a key is unknown")
        if message.get("role") not in ("system", "user", "assistant", "function"):
            raise ValueError("a role is unknown")
        text = message.get("content")
        if (not text and not message.get("function_call")) or not isinstance(text, str):
            raise ValueError("no content")
    if not any(message.get("role") == "assistant" for message in messages):
        raise ValueError("no assistant")


def said(judge: Callable[[bytes], None], line: bytes) -> str:
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            judge(line)
    except Exception as error:  # noqa: BLE001 - that it crashes is what we want to know
        own = isinstance(error, ValueError) or "mistral_common" in type(error).__module__
        return f"{'' if own else 'crash: '}{type(error).__name__}: {str(error)[:200]}"
    return ""


def main() -> None:
    os.environ["TOGETHER_NO_BANNER"] = "1"
    lines = [base64.b64decode(text) for text in json.load(sys.stdin)]
    judges = {f"mistral {version}": mistral(version) for version in VERSIONS}
    judges |= {"together": together, "cookbook": cookbook}
    json.dump({name: [said(judge, x) for x in lines] for name, judge in judges.items()}, sys.stdout)


if __name__ == "__main__":
    main()
