"""Rows for DPO that a tiny model can learn from: the right colour is preferred to a wrong one."""

import json
from pathlib import Path

from tiny_model import SYSTEM

COLOURS = ("red", "green", "blue", "white", "black", "grey", "pink", "brown")


def write_pairs(file: Path, count: int = 24, first: int = 0) -> Path:
    """OpenAI's preference rows of different lengths with one system line and short answers."""
    rows = []
    for i in range(first, first + count):
        right, wrong = COLOURS[i % len(COLOURS)], COLOURS[(i + 3) % len(COLOURS)]
        question = f"Item {i}: it looks {right}" + " indeed" * (i % 3)
        rows.append(
            {
                "input": {
                    "messages": [
                        {"role": "system", "content": SYSTEM},
                        {"role": "user", "content": question},
                    ]
                },
                "preferred_output": [{"role": "assistant", "content": right}],
                "non_preferred_output": [{"role": "assistant", "content": wrong}],
            }
        )
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file
