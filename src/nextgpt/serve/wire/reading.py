"""From the parts of a request to a conversation: media are found, bounded, and decoded elsewhere."""

from __future__ import annotations

import base64
import binascii
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field

from nextgpt.media.sniff import sniff
from nextgpt.media.source import SNIFFED_BYTES
from nextgpt.message import Conversation, Medium, Message, Text
from nextgpt.serve.decoding import Decoder
from nextgpt.serve.errors import ApiError
from nextgpt.serve.files import PREFIX, FileStore
from nextgpt.serve.settings import ServerSettings
from nextgpt.serve.wire.chat import (
    AudioUrlPart,
    ChatMessage,
    FilePart,
    ImagePart,
    InputAudioPart,
    Part,
    TextPart,
    Url,
    VideoPart,
)

Fetch = Callable[[str], Awaitable[bytes]]
"""Bytes of an address that a client named."""
FILES_PATH = "/v1/files/"


@dataclass
class Reader:
    """Reads the media of one request, and counts them."""

    decoder: Decoder
    files: FileStore
    fetch: Fetch
    settings: ServerSettings
    owner: str
    count: int = field(default=0, init=False)

    async def conversation(self, messages: Sequence[ChatMessage]) -> Conversation:
        """The conversation with all its media. Raises :class:`ApiError` or :class:`MediaError`."""
        if len(messages) > self.settings.messages:
            raise ApiError(
                400,
                f"{len(messages)} messages came; expected at most {self.settings.messages}. Leave out the oldest.",
                param="messages",
            )
        said = [await self._message(message, f"messages.{place}") for place, message in enumerate(messages)]
        return Conversation(tuple(said))

    async def medium(self, reference: str, modality: str | None, param: str) -> Medium:
        """The medium that a data URI, an id or an address names; ``None``: whichever its content is."""
        self._count(param)
        return await self._decode(await self._content(reference, param), modality, param)

    async def file(self, file: bytes | str, modality: str | None, param: str) -> Medium:
        """The medium in a file's bytes, or the one that is named."""
        if isinstance(file, str):
            return await self.medium(file, modality, param)
        self._count(param)
        return await self._decode(file, modality, param)

    def _count(self, param: str) -> None:
        self.count += 1
        if self.count > self.settings.media_count:
            raise ApiError(
                400,
                f"More than {self.settings.media_count} media came; expected fewer. Leave some out.",
                param=param,
            )

    async def _decode(self, content: bytes, modality: str | None, param: str) -> Medium:
        if len(content) > self.settings.medium_bytes:
            raise self._too_large(param)
        return await self.decoder.decode(modality or _modality_of(content, param), content)

    async def _message(self, message: ChatMessage, param: str) -> Message:
        role = "system" if message.role == "developer" else message.role
        parts = [part async for part in self._parts(_all_parts(message), f"{param}.content")]
        if (
            message.role == "assistant"
            and message.parts is None
            and message.audio is not None
            and not message.audios
        ):
            reference = message.audio.id or message.audio.data or ""
            parts.append(await self.medium(reference, "audio", f"{param}.audio"))
        return Message(role, tuple(parts))

    async def _parts(self, parts: Iterable[str | Part], param: str) -> AsyncIterator[Text | Medium]:
        for place, part in enumerate(parts):
            where = f"{param}.{place}"
            if isinstance(part, str):
                yield Text(part)
            elif isinstance(part, TextPart):
                yield Text(part.text)
            else:
                reference, modality = reference_of(part, where)
                yield await self.medium(reference, modality, where)

    async def _content(self, reference: str, param: str) -> bytes:
        if reference.startswith("data:"):
            return self._from_data_uri(reference, param)
        if reference.startswith(PREFIX):
            return self.files.read(reference, self.owner)
        if reference.startswith(FILES_PATH):
            return self.files.read(reference.removeprefix(FILES_PATH).split("/")[0], self.owner)
        if reference[:8].lower().startswith(("https://", "http://")) or "://" in reference[:40]:
            return await self.fetch(reference)
        return self._from_base64(reference, param)

    def _from_data_uri(self, uri: str, param: str) -> bytes:
        head, comma, _ = uri[:200].partition(",")
        if not comma or not head.endswith(";base64"):
            raise ApiError(
                400,
                "A data: URI without base64 came; expected data:<type>;base64,<data>. Encode it.",
                param=param,
            )
        return self._from_base64(uri[len(head) + 1 :], param)

    def _from_base64(self, data: str, param: str) -> bytes:
        if len(data) // 4 * 3 > self.settings.medium_bytes + 3:  # judged before anything is decoded
            raise self._too_large(param)
        try:
            return base64.b64decode(data, validate=True)
        except (binascii.Error, ValueError):
            raise ApiError(
                400,
                "A medium is no base64; expected a data: URI, base64, or a file's id. Encode it.",
                param=param,
            ) from None

    def _too_large(self, param: str) -> ApiError:
        most = self.settings.medium_bytes / 2**20
        return ApiError(
            413, f"A medium is larger than {most:.0f} MiB; expected a smaller one. Shrink it.", param=param
        )


def _all_parts(message: ChatMessage) -> Sequence[str | Part]:
    """The parts of a message in order; an assistant's own order where it is told, words before media otherwise."""
    content: Sequence[str | Part] = (
        [message.content] if isinstance(message.content, str) else message.content or []
    )
    if message.role != "assistant":
        return content
    if message.parts is not None:
        return message.parts
    return [*content, *(message.images or []), *(message.audios or []), *(message.videos or [])]


def reference_of(
    part: ImagePart | AudioUrlPart | VideoPart | InputAudioPart | FilePart, param: str
) -> tuple[str, str | None]:
    """What names the medium of a part, and its modality where the part says."""
    if isinstance(part, ImagePart):
        return _url(part.image_url), "image"
    if isinstance(part, AudioUrlPart):
        return _url(part.audio_url), "audio"
    if isinstance(part, VideoPart):
        return _url(part.video_url), "video"
    if isinstance(part, InputAudioPart):
        return part.input_audio.data, "audio"
    reference = part.file.file_id or part.file.file_data
    if not reference:
        raise ApiError(
            400, "A file part is empty; expected file_id or file_data. Upload the file first.", param=param
        )
    return reference, None


def _url(url: Url | str) -> str:
    return url if isinstance(url, str) else url.url


def _modality_of(content: bytes, param: str) -> str:
    kind = sniff(content[:SNIFFED_BYTES])
    if kind is None or not kind.holds:
        label = "of no known type" if kind is None else kind.label
        raise ApiError(
            400, f"The file is {label}; expected a picture, sound or film. Convert it.", param=param
        )
    return kind.holds[0]
