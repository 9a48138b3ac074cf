"""What is asked of both: a conversation with a picture in it, and a request for each modality."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nextgpt.message import Conversation, Image, Message, MessageContent, Reply
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import BACKGROUNDS, ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec

QUESTION = "What is this?"
REQUESTS = (
    "Draw a red cat on grass.",
    "Play a flute.",
    "Make a video of a dog moving left.",
    "Tell me about owls.",
)
"""What is said after the question about the picture."""
SPECS: dict[str, MediaSpec] = {
    "image": SceneSpec((ObjectSpec("cat", "red"),), "grass"),
    "audio": SoundSpec("flute"),
    "video": ClipSpec("dog", motion="left"),
}
"""What is heard and made of each modality."""
MAX_TOKENS = 100
"""Of one answer, for models that find no end."""


@dataclass(frozen=True)
class Turn:
    """One turn as it was held."""

    before: Conversation
    """All that was said, the user's message included."""
    reply: Reply
    tokens: int
    """Of the reply: its words, and all its signal tokens."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """The media of the reply."""
        return tuple(medium.modality for medium in self.reply.message.media)


def unseen_images() -> Iterator[Image]:
    """A picture that was not seen before, each time."""
    for background in BACKGROUNDS:
        for name in OBJECTS:
            picture = render(SceneSpec((ObjectSpec(name),), background))
            assert isinstance(picture, Image)
            yield picture


def user_messages(picture: Image) -> list[MessageContent]:
    """What a person says in a conversation of five turns."""
    return [[picture, QUESTION], *REQUESTS]


def question_about(modality: str) -> Conversation:
    """A question about a medium."""
    return Conversation().with_message([render(SPECS[modality]), QUESTION])


def batch_of_8(fresh: Iterator[Image]) -> list[Conversation]:
    """Eight conversations of one turn, two of each kind."""
    asked: list[MessageContent] = [*REQUESTS[:3], *REQUESTS[:3]]
    return [
        Conversation().with_message(one) for one in [*asked, [next(fresh), QUESTION], [next(fresh), QUESTION]]
    ]


def with_image(conversation: Conversation, picture: Image) -> Conversation:
    """``conversation`` with another picture in its first message, so that nothing about it is known yet."""
    first, *others = conversation.messages
    parts = tuple(picture if isinstance(part, Image) else part for part in first.parts)
    return replace(conversation, messages=(Message(first.role, parts), *others))
