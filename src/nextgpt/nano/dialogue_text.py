"""Dialogues of the small world as text: media are captions between markers.

::

    <|user|>What is this?<|image|>large red cat top left, grass background<|close|><|end|>
    <|assistant|>This is a red cat.<|end|><|user|>Draw it on the sea.<|end|>
    <|assistant|>Here it is.<|image|>large red cat top left, sea background<|close|><|end|>

nano's language model is pretrained on this text. The evaluation's cascade passes such captions to the synthesizers.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from nextgpt.miniworld.language import Dialogue, MediaPart, canonical_caption
from nextgpt.modality import MODALITIES
from nextgpt.prompt_template import TEMPLATES

ROLES = ("<|system|>", "<|user|>", "<|assistant|>")
CLOSE, EDIT = "<|close|>", "<|edit|>"
MARKERS = (*ROLES, *(f"<|{modality}|>" for modality in MODALITIES), CLOSE, EDIT)


@dataclass(frozen=True)
class TextSpan:
    """Text of one role."""

    text: str
    is_reply: bool
    """True if the assistant wrote it."""


def dialogue_to_text(dialogue: Dialogue) -> Iterator[TextSpan]:
    """Yield a dialogue as text in nano's template."""
    template = TEMPLATES["nano"]
    for turn in dialogue.turns:
        request = "".join(part_to_text(part) for part in turn.user)
        reply = "".join(part_to_text(part) for part in turn.assistant)
        prefix, suffix = template.user_prefix, template.user_suffix + template.assistant_prefix
        yield TextSpan(prefix + request + suffix, is_reply=False)
        yield TextSpan(reply + template.end_of_turn, is_reply=True)


def part_to_text(part: str | MediaPart) -> str:
    """Return text as it is, and a medium as its caption between markers."""
    if isinstance(part, str):
        return part
    edit = EDIT if part.is_edit else ""
    return f"{edit}<|{part.modality}|>{canonical_caption(part.spec)}{CLOSE}"
