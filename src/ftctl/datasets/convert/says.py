"""What each format can say of a conversation: one table for its writer, its tests and its page."""

from dataclasses import dataclass, fields, replace
from typing import Self

ANY_ADDRESS = ("",)  # every address begins with it


@dataclass(frozen=True, slots=True)
class Says:
    """What a format can say beyond turns of text, one after the other.

    Attributes:
        weights: Whether a message is learnt.
        spans: Which stretches of a message are learnt.
        names: Speakers' names.
        tool_names: A tool's name beside its answer.
        developer: The role developer.
        systems: System messages in any number and place.
        refusals: That an answer is a refusal.
        reasoning: What was thought before an answer.
        parts: Content as a list of parts where text would do.
        tool_parts: The same of a tool's answer.
        images: What the addresses of images may begin with.
        details: How closely an image is looked at.
        tools: Tools, calls and their answers.
        several_calls: Calls made at once.
        own_ids: Ids of calls.
        text_beside_calls: What is said along with a call.
        parallel: Whether calls may be made at once.
        strict: Whether a tool's schema is strict.
        open_end: Messages after the last answer.
        same_speaker: Two messages in a row by one speaker.
    """

    weights: bool = False
    spans: bool = False
    names: bool = False
    tool_names: bool = False
    developer: bool = False
    systems: bool = False
    refusals: bool = False
    reasoning: bool = False
    parts: bool = False
    tool_parts: bool = False
    images: tuple[str, ...] = ()
    details: bool = False
    tools: bool = False
    several_calls: bool = False
    own_ids: bool = False
    text_beside_calls: bool = False
    parallel: bool = False
    strict: bool = False
    open_end: bool = False
    same_speaker: bool = False

    @property
    def of_prompts(self) -> Self:
        """The same of messages that wait for their answer."""
        return replace(self, open_end=True)

    def both(self, other: Self) -> Self:
        """What two formats can say."""
        shared = {
            field.name: getattr(self, field.name) and getattr(other, field.name)
            for field in fields(self)
        }
        shared["images"] = tuple(
            max(one, two, key=len)
            for one in self.images
            for two in other.images
            if one.startswith(two) or two.startswith(one)
        )
        return type(self)(**shared)
