"""Valid examples of every kind, for tests of conversion: what Hypothesis draws from."""

import json
from dataclasses import fields, replace

from hypothesis import strategies as st

from ftctl.datasets.convert import openai_dpo
from ftctl.datasets.convert.chat import made_up_id
from ftctl.datasets.convert.example import (
    Call,
    Content,
    Conversation,
    Example,
    ImagePart,
    Message,
    PlainText,
    Preference,
    PromptCompletion,
    Segment,
    Segments,
    Span,
    Stepwise,
    Task,
    TextPart,
    Tool,
    Unpaired,
)
from ftctl.datasets.convert.says import ANY_ADDRESS, Says

EVERYTHING = replace(Says(**{f.name: True for f in fields(Says)}), images=ANY_ADDRESS)  # type: ignore[arg-type]
PAIRED = openai_dpo.SAYS  # what the narrowest of them can say of a pair's prompt

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
    text = TextPart(draw(texts))
    choices: list[Content] = [text.text]
    if says.parts:
        choices.append((text,))
    for address in says.images:
        image = ImagePart(
            f"{address or 'https://'}e.example/a.png",
            draw(st.sampled_from([None, "low"] if says.details else [None])),
        )
        choices.append((text, image))
    return draw(st.sampled_from(choices))


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
    text = None if refusal else draw(texts)
    spans = (Span(0, len(text) - 1, draw(st.booleans())),) if text else ()
    return Message(
        "assistant",
        text,
        name=_maybe(draw, says.names, _words),  # type: ignore[arg-type]
        weight=_maybe(draw, says.weights, st.sampled_from([0, 1])),  # type: ignore[arg-type]
        refusal=refusal,  # type: ignore[arg-type]
        reasoning=_maybe(draw, says.reasoning, texts),  # type: ignore[arg-type]
        spans=spans if says.spans and draw(st.booleans()) else (),
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
        prompt = draw(conversations(says.both(PAIRED), answered=False))
    return Preference(prompt, (chosen,), (rejected,), plain)


@st.composite
def unpaired(draw: st.DrawFn, says: Says, *, plain: bool = False) -> Unpaired:
    """A prompt and an answer that is good or isn't."""
    pair = draw(preferences(says, plain=plain))
    return Unpaired(pair.prompt, pair.chosen, draw(st.booleans()), plain)


@st.composite
def tasks(draw: st.DrawFn, says: Says, *, plain: bool = False) -> Task:
    """A prompt and what its answer is graded by."""
    fields = draw(st.dictionaries(st.sampled_from(["answer", "level"]), texts, min_size=1))
    return Task(draw(preferences(says, plain=plain)).prompt, dict(fields), plain)


@st.composite
def stepwise(draw: st.DrawFn) -> Stepwise:
    """A question, and steps that are right or not."""
    steps = draw(st.lists(st.tuples(texts, st.booleans()), min_size=1, max_size=3))
    return Stepwise(draw(texts), tuple(step for step, _ in steps), tuple(ok for _, ok in steps))


_segments = st.lists(st.builds(Segment, texts, st.booleans()), min_size=3, max_size=4)


def examples(kind: type[Example], says: Says) -> st.SearchStrategy[Example]:
    """Examples of a kind, of what a format can say."""
    made: dict[type[Example], st.SearchStrategy[Example]] = {
        Conversation: conversations(says),
        Preference: preferences(says),
        Unpaired: unpaired(says),
        Task: tasks(says),
        PromptCompletion: st.builds(PromptCompletion, texts, texts),
        PlainText: st.builds(PlainText, texts),
        Segments: _segments.map(lambda pieces: Segments(tuple(pieces))),
        Stepwise: stepwise(),
    }
    return made[kind]


KINDS: tuple[type[Example], ...] = (
    Conversation,
    Preference,
    Unpaired,
    Task,
    PromptCompletion,
    PlainText,
    Segments,
    Stepwise,
)
