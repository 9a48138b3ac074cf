"""Evaluation cases: a dialogue to hold with a system, and the system's answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from nextgpt.message import Medium, Message, Reply
from nextgpt.miniworld.language.types import Dialogue, DialogueTurn, TurnPart
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import MediaSpec


@dataclass(frozen=True)
class EvalCase:
    """A dialogue to hold with a system."""

    task: str
    """Task that the dialogue was sampled from."""
    dialogue: Dialogue
    seed: int
    """Seed of all replies."""
    all_turns: bool = False
    """True if the system answers every turn; False if it answers the last one after reference answers."""

    @property
    def history(self) -> tuple[DialogueTurn, ...]:
        """Return the turns with reference answers."""
        return () if self.all_turns else self.dialogue.turns[:-1]

    @property
    def evaluated_turns(self) -> tuple[DialogueTurn, ...]:
        """Return the turns that are answered and judged."""
        return self.dialogue.turns[len(self.history) :]


@dataclass(frozen=True)
class TurnResult:
    """A turn with its reference answer, and the reply of the system."""

    turn: DialogueTurn
    reply: Reply
    judged_specs: tuple[MediaSpec, ...] = ()
    """Spec that the judge recognized in each medium of the reply."""

    @property
    def media(self) -> tuple[Medium, ...]:
        """Return the media of the reply in order."""
        return self.reply.message.media


@dataclass(frozen=True)
class CaseResult:
    """A case and the results of its evaluated turns."""

    case: EvalCase
    turns: tuple[TurnResult, ...]

    @property
    def last(self) -> TurnResult:
        """Return the result of the last turn."""
        return self.turns[-1]


def render_message(role: str, parts: Sequence[TurnPart]) -> Message:
    """Return the message with all media rendered from their specs."""
    return Message.create(role, [part if isinstance(part, str) else render(part.spec) for part in parts])
