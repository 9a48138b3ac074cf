"""Workload of both systems: a conversation about an image, and a request for each modality."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from nextgpt.message import Conversation, Image, Message, MessageContent, Reply
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import BACKGROUNDS, ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec

QUESTION = "What is this?"
REQUESTS = ("Draw a red cat on grass.", "Play a flute.", "Make a video of a dog moving left.", "Tell me about owls.")
"""User messages after the question about the image."""
SPECS: dict[str, MediaSpec] = {
    "image": SceneSpec((ObjectSpec("cat", "red"),), "grass"),
    "audio": SoundSpec("flute"),
    "video": ClipSpec("dog", motion="left"),
}
"""Input and target medium of each modality."""
MAX_TOKENS = 100
"""Maximum tokens per reply."""


@dataclass(frozen=True)
class Turn:
    """A recorded turn."""

    conversation: Conversation
    """Conversation up to and including the user message."""
    reply: Reply
    tokens: int
    """Text and signal tokens of the reply."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Return the media of the reply."""
        return tuple(medium.modality for medium in self.reply.message.media)


def unseen_images() -> Iterator[Image]:
    """Yield images that are all different."""
    for background in BACKGROUNDS:
        for name in OBJECTS:
            image = render(SceneSpec((ObjectSpec(name),), background))
            assert isinstance(image, Image)
            yield image


def user_messages(image: Image) -> list[MessageContent]:
    """Return the user messages of a conversation of five turns."""
    return [[image, QUESTION], *REQUESTS]


def question_about(modality: str) -> Conversation:
    """Return a question about a medium."""
    return Conversation().with_message([render(SPECS[modality]), QUESTION])


def batch_of_8(images: Iterator[Image]) -> list[Conversation]:
    """Return eight conversations of one turn, two of each kind."""
    messages: list[MessageContent] = [*REQUESTS[:3], *REQUESTS[:3]]
    return [
        Conversation().with_message(message)
        for message in [*messages, [next(images), QUESTION], [next(images), QUESTION]]
    ]


def with_image(conversation: Conversation, image: Image) -> Conversation:
    """Replace the image in the first message, so that nothing about it is cached."""
    first, *others = conversation.messages
    parts = tuple(image if isinstance(part, Image) else part for part in first.parts)
    return replace(conversation, messages=(Message(first.role, parts), *others))
