"""How far one form of a model is from another, measured on the prompts of a job's own data."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from ftctl.datasets.read import LineReader
from ftctl.datasets.render import Message, Tokenizer, prompt_text
from ftctl.errors import DataInvalid, JobFailed
from ftctl.local_backend.generate import generate

if TYPE_CHECKING:
    from torch import Tensor

Model = Any  # a PreTrainedModel or a PeftModel around one

# Mean KL divergence, in nats a token, up to which a form counts as the same model. Rounding to bf16
# costs some 0.001 (measured, docs/log.md); a base in four bits that is swapped costs 0.05 and more.
TOLERANCE = 0.02
_PROMPTS = 16
_PROMPT_TOKENS = 1024  # longer ones are passed over, as long as there are others
_ANSWER_TOKENS = 32


@dataclass(frozen=True, slots=True)
class Conversation:
    """Messages up to an answer, the tools that stand in their template, and what it renders."""

    messages: list[Message]
    tools: list[Any] | None
    text: str
    ids: list[int]


class Difference(BaseModel):
    """How far a model is from the one it was made of, on the same prompts and answers.

    Attributes:
        prompts: How many prompts were answered.
        tokens: Tokens of the answers that were compared, ends included.
        kl: Mean KL divergence from the first model, in nats a token.
        max_logit: Largest difference of two logits, once their mean is taken off.
        same_token: Share of the tokens of which both models think the same likeliest.
        same_answer: Share of the prompts that both answer alike, greedily.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompts: int
    tokens: int
    kl: float
    max_logit: float
    same_token: float
    same_answer: float

    def in_words(self) -> str:
        """As one line for people."""
        return (
            f"{self.kl:.2g} nats a token apart (KL) on {self.prompts} prompts, "
            f"{self.same_answer:.0%} of the answers and {self.same_token:.1%} of the tokens the "
            f"same, logits at most {self.max_logit:.2g} apart"
        )


@dataclass(frozen=True)
class Measured:
    """What a model answered, and how likely it found each token of its answers.

    Attributes:
        answers: Token ids of each answer.
        logits: Of each prompt, the logits at every token of its answer and at its end, [n, V].
    """

    answers: list[list[int]]
    logits: "list[Tensor]"


def prompts_of(file: Path, tokenizer: Tokenizer) -> list[Conversation]:
    """Up to 16 conversations of a dataset, evenly spaced, each up to its last answer.

    Raises:
        UsageError: the file can't be read.
        DataInvalid: there is no conversation in it that the chat template takes.
    """
    found = []
    with LineReader(file) as lines:
        for line in lines:
            try:
                asked = _asked(json.loads(line.data))
                text = prompt_text(tokenizer, asked[0], asked[1])
            except (ValueError, KeyError, TypeError, AttributeError, DataInvalid):
                continue
            found.append(
                Conversation(*asked, text, tokenizer(text, add_special_tokens=False)["input_ids"])
            )
    if not found:
        raise DataInvalid(
            f"{file}: no conversation in it to compare models with", hint=f"ftctl data check {file}"
        )
    short = [row for row in found if len(row.ids) <= _PROMPT_TOKENS]
    usable = short or sorted(found, key=lambda row: len(row.ids))[:1]
    step = max(1, len(usable) // _PROMPTS)
    return usable[::step][:_PROMPTS]


def _asked(row: Any) -> tuple[list[Message], list[Any] | None]:  # noqa: ANN401 - any JSON
    """Messages and tools of a chat example or a pair of answers, without the last answer."""
    if "input" in row:
        return row["input"]["messages"], row["input"].get("tools")
    messages = row["messages"]
    last = max(i for i, message in enumerate(messages) if message["role"] == "assistant")
    return messages[:last], row.get("tools")


def measure(
    model: Model,
    prompts: Sequence[Conversation],
    stop_ids: frozenset[int],
    of: "Measured | None" = None,
) -> Measured:
    """Answer prompts greedily; the logits are those at `of`'s answers where it is given."""
    import torch

    ids = [prompt.ids for prompt in prompts]
    answers = generate(model, ids, stop_ids=stop_ids, max_new_tokens=_ANSWER_TOKENS)
    logits = []
    device = model.get_input_embeddings().weight.device
    with torch.inference_mode():
        for prompt, answer in zip(ids, answers if of is None else of.answers, strict=True):
            sequence = torch.tensor([[*prompt, *answer]], device=device)  # [1, T]
            kept = model(input_ids=sequence, use_cache=False, logits_to_keep=len(answer) + 1)
            logits.append(kept.logits[0].float().cpu())
    return Measured(answers, logits)


def difference(first: Measured, second: Measured) -> Difference:
    """How far the second model is from the first, whose answers it was measured at.

    Raises:
        JobFailed: one of them says something that isn't a number.
    """
    import torch

    total, furthest, same, tokens = 0.0, 0.0, 0, 0
    for a, b in zip(first.logits, second.logits, strict=True):
        if not (torch.isfinite(a).all() and torch.isfinite(b).all()):
            raise JobFailed(
                "the model answers with something that isn't a number",
                hint="train again with a lower learning rate",
            )
        p, q = a.log_softmax(-1), b.log_softmax(-1)
        total += float((p.exp() * (p - q)).sum())
        centred = (a - a.mean(-1, keepdim=True)) - (b - b.mean(-1, keepdim=True))
        furthest = max(furthest, float(centred.abs().max()))
        same += int((a.argmax(-1) == b.argmax(-1)).sum())
        tokens += len(a)
    alike = sum(a == b for a, b in zip(first.answers, second.answers, strict=True))
    return Difference(
        prompts=len(first.answers),
        tokens=tokens,
        kl=max(0.0, total / tokens),
        max_logit=furthest,
        same_token=same / tokens,
        same_answer=alike / len(first.answers),
    )


def require_close(what: str, found: Difference, tolerance: float) -> None:
    """Refuse a form of the model that says something else.

    Raises:
        JobFailed: it is further away than the tolerance.
    """
    if found.kl > tolerance:
        raise JobFailed(
            f"{what} isn't the same model: {found.in_words()}; more than {tolerance:g} nats a "
            "token isn't kept",
            hint="--to peft gives the adapter as it was trained; --max-kl NATS allows more",
        )
