"""A conversation as the rows of a chat: one row a part, in speaking order. Pure; the rows are Gradio's plain data."""

from __future__ import annotations

import base64
import html
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

from nextgpt.message import Audio, Conversation, Image, Medium, Text, Video
from nextgpt.serve.web.live import Live
from nextgpt.serve.web.strings import Strings

Row = dict[str, Any]
PREVIEW_PX = 192


def rows(conversation: Conversation, file: Callable[[Medium], Path], strings: Strings) -> list[Row]:
    """What the chat shows; ``file`` tells where a medium's file is."""
    return [
        {"role": "user" if message.role == "user" else "assistant", "content": _content(part, file, strings)}
        for message in conversation
        for part in message.parts
    ]


def turn_of_row(conversation: Conversation, row: int) -> int:
    """The message to which a row belongs; -1 where there is no such row."""
    turns = [turn for turn, message in enumerate(conversation) for _ in message.parts]
    return turns[row] if 0 <= row < len(turns) else -1


def progress_html(live: Live, now_s: float, strings: Strings) -> str:
    """A bar with its step, the time left and a preview; empty where no medium is being made."""
    step = live.progress
    if step is None:
        return ""
    label = strings.making.format(
        modality=strings.names.get(step.modality, step.modality), step=step.step, total=step.total
    )
    left_s = live.left_s(now_s)
    words = label if left_s is None else f"{label} · {strings.left.format(seconds=round(left_s))}"
    return (
        f'<div class="making" data-modality="{html.escape(step.modality)}"><label>{html.escape(words)} '
        f'<progress value="{step.step}" max="{step.total}"></progress></label>{_preview(step.preview, label)}</div>'
    )


def _content(part: Text | Medium, file: Callable[[Medium], Path], strings: Strings) -> Any:
    if isinstance(part, Text):
        return part.text
    return {"path": str(file(part)), "alt_text": strings.names.get(part.modality, part.modality)}


def _preview(medium: Medium | None, label: str) -> str:
    picture = None if medium is None else _picture(medium)
    if picture is None:
        return ""
    picture.thumbnail((PREVIEW_PX, PREVIEW_PX))
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    data = base64.b64encode(buffer.getvalue()).decode("ascii")
    return f'<img alt="{html.escape(label)}" src="data:image/png;base64,{data}">'


def _picture(medium: Medium) -> Any:
    """A picture of the medium: itself, a film's middle, a sound's loudness over time."""
    import numpy as np
    import PIL.Image

    if isinstance(medium, Image):
        return medium.image.copy()
    if isinstance(medium, Video):
        return PIL.Image.fromarray(medium.frames[len(medium.frames) // 2])
    if not isinstance(medium, Audio) or medium.samples.shape[-1] == 0:
        return None
    chunks = np.array_split(np.abs(medium.samples).max(axis=0), min(PREVIEW_PX, medium.samples.shape[-1]))
    loudness = np.array([chunk.max() for chunk in chunks])
    lines = np.linspace(1, -1, 48)[:, None]
    return PIL.Image.fromarray(np.where(np.abs(lines) <= loudness, 90, 230).astype(np.uint8))
