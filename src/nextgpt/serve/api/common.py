"""The medium that an answer was asked for."""

from __future__ import annotations

from nextgpt.message import Medium
from nextgpt.serve.engine.base import RequestOutput
from nextgpt.serve.errors import ApiError


def require_medium(answered: RequestOutput, modality: str) -> Medium:
    """The first medium of a modality in an answer. Raises :class:`ApiError` where the model made none."""
    made = next((part for part in answered.reply.parts if part.modality == modality), None)
    if made is None:
        dropped = "; ".join(answered.reply.dropped) or "it said something else"
        raise ApiError(502, f"The model made no {modality} ({dropped}); expected one. Ask in other words.")
    assert not hasattr(made, "text"), "words have another modality"
    return made
