"""A chat template taken apart into what it puts around each message, and put together again.

Ollama's templates are Go's, so a tokenizer's Jinja template can't go there as it is. What it does
is learnt by rendering marks; the same conversation is then built from the parts, and where the
tokens aren't those of the Jinja template, the parts aren't used.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from ftctl.datasets.render import Message, Tokenizer, prompt_text, whole_text
from ftctl.errors import DataInvalid, Unsupported

_SYSTEM, _ASKED, _ANSWERED, _ASKED_AGAIN = "xSYSTEMx", "xFIRSTx", "xANSWERx", "xSECONDx"


@dataclass(frozen=True, slots=True)
class Turns:
    """What stands around the messages of a conversation.

    Attributes:
        start: Before the first message where there is no system message.
        user: Around a user's message.
        assistant: Around an answer.
        ask: What asks for the next answer.
        place: Where the system message stands: before all others, or inside the first or the last
            user's message; "nowhere" when the template knows none.
        system: Around the system message. Before all others it takes `start`'s place; inside a
            user's message, the place of what stands before that.
    """

    start: str
    user: tuple[str, str]
    assistant: tuple[str, str]
    ask: str
    place: Literal["own", "first", "last", "nowhere"]
    system: tuple[str, str]

    def render(self, messages: Sequence[Message]) -> str:
        """A conversation that asks for an answer."""
        said = [m["content"] for m in messages if m["role"] in ("system", "developer")]
        turns = [m for m in messages if m["role"] in ("user", "assistant")]
        asked = [i for i, m in enumerate(turns) if m["role"] == "user"]
        system = "\n\n".join(said) if self.place != "nowhere" else ""
        inside = {"first": asked[:1], "last": asked[-1:]}.get(self.place, []) if system else []
        wrapped = self.system[0] + system + self.system[1]
        text = wrapped if system and self.place == "own" else self.start
        for i, message in enumerate(turns):
            before, after = self.user if message["role"] == "user" else self.assistant
            text += (wrapped if i in inside else before) + message["content"] + after
        return text + self.ask

    def in_go(self) -> str:
        """The same as a template of Ollama's, without white space of its own."""

        def filled(around: tuple[str, str], what: str) -> str:
            return f"{around[0]}{{{{ {what} }}}}{around[1]}"

        system, before = filled(self.system, "$.System"), self.user[0]
        start = self.start
        if self.place == "own":
            start = f"{{{{ if .System }}}}{system}{{{{ else }}}}{start}{{{{ end }}}}"
        elif self.place == "first":
            start += "{{ $first := true }}"
            chosen = "{{ if and $.System $first }}{{ $first = false }}"
            before = f"{chosen}{system}{{{{ else }}}}{before}{{{{ end }}}}"
        elif self.place == "last":
            chosen = "{{ if and $.System (eq (len (slice $.Messages $i)) 1) }}"
            before = f"{chosen}{system}{{{{ else }}}}{before}{{{{ end }}}}"
        user = filled((before, self.user[1]), ".Content")
        answer = filled(self.assistant, ".Content")
        return (
            f"{start}{{{{ range $i, $_ := .Messages }}}}"
            f'{{{{ if eq .Role "user" }}}}{user}'
            f'{{{{ else if eq .Role "assistant" }}}}{answer}'
            f"{{{{ end }}}}{{{{ end }}}}{self.ask}"
        )

    def without(self, bos: str) -> "Turns":
        """The same where the beginning token comes from elsewhere."""
        own = (self.system[0].removeprefix(bos), self.system[1])
        return replace(
            self,
            start=self.start.removeprefix(bos),
            system=own if self.place == "own" else self.system,
        )


def find_turns(tokenizer: Tokenizer, examples: Sequence[Sequence[Message]]) -> Turns:
    """Take a chat template apart, and see that the parts make the same tokens.

    Args:
        tokenizer: With the chat template.
        examples: Conversations that must be the same, besides a few of our own.

    Raises:
        Unsupported: the template does something else than put texts around messages.
    """
    try:
        turns = _taken_apart(tokenizer)
    except (ValueError, DataInvalid) as error:
        raise _refused(f"it can't be taken apart ({error})") from None
    for messages in [*_conversations(turns), *examples]:
        own = tokenizer(turns.render(messages), add_special_tokens=False)["input_ids"]
        wanted = tokenizer(prompt_text(tokenizer, messages), add_special_tokens=False)["input_ids"]
        if own != wanted:
            said = ", ".join(str(message["role"]) for message in messages)
            raise _refused(
                f"a conversation of {said} has other tokens when put together from parts"
            )
    if any("{{" in part or '"""' in part for part in (turns.start, turns.ask, *turns.system)):
        raise _refused("it holds marks that mean something in a Modelfile")
    return turns


def _taken_apart(tokenizer: Tokenizer) -> Turns:
    """The parts; a ValueError where the marks aren't where they should be."""
    asked: Message = {"role": "user", "content": _ASKED}
    answered: Message = {"role": "assistant", "content": _ANSWERED}
    again: Message = {"role": "user", "content": _ASKED_AGAIN}
    head, to_answer, to_user, ending = _between(
        prompt_text(tokenizer, [asked, answered, again]), _ASKED, _ANSWERED, _ASKED_AGAIN
    )
    # Some templates ask for an answer whatever they are told: only what comes again counts.
    last_user = _between(whole_text(tokenizer, [asked]), _ASKED)[1]
    last_answer = _between(whole_text(tokenizer, [asked, answered]), _ASKED, _ANSWERED)[2]
    after_user = _shared(last_user, to_answer)
    after_answer = _shared(last_answer, to_user)
    user = (_less(to_user, before=after_answer), after_user)
    turns = Turns(
        start=_less(head, after=user[0]),
        user=user,
        assistant=(_less(to_answer, before=after_user), after_answer),
        ask=_less(ending, before=after_user),
        place="nowhere",
        system=("", ""),
    )
    try:
        text = prompt_text(
            tokenizer, [{"role": "system", "content": _SYSTEM}, asked, answered, again]
        )
    except DataInvalid:
        return turns
    if _SYSTEM not in text:
        return turns
    before, rest = text.split(_SYSTEM, 1)
    if _ASKED in before:
        lead = _between(before, _ASKED, _ANSWERED)[2]
        inside = (_less(lead, before=after_answer), _between(rest, _ASKED_AGAIN)[0])
        return replace(turns, place="last", system=inside)
    to_first = _between(rest, _ASKED)[0]
    if to_first.endswith(user[0]):
        return replace(turns, place="own", system=(before, _less(to_first, after=user[0])))
    return replace(turns, place="first", system=(_less(before, before=turns.start), to_first))


def _between(text: str, *marks: str) -> list[str]:
    """The texts before, between and after marks, each of which has to be there once."""
    parts = []
    for mark in marks:
        part, found, text = text.partition(mark)
        if not found or mark in text:
            raise ValueError("a message isn't there once, as it was given")
        parts.append(part)
    return [*parts, text]


def _shared(a: str, b: str) -> str:
    """What two texts both begin with."""
    end = next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), None)
    return min(a, b, key=len) if end is None else a[:end]


def _less(text: str, *, before: str = "", after: str = "") -> str:
    """A text without its beginning or its end, which have to be there."""
    if not (text.startswith(before) and text.endswith(after)):
        raise ValueError("what stands around a message depends on the others")
    return text[len(before) : len(text) - len(after)]


def _conversations(turns: Turns) -> list[list[Message]]:
    """Conversations of different lengths and signs, with a system message where one is known."""
    texts = ["Hi.", "Say “é”,\nthen 12 3!", "Yes:  {a: [1, 2]}", "Why?", "Because.", "是吗？"]
    rows: list[list[Message]] = [
        [{"role": "assistant" if i % 2 else "user", "content": t} for i, t in enumerate(texts[:n])]
        for n in (1, 3, 5)
    ]
    if turns.place != "nowhere":
        rows += [[{"role": "system", "content": "Be brief.\nBe kind."}, *row] for row in rows]
    return rows


def _refused(why: str) -> Unsupported:
    return Unsupported(
        f"the model's chat template can't be said in Ollama's words: {why}",
        hint="--to gguf keeps the template as it is: llama.cpp's llama-server --jinja runs it",
    )
