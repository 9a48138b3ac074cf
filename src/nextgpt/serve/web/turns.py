"""What a person does to a conversation, and the wishes for its next answer. Pure: knows no page and no engine."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from nextgpt.errors import ConversationError
from nextgpt.message import Conversation, Medium, Message, Part, Sampling, Text
from nextgpt.modality import MODALITIES
from nextgpt.serve.settings import ServerSettings
from nextgpt.serve.web.strings import Strings


@dataclass(frozen=True)
class Wishes:
    """The settings of the page, as they stand."""

    modalities: tuple[str, ...] = ()
    """Empty: the model decides."""
    seed: int = 0
    steps: int = 0
    """0: the model's own."""
    guidance: float = 0.0
    """0: the model's own."""
    length: int = 256


def sampling(wishes: Wishes, limits: ServerSettings) -> Sampling:
    """The wishes within what the server allows; whatever a browser sends comes out in range."""
    known = ("text", *MODALITIES)
    return Sampling(
        seed=max(0, min(wishes.seed, 2**31 - 1)),
        max_tokens=max(1, min(wishes.length, limits.tokens)),
        modalities=tuple(name for name in known if name in wishes.modalities) or None,
        steps=min(wishes.steps, limits.steps) if wishes.steps > 0 else None,
        guidance=max(1.0, min(wishes.guidance, limits.guidance)) if wishes.guidance > 0 else None,
    )


def said(conversation: Conversation, text: str, media: Sequence[Medium], strings: Strings) -> Conversation:
    """The conversation with a person's message: media first, then words. Raises :class:`ConversationError`."""
    parts: list[Part] = [*media, *([Text(text)] if text.strip() else [])]
    if not parts:
        raise ConversationError(strings.nothing_said)
    return replace(conversation, messages=(*conversation.messages, Message("user", tuple(parts))))


def unanswered(conversation: Conversation) -> Conversation:
    """The conversation up to the last thing that a person said, to be answered anew."""
    places = [place for place, message in enumerate(conversation) if message.role == "user"]
    return replace(conversation, messages=conversation.messages[: places[-1] + 1] if places else ())


def edited(conversation: Conversation, turn: int, text: str, strings: Strings) -> Conversation:
    """The conversation up to ``turn``, whose words are now others; its media stay, what followed is gone.

    Raises:
        ConversationError: ``turn`` is none of the person's own, or nothing is left of it.
    """
    messages = conversation.messages
    if not 0 <= turn < len(messages) or messages[turn].role != "user":
        raise ConversationError(
            "A message was edited that is no user's; expected one of your own. Choose another."
        )
    return said(replace(conversation, messages=messages[:turn]), text, messages[turn].media, strings)
