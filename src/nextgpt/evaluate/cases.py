"""What is asked of a model, and what it made of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nextgpt.message import Medium, Message, Reply
from nextgpt.miniworld.language.types import Dialogue, DialogueTurn, TurnPart
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import MediaSpec


@dataclass(frozen=True)
class EvalCase:
    """A dialogue to hold with a model."""

    task: str
    """Of which kind: the name of the source that drew it."""
    dialogue: Dialogue
    seed: int
    """Of all answers to it."""
    all_turns: bool = False
    """Whether the model answers every turn, or the last one alone, after the true answers to the others."""

    @property
    def history(self) -> tuple[DialogueTurn, ...]:
        """The turns whose answers are given."""
        return () if self.all_turns else self.dialogue.turns[:-1]

    @property
    def evaluated_turns(self) -> tuple[DialogueTurn, ...]:
        """The turns that are answered and judged."""
        return self.dialogue.turns[len(self.history) :]


@dataclass(frozen=True)
class TurnResult:
    """A turn as it should have been answered, beside what was answered."""

    turn: DialogueTurn
    reply: Reply
    judged_specs: tuple[MediaSpec, ...] = ()
    """What the judge saw and heard in each medium of the reply."""

    @property
    def media(self) -> tuple[Medium, ...]:
        """What was made, in speaking order."""
        return self.reply.message.media


@dataclass(frozen=True)
class CaseResult:
    """A case and its answers, one for each turn that was asked."""

    case: EvalCase
    answers: tuple[TurnResult, ...]

    @property
    def last(self) -> TurnResult:
        """The answer to the last turn: the only one, where not every turn was asked."""
        return self.answers[-1]


def render_message(role: str, says: Sequence[TurnPart]) -> Message:
    """What is said, with true renderings of all media."""
    return Message.create(role, [say if isinstance(say, str) else render(say.spec) for say in says])
