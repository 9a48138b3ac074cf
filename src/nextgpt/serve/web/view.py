"""What the page shows, as plain data: a conversation, and the answer that is being made. Pure.

Words of the model become HTML here, and here alone: markup of its own is shown as text, pictures are not followed.
"""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import PIL.Image
from markdown_it import MarkdownIt

from nextgpt.message import Audio, Conversation, Image, Medium, Message, Part, Text, Video
from nextgpt.serve.web.details import Details, details_view
from nextgpt.serve.web.live import Making
from nextgpt.serve.web.rooms import file_name

View = dict[str, Any]
PREVIEW_PX = 192
PEAKS = 96
"""Bars of a sound's waveform."""


def _markdown() -> MarkdownIt:
    """What makes HTML of the model's words; links of theirs open beside the page, and are told nothing of it."""
    made = MarkdownIt("commonmark", {"html": False, "breaks": True}).enable("table").disable("image")

    def link_open(renderer: Any, tokens: Any, at: int, options: Any, env: Any) -> str:
        tokens[at].attrs |= {"target": "_blank", "rel": "noopener noreferrer"}
        return str(renderer.renderToken(tokens, at, options, env))

    made.add_render_rule("link_open", link_open)
    return made


_MARKDOWN = _markdown()


def turns_view(conversation: Conversation, details: Mapping[int, Details] = {}) -> list[View]:
    """Every message with its parts, in speaking order, and with its details where they are known."""
    return [message_view(message, details.get(place)) for place, message in enumerate(conversation)]


def message_view(message: Message, details: Details | None = None) -> View:
    """One turn."""
    shown = {"role": message.role, "parts": [part_view(part, message.role) for part in message.parts]}
    return shown if details is None else shown | {"details": details_view(details, message)}


def part_view(part: Part, role: str = "user") -> View:
    """A part: words as they are, and as HTML where the model said them; a medium by the name of its file."""
    if isinstance(part, Text):
        words = {"kind": "text", "text": part.text}
        return words | {"html": _MARKDOWN.render(part.text)} if role == "assistant" else words
    return {"kind": part.modality, "name": file_name(part), **_facts(part)}


def making_view(making: Sequence[Making], now_s: float) -> list[View]:
    """The media that are being made, each with its step, the seconds left and a preview."""
    return [
        {
            "kind": made.progress.modality,
            "step": made.progress.step,
            "total": made.progress.total,
            "left_s": None if (left_s := made.left_s(now_s)) is None else round(left_s, 1),
            "preview": _preview(made.progress.preview),
        }
        for made in making
    ]


def _facts(medium: Medium) -> View:
    """Size, length and waveform, by what the medium is."""
    if isinstance(medium, Image):
        return {"width": medium.image.width, "height": medium.image.height}
    if isinstance(medium, Video):
        _, height, width, _ = medium.frames.shape
        return {"width": width, "height": height, "seconds": round(medium.duration_s, 2)}
    if isinstance(medium, Audio):
        return {
            "seconds": round(medium.duration_s, 2),
            "peaks": [round(float(peak), 2) for peak in _peaks(medium)],
        }
    return {}


def _peaks(sound: Audio) -> np.ndarray:
    """Loudness over time, 0 to 1 where the loudest stands at 1, (at most :data:`PEAKS`,)."""
    samples = np.abs(sound.samples).max(axis=0)
    if not len(samples):
        return np.zeros(1)
    loudness = np.array([chunk.max() for chunk in np.array_split(samples, min(PEAKS, len(samples)))])
    return loudness / max(float(loudness.max()), 1e-6)


def _preview(medium: Medium | None) -> str | None:
    """A small picture of the medium as a data URI."""
    picture = None if medium is None else _picture(medium)
    if picture is None:
        return None
    picture.thumbnail((PREVIEW_PX, PREVIEW_PX))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return f"data:image/png;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"


def _picture(medium: Medium) -> PIL.Image.Image | None:
    """A picture of the medium: itself, a film's middle, a sound's loudness over time."""
    if isinstance(medium, Image):
        return medium.image.copy()
    if isinstance(medium, Video):
        return PIL.Image.fromarray(medium.frames[len(medium.frames) // 2])
    if not isinstance(medium, Audio):
        return None
    distance = np.abs(np.linspace(1, -1, 48))[:, None]
    is_loud = np.repeat(distance <= _peaks(medium)[None], 2, axis=1)
    return PIL.Image.fromarray(np.where(is_loud, 110, 235).astype(np.uint8))
