"""What is asked of a model, and what it made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nextgpt.message import Medium, Message, Reply
from nextgpt.miniworld.language.dialogue import Dialogue, Say, Turn
from nextgpt.miniworld.render import render
from nextgpt.miniworld.scene import Content


@dataclass(frozen=True)
class Case:
    """A dialogue to hold with a model."""

    source: str
    """Of which kind: the name of the source that drew it."""
    dialogue: Dialogue
    seed: int
    """Of all answers to it."""
    is_every_turn_asked: bool = False
    """Whether the model answers every turn, or the last one alone, after the true answers to the others."""

    @property
    def history(self) -> tuple[Turn, ...]:
        """The turns whose answers are given."""
        return () if self.is_every_turn_asked else self.dialogue.turns[:-1]

    @property
    def asked(self) -> tuple[Turn, ...]:
        """The turns that are answered and judged."""
        return self.dialogue.turns[len(self.history) :]


@dataclass(frozen=True)
class Answer:
    """A turn as it should have been answered, beside what was answered."""

    turn: Turn
    reply: Reply
    seen: tuple[Content, ...] = ()
    """What the judge saw and heard in each medium of the reply."""

    @property
    def media(self) -> tuple[Medium, ...]:
        """What was made, in speaking order."""
        return self.reply.message.media


@dataclass(frozen=True)
class Attempt:
    """A case and its answers, one for each turn that was asked."""

    case: Case
    answers: tuple[Answer, ...]

    @property
    def last(self) -> Answer:
        """The answer to the last turn: the only one, where not every turn was asked."""
        return self.answers[-1]


def message(role: str, says: Sequence[Say]) -> Message:
    """What is said, with true renderings of all media."""
    return Message.of(role, [say if isinstance(say, str) else render(say.content) for say in says])
