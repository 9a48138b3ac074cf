"""Behind an answer: how it was asked for, what it took, and how the model said it. Pure."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any

from nextgpt.message import Message, Part, Sampling, Text
from nextgpt.modality import EDIT_TOKEN, MODALITIES
from nextgpt.serve.engine.base import Answered


@dataclass(frozen=True)
class Details:
    """What is known of how an answer was made."""

    sampling: Sampling
    answered: Answered | None
    """What it took; ``None``: it was broken off."""


def details_view(details: Details, message: Message) -> dict[str, Any]:
    """As plain data; what was not counted, or not measured, is left out or empty."""
    answered = details.answered
    told: dict[str, Any] = {"seed": details.sampling.seed}
    if answered is None:
        return told | {"ended": "broken", "said": said(message.parts), "seconds": {}}
    return told | {
        "ended": answered.finish_reason,
        "said": said(message.parts, answered.edits),
        "seconds": {stage: round(seconds, 4) for stage, seconds in answered.reply.timings_s.items()},
        "dropped": list(answered.reply.dropped),
        "prompt_tokens": answered.prompt_tokens or None,
        "answer_tokens": answered.completion_tokens or None,
    }


def said(parts: Iterable[Part], edits: Collection[bytes] = ()) -> list[dict[str, str]]:
    """An answer as the model said it: signal tokens where media came to stand, told apart from words that look alike.

    ::

        "A cat: " <picture>    ->    text "A cat: "    image "[IMG0][IMG1][IMG2][IMG3]"

    ``edits`` are digests of the media that were made by editing, before whose run another token stands.
    """
    return [
        {
            "kind": part.modality,
            "text": part.text if isinstance(part, Text) else _run(part, part.digest in edits),
        }
        for part in parts
    ]


def _run(medium: Part, is_edit: bool) -> str:
    return (EDIT_TOKEN if is_edit else "") + "".join(MODALITIES[medium.modality].signal_tokens)
