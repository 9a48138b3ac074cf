"""An answer while it is being made: a fold of the engine's events. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace

from nextgpt.message import Message, Part, Progress, Text, TextPiece
from nextgpt.serve.engine.base import Answered, EngineEvent


@dataclass(frozen=True)
class Live:
    """What is known of an answer so far."""

    parts: tuple[Part, ...] = ()
    progress: Progress | None = None
    """The step of the medium that is being made."""
    begun_s: float = 0.0
    """When that medium's first step was told, on a clock of any origin."""
    first_step: int = 0
    dropped: tuple[str, ...] = ()

    @property
    def message(self) -> Message | None:
        """The answer as a message; ``None`` while nothing was said."""
        return Message("assistant", self.parts) if self.parts else None

    def hear(self, event: EngineEvent, now_s: float) -> Live:
        """The answer after one more event."""
        if isinstance(event, Answered):
            return replace(self, parts=event.reply.parts, progress=None, dropped=event.reply.dropped)
        if isinstance(event, TextPiece):
            return replace(self, parts=_with_words(self.parts, event.text))
        if isinstance(event, Progress):
            return self._step(event, now_s)
        return replace(self, parts=(*self.parts, event), progress=None)

    def left_s(self, now_s: float) -> float | None:
        """Seconds that the medium will still take, if all steps take the same; ``None`` where one cannot say yet."""
        if self.progress is None or self.progress.step <= self.first_step:
            return None
        pace_s = (now_s - self.begun_s) / (self.progress.step - self.first_step)
        return pace_s * (self.progress.total - self.progress.step)

    def _step(self, step: Progress, now_s: float) -> Live:
        known = self.progress
        if known is not None and known.modality == step.modality and known.step < step.step:
            return replace(self, progress=step)
        return replace(self, progress=step, begun_s=now_s, first_step=step.step)


def _with_words(parts: tuple[Part, ...], words: str) -> tuple[Part, ...]:
    if parts and isinstance(parts[-1], Text):
        return (*parts[:-1], Text(parts[-1].text + words))
    return (*parts, Text(words))
