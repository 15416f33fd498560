"""Pairs of answers for DPO: one prompt, the answer to prefer and the one to avoid."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ftctl.datasets.render import Message, Tokenizer, render
from ftctl.local_backend.data import Example, Loaded, load_rows


@dataclass(frozen=True, slots=True)
class Pair:
    """One prompt with each of its two answers; loss counts on the answers alone."""

    line: int
    chosen: Example
    rejected: Example

    @property
    def length(self) -> int:
        """Tokens in the longer sequence."""
        return max(self.chosen.length, self.rejected.length)

    @property
    def trained_tokens(self) -> int:
        """Tokens of both answers; 0 where one of them has none."""
        counts = [sequence.trained_tokens for sequence in self.sequences]
        return sum(counts) if all(counts) else 0

    @property
    def sequences(self) -> tuple[Example, ...]:
        """The prompt with the preferred answer, then with the other."""
        return (self.chosen, self.rejected)


def load_pairs(file: Path, tokenizer: Tokenizer, max_length: int) -> Loaded[Pair]:
    """Read and render OpenAI's preference rows; raises and leaves out as `load_rows`."""

    def make(number: int, row: Any) -> Pair:  # noqa: ANN401 - any JSON
        asked, tools = row["input"]["messages"], row["input"].get("tools")
        prompt = [_said_before(message) for message in asked]

        def answered(answer: list[Message]) -> Example:
            messages = [*prompt, *answer]
            return Example(number, render(tokenizer, messages, tools), messages, tools)

        return Pair(
            number, answered(row["preferred_output"]), answered(row["non_preferred_output"])
        )

    return load_rows(file, make, max_length, "a pair of answers")


def _said_before(message: Message) -> Message:
    """A message of the prompt; what the assistant said in it isn't compared, so not trained on."""
    return {**message, "weight": 0} if message["role"] == "assistant" else message
