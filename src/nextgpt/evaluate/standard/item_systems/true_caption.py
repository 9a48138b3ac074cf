"""Upper bound of the text way: media from true captions."""

from __future__ import annotations

from collections.abc import Sequence

from nextgpt.errors import ConversationError
from nextgpt.evaluate.caption_llm import CaptionMessage, CaptionPart
from nextgpt.evaluate.standard.cascade_model import Cascade
from nextgpt.evaluate.standard.item_systems.base import item_samplings
from nextgpt.evaluate.standard.items import EvalItem, MessageEntry, TextEntry
from nextgpt.message import Reply


class TrueCaptionSystem:
    """Upper bound of the text way: true captions in place of what the cascade recognizes and writes.

    An item with a target caption gets the medium that the synthesizer makes of it. Otherwise the LLM answers with the
    true caption of the source medium in its prompt.
    """

    def __init__(self, cascade: Cascade, num_inference_steps: int | None = None) -> None:
        self._cascade = cascade
        self._num_inference_steps = num_inference_steps

    def answer(self, items: Sequence[EvalItem], seeds: Sequence[int]) -> list[Reply]:
        """See :meth:`.base.ItemSystem.answer`."""
        replies: dict[str, Reply] = {}
        captioned = [pair for pair in zip(items, seeds, strict=True) if pair[0].target_caption]
        answers = [
            ["", item.expected_modalities[0], item.canonical_caption or item.target_caption, ""]
            for item, _ in captioned
        ]
        outputs = self._cascade.synthesizer.to_replies(answers, [seed for _, seed in captioned])
        replies |= {item.id: reply for (item, _), reply in zip(captioned, outputs, strict=True)}
        uncaptioned = [pair for pair in zip(items, seeds, strict=True) if not pair[0].target_caption]
        requests = [[_captioned(message, item) for message in item.request] for item, _ in uncaptioned]
        if requests:
            samplings = item_samplings([seed for _, seed in uncaptioned], self._num_inference_steps)
            written = self._cascade.answer_captioned(requests, samplings)
            replies |= {item.id: reply for (item, _), reply in zip(uncaptioned, written, strict=True)}
        return [replies[item.id] for item in items]


def _captioned(message: MessageEntry, item: EvalItem) -> CaptionMessage:
    """Return the message with the true caption of the source medium. Raises :class:`ConversationError`."""
    parts: list[str | CaptionPart] = []
    for part in message.parts:
        if isinstance(part, TextEntry):
            parts.append(part.text)
        elif part == item.source_medium and item.source_caption:
            parts.append(CaptionPart(part.type, item.source_caption))
        else:
            raise ConversationError("no true caption in the data")
    return CaptionMessage(message.role, tuple(parts))
