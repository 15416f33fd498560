"""For the tests here: small files of held-out examples, and a target that counts questions."""

import json
from collections.abc import Sequence
from pathlib import Path

from ftctl.evaluation.examples import ExampleFile, load_examples, message_text
from ftctl.evaluation.runner import Conversation, Target


def chat_file(folder: Path, *pairs: tuple[str, str], name: str = "held-out.jsonl") -> ExampleFile:
    """Write (question, answer) pairs as chat examples and load them."""
    path = folder / name
    rows = []
    for question, answer in pairs:
        asked = {"role": "user", "content": question}
        rows.append({"messages": [asked, {"role": "assistant", "content": answer}]})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return load_examples(path)


class Parrot:
    """Answers from a table, counts the questions, and fails where the table says so."""

    def __init__(self, table: dict[str, str | Exception]) -> None:
        self.table = table
        self.asked: list[str] = []

    def __call__(self, conversations: Sequence[Conversation]) -> list[str]:
        answers = []
        for conversation in conversations:
            question = message_text(conversation[-1])
            self.asked.append(question)
            answer = self.table.get(question, "")
            if isinstance(answer, Exception):
                raise answer
            answers.append(answer)
        return answers

    def target(self, name: str = "parrot", fingerprint: str = "parrot/1") -> Target:
        return Target(name, fingerprint, self)
