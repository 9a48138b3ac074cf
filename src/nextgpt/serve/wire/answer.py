"""What goes back: messages, chunks and media as OpenAI's clients read them, in speaking order where they ask for it."""

from __future__ import annotations

import asyncio
import base64
import io
import secrets
import tempfile
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from nextgpt.message import Medium, Progress, Text
from nextgpt.modality import MODALITIES
from nextgpt.serve.engine.base import Answered
from nextgpt.serve.files import FileStore, StoredFile

MEDIA_TYPES = {
    ".png": "image/png",
    ".wav": "audio/wav",
    ".mp3": "audio/mpeg",
    ".flac": "audio/flac",
    ".mp4": "video/mp4",
}
PLURALS = {"image": "images", "audio": "audios", "video": "videos"}
"""The list of a message that holds media of a modality."""


@dataclass(frozen=True)
class Published:
    """A medium that was made, as a file."""

    modality: str
    content: bytes
    file: StoredFile

    @property
    def base64(self) -> str:
        """Its bytes as base64."""
        return base64.b64encode(self.content).decode("ascii")


@dataclass(frozen=True)
class Publisher:
    """Writes media as files that their owner can ask for again."""

    files: FileStore
    owner: str
    audio_suffix: str = MODALITIES["audio"].suffix

    async def publish(self, medium: Medium) -> Published:
        """Write a medium, and keep its file for a while."""
        suffix = self.audio_suffix if medium.modality == "audio" else MODALITIES[medium.modality].suffix
        content = await asyncio.to_thread(_written, medium, suffix)
        file = self.files.add(
            content,
            owner=self.owner,
            name=f"{medium.modality}{suffix}",
            media_type=MEDIA_TYPES[suffix],
            purpose="generated",
        )
        return Published(medium.modality, content, file)


def _written(medium: Medium, suffix: str) -> bytes:
    with tempfile.TemporaryDirectory(prefix="nextgpt-") as folder:
        return medium.save(Path(folder) / f"medium{suffix}").read_bytes()


def part(made: Published, *, is_inline: bool) -> dict[str, Any]:
    """A medium as a content part, which can be sent back as it is."""
    kind = f"{made.modality}_url"
    data_uri = f"data:{made.file.media_type};base64,{made.base64}" if is_inline else None
    return {"type": kind, kind: {"url": data_uri or f"/v1/files/{made.file.id}/content"}, "id": made.file.id}


def message(parts: Sequence[Text | Published], *, is_inline: bool) -> dict[str, Any]:
    """A whole answer: words as OpenAI has them, media beside them, and everything in speaking order."""
    shown = [
        {"type": "text", "text": item.text} if isinstance(item, Text) else part(item, is_inline=is_inline)
        for item in parts
    ]
    told: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(item.text for item in parts if isinstance(item, Text)),
        "refusal": None,
    }
    for modality, name in PLURALS.items():
        told[name] = [item for item in shown if item["type"] == f"{modality}_url"]
    told["audio"] = next((audio(item, told["content"]) for item in parts if _is_audio(item)), None)
    return told | {"parts": shown}


def _is_audio(item: Text | Published) -> bool:
    return isinstance(item, Published) and item.modality == "audio"


def audio(made: Text | Published, transcript: str = "") -> dict[str, Any]:
    """A sound as OpenAI's ``message.audio``."""
    assert isinstance(made, Published), "words are no sound"
    return {
        "id": made.file.id,
        "data": made.base64,
        "expires_at": made.file.expires_at,
        "transcript": transcript,
    }


def delta(made: Published, *, is_inline: bool, is_first_sound: bool) -> dict[str, Any]:
    """A finished medium as a stream tells it."""
    told: dict[str, Any] = {PLURALS[made.modality]: [part(made, is_inline=is_inline)]}
    return told | {"audio": audio(made)} if is_first_sound else told


def usage(answers: Iterable[Answered]) -> dict[str, Any]:
    """Tokens of all choices; their prompt is counted once."""
    answers = list(answers)
    prompt = answers[0].prompt_tokens if answers else 0
    completion = sum(answer.completion_tokens for answer in answers)
    media = {
        f"{name}_signal_tokens": MODALITIES[name].signal_count
        * sum(part.modality == name for answer in answers for part in answer.reply.parts)
        for name in MODALITIES
    }
    return {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
        "completion_tokens_details": media,
    }


def progress(event: Progress) -> dict[str, Any]:
    """A step of a medium, for a chunk's ``nextgpt``, which plain clients pass over."""
    told: dict[str, Any] = {
        "event": "progress",
        "modality": event.modality,
        "step": event.step,
        "total": event.total,
    }
    preview = preview_png(event)
    return told if preview is None else told | {"preview": f"data:image/png;base64,{preview}"}


def preview_png(event: Progress) -> str | None:
    """The preview of a picture, or of a film's middle, as base64; sounds have none."""
    import PIL.Image

    medium = event.preview
    if medium is None or medium.modality == "audio":
        return None
    if medium.modality == "image":
        picture = medium.image
    else:
        picture = PIL.Image.fromarray(medium.frames[len(medium.frames) // 2])
    buffer = io.BytesIO()
    picture.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


class Completion:
    """The frame of one answer: everything but what is said."""

    def __init__(self, model: str) -> None:
        self._id = f"chatcmpl-{secrets.token_hex(16)}"
        self._model = model
        self._created = int(time.time())

    def whole(self, choices: list[dict[str, Any]], answers: Sequence[Answered]) -> dict[str, Any]:
        """A ``chat.completion``."""
        about = {
            "seed": answers[0].reply.seed,
            "dropped": [list(answer.reply.dropped) for answer in answers],
            "timings_s": [
                {name: round(s, 4) for name, s in answer.reply.timings_s.items()} for answer in answers
            ],
        }
        return self._frame("chat.completion") | {
            "choices": choices,
            "usage": usage(answers),
            "nextgpt": about,
        }

    def chunk(
        self,
        index: int,
        told: dict[str, Any],
        *,
        finish_reason: str | None = None,
        about: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        """A ``chat.completion.chunk`` of one choice."""
        choice = {"index": index, "delta": told, "finish_reason": finish_reason, "logprobs": None}
        extension = {} if about is None else {"nextgpt": about}
        return self._frame("chat.completion.chunk") | {"choices": [choice]} | extension

    def last(self, answers: Sequence[Answered]) -> dict[str, Any]:
        """The chunk with the usage, without a choice."""
        return self._frame("chat.completion.chunk") | {"choices": [], "usage": usage(answers)}

    def _frame(self, kind: str) -> dict[str, Any]:
        return {"id": self._id, "object": kind, "created": self._created, "model": self._model}
