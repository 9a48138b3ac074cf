"""Generated media as files that their owner can fetch again."""

from __future__ import annotations

import asyncio
import base64
import tempfile
from dataclasses import dataclass
from pathlib import Path

from nextgpt.media.file_types import mime_of
from nextgpt.message import Attribution, Medium, Text
from nextgpt.modality import MODALITIES
from nextgpt.serve.engine.base import RequestOutput
from nextgpt.serve.errors import ApiError
from nextgpt.serve.file_store import FILES_PATH, FileStore, StoredFile


@dataclass(frozen=True)
class StoredMedium:
    """A generated medium as a file."""

    modality: str
    content: bytes
    file: StoredFile
    url: str
    """Address of the file."""
    attribution: Attribution | None = None
    """Origin of a retrieved medium."""

    @property
    def base64(self) -> str:
        """The content as base64."""
        return base64.b64encode(self.content).decode("ascii")


@dataclass(frozen=True)
class MediaStore:
    """Encodes the media of one answer and stores them for its owner."""

    files: FileStore
    owner: str
    audio_suffix: str = MODALITIES["audio"].suffix
    base_url: str = ""
    """Address of this server, for the addresses of files."""

    async def store(
        self, medium: Medium, file_id: str | None = None, *, attribution: Attribution | None = None
    ) -> StoredMedium:
        """Encode a medium and store its file, under a new id if ``file_id`` is absent."""
        suffix = self.audio_suffix if medium.modality == "audio" else MODALITIES[medium.modality].suffix
        content = await asyncio.to_thread(_encode, medium, suffix, self.files.folder)
        file = self.files.put(
            content,
            owner=self.owner,
            name=f"{medium.modality}{suffix}",
            media_type=mime_of(suffix),
            purpose="generated",
            file_id=file_id,
        )
        url = f"{self.base_url}{FILES_PATH}{file.id}/content"
        return StoredMedium(medium.modality, content, file, url, attribution)


def require_medium(output: RequestOutput, modality: str) -> Medium:
    """Return the first medium of a modality in an answer. Raises :class:`ApiError` if the model generated none."""
    for part in output.reply.parts:
        if part.modality == modality and not isinstance(part, Text):
            return part
    reason = "; ".join(output.reply.dropped) or "it answered with something else"
    raise ApiError(502, f"The model generated no {modality}: {reason}. Change the prompt or the seed.")


def _encode(medium: Medium, suffix: str, scratch: Path) -> bytes:
    with tempfile.TemporaryDirectory(dir=scratch) as folder:
        return medium.save(Path(folder) / f"medium{suffix}").read_bytes()
