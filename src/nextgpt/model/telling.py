"""An answer told in speaking order: words at once, media as they are finished, later words after them."""

from __future__ import annotations

from collections.abc import Iterator

from nextgpt.message import Event, Medium, Part, Progress, Text, TextPiece
from nextgpt.model.llm.generation import Spoken
from nextgpt.model.llm.thought import TextSegment, Thought


class Teller:
    """Turns what comes to be known of one answer into its events.

    ::

        known   "Look:"  [medium wanted]  "Nice?"  thought  step 1 .. step n  medium
        told    "Look:"                                     step 1 .. step n  medium  "Nice?"
    """

    def __init__(self) -> None:
        self.thought = Thought((), ())
        self._made: dict[int, Medium] = {}
        self._is_waiting = False
        self._told = 0
        """Segments that were told."""

    def hear(self, spoken: Spoken) -> Iterator[Event]:
        """Take what the language model says."""
        if isinstance(spoken, Thought):
            self.thought = spoken
            self._told = int(bool(spoken.segments) and isinstance(spoken.segments[0], TextSegment))
        elif not isinstance(spoken, TextPiece):
            self._is_waiting = True
        elif not self._is_waiting:
            yield spoken

    def show(self, place: int, event: Progress | Medium) -> Iterator[Event]:
        """Take a step of the medium of segment ``place``, or the medium itself."""
        if isinstance(event, Progress):
            yield event
            return
        self._made[place] = event
        for part in self.parts[self._told :]:
            yield TextPiece(part.text) if isinstance(part, Text) else part
            self._told += 1

    @property
    def parts(self) -> tuple[Part, ...]:
        """The answer up to its first medium that is not finished."""
        parts: list[Part] = []
        for place, segment in enumerate(self.thought.segments):
            if isinstance(segment, TextSegment):
                parts.append(Text(segment.text))
            elif place in self._made:
                parts.append(self._made[place])
            else:
                break
        return tuple(parts)
