"""An answer while it is being made: a fold of the engine's events. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nextgpt.message import Message, Part, Progress, Text, TextPiece
from nextgpt.serve.engine.base import Answered, EngineEvent


@dataclass(frozen=True)
class Making:
    """A medium that is being made."""

    progress: Progress
    begun_s: float
    """When its first step was told, on a clock of any origin."""
    first_step: int

    def left_s(self, now_s: float) -> float | None:
        """Seconds that it will still take, if all steps take the same; ``None`` where one cannot say yet."""
        if self.progress.step <= self.first_step:
            return None
        pace_s = (now_s - self.begun_s) / (self.progress.step - self.first_step)
        return pace_s * (self.progress.total - self.progress.step)


@dataclass(frozen=True)
class Live:
    """What is known of an answer so far."""

    parts: tuple[Part, ...] = ()
    making: tuple[Making, ...] = ()
    """At most one a modality, in the order in which they were begun."""
    dropped: tuple[str, ...] = ()
    is_stopped: bool = False
    answered: Answered | None = None
    """What the whole answer took, once it is whole."""

    @property
    def message(self) -> Message | None:
        """The answer as a message; ``None`` while nothing was said."""
        return Message("assistant", self.parts) if self.parts else None

    def hear(self, event: EngineEvent, now_s: float) -> Live:
        """The answer after one more event."""
        if isinstance(event, Answered):
            return Live(event.reply.parts, dropped=event.reply.dropped, answered=event)
        if isinstance(event, TextPiece):
            return replace(self, parts=_with_words(self.parts, event.text))
        if isinstance(event, Progress):
            return replace(self, making=_with_step(self.making, event, now_s))
        others = tuple(made for made in self.making if made.progress.modality != event.modality)
        return replace(self, parts=(*self.parts, event), making=others)


def _with_words(parts: tuple[Part, ...], words: str) -> tuple[Part, ...]:
    if parts and isinstance(parts[-1], Text):
        return (*parts[:-1], Text(parts[-1].text + words))
    return (*parts, Text(words))


def _with_step(making: tuple[Making, ...], step: Progress, now_s: float) -> tuple[Making, ...]:
    known = {made.progress.modality: made for made in making}
    before = known.get(step.modality)
    if before is not None and before.progress.step < step.step:
        known[step.modality] = replace(before, progress=step)
    else:
        known[step.modality] = Making(step, begun_s=now_s, first_step=step.step)
    return tuple(known.values())
