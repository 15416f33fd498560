"""Valid examples of every kind, for tests of conversion: what Hypothesis draws from."""

import json
from dataclasses import dataclass

from hypothesis import strategies as st

from ftctl.datasets.convert.chat import made_up_id
from ftctl.datasets.convert.example import (
    Call,
    Content,
    Conversation,
    ImagePart,
    Message,
    PlainText,
    Preference,
    PromptCompletion,
    Task,
    TextPart,
    Tool,
    Unpaired,
)


@dataclass(frozen=True)
class Says:
    """What a format can say beyond turns of text."""

    names: bool = False
    weights: bool = False
    developer: bool = False
    parts: bool = False
    images: bool = False
    tools: bool = False
    own_ids: bool = False
    several_calls: bool = False
    text_beside_calls: bool = False
    parallel: bool = False
    strict: bool = False
    refusals: bool = False
    reasoning: bool = False


EVERYTHING = Says(*([True] * 13))

texts = (
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1, max_size=12)
    .map(str.strip)
    .filter(lambda text: bool(text) and "<" not in text)
)
_words = st.text("abcdefgh_", min_size=1, max_size=8)
_arguments = st.dictionaries(
    _words, texts | st.integers(-9, 9) | st.booleans() | st.lists(texts, max_size=2), max_size=2
)
_ids = st.text("abcXYZ019", min_size=9, max_size=9)
_SCHEMA = {"type": "object", "properties": {"a": {"type": "string"}}}


def _maybe(draw: st.DrawFn, allowed: bool, strategy: st.SearchStrategy[object]) -> object:
    return draw(strategy) if allowed and draw(st.booleans()) else None


@st.composite
def _content(draw: st.DrawFn, says: Says) -> Content:
    if not says.parts or draw(st.booleans()):
        return draw(texts)
    parts: list[TextPart | ImagePart] = [TextPart(draw(texts))]
    if says.images and draw(st.booleans()):
        parts.append(ImagePart("https://e.example/a.png", draw(st.sampled_from([None, "low"]))))
    return tuple(parts)


class _Ids:
    """Ids of calls: nine letters and digits, numbered where the format knows none."""

    def __init__(self, draw: st.DrawFn, says: Says) -> None:
        self._draw, self._says = draw, says
        self._given: list[str] = []

    def __call__(self) -> str:
        name = made_up_id(len(self._given) + 1)
        if self._says.own_ids:
            name = self._draw(_ids.filter(lambda one: one not in self._given))
        self._given.append(name)
        return name


@st.composite
def conversations(draw: st.DrawFn, says: Says, *, answered: bool = True) -> Conversation:
    """A conversation that every provider's rules take; without a last answer if asked so."""
    messages: list[Message] = []
    if draw(st.booleans()):
        developer = says.developer and draw(st.booleans())
        messages.append(Message("developer" if developer else "system", draw(texts)))
    ids = _Ids(draw, says)
    tools: list[Tool] = [
        Tool(name, "what it does", dict(_SCHEMA), _maybe(draw, says.strict, st.booleans()))  # type: ignore[arg-type]
        for name in draw(st.lists(_words, unique=True, max_size=2 if says.tools else 0))
    ]
    turns = draw(st.integers(1, 3))
    for turn in range(turns):
        name = _maybe(draw, says.names, _words)
        messages.append(Message("user", draw(_content(says)), name=name))  # type: ignore[arg-type]
        if not answered and turn == turns - 1:
            break
        if len(tools) > 0 and draw(st.booleans()):
            messages += draw(_called(says, tools, ids))
        messages.append(draw(_answers(says)))
    parallel = True if says.parallel and draw(st.booleans()) else None
    said = bool(tools) or (says.tools and draw(st.booleans()))
    return Conversation(tuple(messages), tuple(tools) if said else None, parallel)


@st.composite
def _answers(draw: st.DrawFn, says: Says) -> Message:
    refusal = _maybe(draw, says.refusals, texts)
    return Message(
        "assistant",
        None if refusal else draw(texts),
        name=_maybe(draw, says.names, _words),  # type: ignore[arg-type]
        weight=_maybe(draw, says.weights, st.sampled_from([0, 1])),  # type: ignore[arg-type]
        refusal=refusal,  # type: ignore[arg-type]
        reasoning=_maybe(draw, says.reasoning, texts),  # type: ignore[arg-type]
    )


@st.composite
def _called(draw: st.DrawFn, says: Says, tools: list[Tool], ids: _Ids) -> list[Message]:
    calls = tuple(
        Call(ids(), draw(st.sampled_from(tools)).name, json.dumps(given, ensure_ascii=False))
        for given in draw(st.lists(_arguments, min_size=1, max_size=2 if says.several_calls else 1))
    )
    said = _maybe(draw, says.text_beside_calls, texts)
    answers = [Message("tool", draw(texts), call_id=call.id) for call in calls]
    return [Message("assistant", said, calls=calls), *answers]  # type: ignore[arg-type]


@st.composite
def preferences(draw: st.DrawFn, says: Says, *, plain: bool = False) -> Preference:
    """A prompt and two answers of one message each."""
    chosen, rejected = (Message("assistant", draw(texts)) for _ in range(2))
    if plain:
        prompt = Conversation((Message("user", draw(texts)),))
    else:
        prompt = draw(conversations(says, answered=False))
    return Preference(prompt, (chosen,), (rejected,), plain)


@st.composite
def unpaired(draw: st.DrawFn, says: Says, *, plain: bool = False) -> Unpaired:
    """A prompt and an answer that is good or isn't."""
    pair = draw(preferences(says, plain=plain))
    return Unpaired(pair.prompt, pair.chosen, draw(st.booleans()), plain)


@st.composite
def tasks(draw: st.DrawFn, says: Says) -> Task:
    """A prompt and what its answer is graded by."""
    fields = draw(st.dictionaries(st.sampled_from(["answer", "level"]), texts, min_size=1))
    return Task(draw(conversations(says, answered=False)), dict(fields))


pairs = st.builds(PromptCompletion, texts, texts)
plain_texts = st.builds(PlainText, texts)
