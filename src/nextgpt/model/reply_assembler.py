"""Assemble one reply in output order: text at once, each medium when it is finished, later text after it."""

from __future__ import annotations

from collections.abc import Iterator

from nextgpt.message import Attribution, DenoisingProgress, Event, Medium, MediumFinished, Part, Text, TextDelta
from nextgpt.model.llm.generation import LLMEvent
from nextgpt.model.llm.output import LLMOutput, MediumSegment, TextSegment


class ReplyAssembler:
    """Convert LLM and synthesis events of one reply into user-facing events, in output order.

    ::

        input    "Look:"  [image wanted]  "Nice?"  LLMOutput  step 1 .. step n  image
        output   "Look:"                                      step 1 .. step n  image  "Nice?"
    """

    def __init__(self) -> None:
        self.llm_output = LLMOutput((), ())
        self._media: dict[int, Medium] = {}
        self.attributions: dict[int, Attribution] = {}
        """Origins of the retrieved media, by the index of their segment, which is that of their part."""
        self._is_blocked = False
        """A medium came before the current text, so the text has to wait for it."""
        self._num_emitted = 0
        """Number of leading segments that were emitted."""

    def on_llm_event(self, event: LLMEvent) -> Iterator[Event]:
        """Process one event of the LLM."""
        if isinstance(event, LLMOutput):
            self.llm_output = event
            self._num_emitted = int(bool(event.segments) and isinstance(event.segments[0], TextSegment))
        elif not isinstance(event, TextDelta):
            self._is_blocked = True
        elif not self._is_blocked:
            yield event

    def on_synthesis_event(
        self, index: int, event: DenoisingProgress | Medium, attribution: Attribution | None = None
    ) -> Iterator[Event]:
        """Process one denoising step of segment ``index``, or its finished medium, retrieved if it is attributed."""
        if isinstance(event, DenoisingProgress):
            yield event
            return
        self._media[index] = event
        if attribution is not None:
            self.attributions[index] = attribution
        for part in self.parts[self._num_emitted :]:
            is_text = isinstance(part, Text)
            yield TextDelta(part.text) if is_text else MediumFinished(part, self.attributions.get(self._num_emitted))
            self._num_emitted += 1

    @property
    def parts(self) -> tuple[Part, ...]:
        """Parts of the reply up to its first unfinished medium."""
        parts: list[Part] = []
        for index, segment in enumerate(self.llm_output.segments):
            if isinstance(segment, TextSegment):
                parts.append(Text(segment.text))
            elif index in self._media:
                parts.append(self._media[index])
            else:
                break
        return tuple(parts)

    @property
    def edited_media_digests(self) -> list[bytes]:
        """Digests of the finished media that are edits of earlier media."""
        return [
            self._media[index].digest
            for index, segment in enumerate(self.llm_output.segments)
            if index in self._media and isinstance(segment, MediumSegment) and segment.is_edit
        ]
