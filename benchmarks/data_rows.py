"""Files for `data_check.py`: made from a seed, or from the text that Python's own library holds.

Every row is right for every provider, so that what is timed is checking and not reporting.
"""

import ast
import json
import random
import string
import sysconfig
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

KINDS = {"single": 66, "multi": 22, "tools": 10, "long": 2}  # per cent of the rows
ESCAPED = 0.4  # share of rows written with ensure_ascii
_FOREIGN = (
    "Ärger über Größe",
    "déjà vécu à Noël",
    "простой пример",
    "東京の天気は",
    "नमस्ते दुनिया",
    "🙂🚀",
)

Row = dict[str, Any]


def make(path: Path, size_bytes: int, *, seed: int = 0, bad: float = 0.0) -> Path:
    """Write a file of seeded rows.

    Args:
        path: Where.
        size_bytes: At least so many.
        seed: Another seed, other rows.
        bad: Share of rows with a fault.
    """
    source = _Rows(seed)
    return _write(path, size_bytes, random.Random(seed), source.row, bad)  # noqa: S311


def make_real(path: Path, size_bytes: int, *, seed: int = 0) -> Path:
    """Write a file of what Python's library says of itself: docstrings asked for and given."""
    rng = random.Random(seed)  # noqa: S311 - no secret depends on it
    texts = sorted(_docstrings())
    number = iter(range(10**9))

    def row() -> Row:
        name, text = rng.choice(texts)
        asked = f"What does {name} do? Answer number {next(number)}."
        more, other = rng.choice(texts)
        return _chat([asked, text, f"And {more}?", other])

    return _write(path, size_bytes, rng, row, 0.0)


def _write(
    path: Path, size_bytes: int, rng: random.Random, row: Callable[[], Row], bad: float
) -> Path:
    written = 0
    with path.open("wb") as out:
        while written < size_bytes:
            made = row()
            if rng.random() < bad:
                _spoil(made, rng)
            text = json.dumps(made, ensure_ascii=rng.random() < ESCAPED)
            written += out.write(text.encode() + b"\n")
    return path


def _spoil(row: Row, rng: random.Random) -> None:
    message = rng.choice(row["messages"])
    fault = rng.randrange(4)
    if fault == 0:
        message["role"] = "bot"
    elif fault == 1:
        message["content"] = None
    elif fault == 2:
        message["mood"] = "cheerful"
    else:
        row["messages"].append({"role": "user", "content": "And then?"})


def _chat(texts: list[str]) -> Row:
    roles = ("user", "assistant")
    return {"messages": [{"role": roles[i % 2], "content": text} for i, text in enumerate(texts)]}


class _Rows:
    def __init__(self, seed: int) -> None:
        self._rng = rng = random.Random(seed)  # noqa: S311
        letters = string.ascii_lowercase
        words = ["".join(rng.choices(letters, k=rng.randint(2, 10))) for _ in range(4000)]
        self._sentences = []
        for _ in range(20_000):
            chosen = rng.choices(words, k=rng.randint(6, 18))
            if rng.random() < 0.15:
                chosen.insert(rng.randrange(len(chosen)), rng.choice(_FOREIGN))
            self._sentences.append(" ".join(chosen).capitalize() + rng.choice(".?!"))
        self._kinds = rng.choices(list(KINDS), list(KINDS.values()), k=100_000)
        self._made = 0

    def row(self) -> Row:
        kind = self._kinds[self._made % len(self._kinds)]
        self._made += 1
        if kind == "tools":
            return self._tools()
        if kind == "multi":
            row = _chat([self._text(2, 8) for _ in range(2 * self._rng.randint(2, 5))])
            row["messages"].insert(0, {"role": "system", "content": "Answer kindly and briefly."})
            return row
        sizes = (200, 600) if kind == "long" else (4, 20)
        return _chat([self._text(2, 8), self._text(*sizes)])

    def _text(self, least: int, most: int) -> str:
        chosen = self._rng.choices(self._sentences, k=self._rng.randint(least, most))
        return self._rng.choice((" ", "\n")).join(chosen)

    def _tools(self) -> Row:
        rng = self._rng
        made = "".join(rng.choices(string.ascii_letters, k=9))
        arguments = json.dumps({"city": f"Place {rng.randrange(10**6)}", "days": rng.randint(1, 9)})
        function = {"name": "forecast", "arguments": arguments}
        call = {"id": made, "type": "function", "function": function}
        messages = [
            {"role": "user", "content": self._text(1, 3)},
            {"role": "assistant", "content": None, "tool_calls": [call]},
            {
                "role": "tool",
                "tool_call_id": made,
                "content": json.dumps({"sky": self._text(1, 2)}),
            },
            {"role": "assistant", "content": self._text(1, 4)},
        ]
        return {"messages": messages, "tools": [FORECAST]}


FORECAST: Row = {
    "type": "function",
    "function": {
        "name": "forecast",
        "description": "The weather to come in a city.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "description": "The city's name."},
                "days": {"type": "integer", "description": "How many days ahead."},
            },
            "required": ["city"],
        },
    },
}


def _docstrings() -> Iterator[tuple[str, str]]:
    for file in Path(sysconfig.get_path("stdlib")).glob("*.py"):
        try:
            tree = ast.parse(file.read_text("utf-8"))
        except (SyntaxError, UnicodeDecodeError):
            continue
        for node in ast.walk(tree):
            if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.Module):
                text = (ast.get_docstring(node) or "").strip()
                if len(text) > 40:
                    yield f"{file.stem}.{getattr(node, 'name', '')}".rstrip("."), text
