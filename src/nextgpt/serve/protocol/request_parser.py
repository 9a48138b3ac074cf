"""Conversion of request parts to a conversation: media are located, limited, and decoded in the sandbox."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote, unquote_to_bytes

from nextgpt.errors import MediaError
from nextgpt.media.file_types import FileType, sniff
from nextgpt.message import Conversation, Medium, Message, Text
from nextgpt.serve.errors import ApiError
from nextgpt.serve.file_store import FILES_PATH, PREFIX, FileStore
from nextgpt.serve.media_decoder import SandboxedDecoder
from nextgpt.serve.media_memory import DecodingBudget
from nextgpt.serve.protocol.chat import (
    AudioUrlPart,
    ChatMessage,
    ContentPart,
    ImagePart,
    InputAudioPart,
    MediaPart,
    TextPart,
    Url,
    VideoPart,
)
from nextgpt.serve.settings import ServerSettings

MAX_DATA_URI_HEAD = 1000
"""Characters of a data URI before its data."""
_BASE64_FLAG = re.compile(r";\s*base64\s*$", re.IGNORECASE)
_LENIENT_BASE64 = str.maketrans("-_", "+/", "\t\n\f\r ")

Fetch = Callable[[str], Awaitable[bytes]]
"""Returns the content of a URL that a client named."""


@dataclass
class RequestParser:
    """Parses the messages and media of one request, and counts its media."""

    decoder: SandboxedDecoder
    files: FileStore
    fetch: Fetch
    settings: ServerSettings
    owner: str
    base_url: str = ""
    """Address of this server; media URLs that begin with it are its own files."""
    num_media: int = field(default=0, init=False)
    budget: DecodingBudget = field(init=False)
    """What the media of this request may still use."""

    def __post_init__(self) -> None:
        settings = self.settings
        self.budget = DecodingBudget(settings.request_decode_timeout_s, settings.max_request_media_bytes)

    async def conversation(
        self, messages: Sequence[ChatMessage], *, after: Conversation = Conversation(), param: str = "messages"
    ) -> Conversation:
        """Return the conversation with all media decoded.

        Args:
            after: Earlier messages.
            param: Field of the request that has the messages, for error messages.

        Raises:
            ApiError: A limit is exceeded, or a medium cannot be located or decoded.
        """
        num_messages, limit = len(after) + len(messages), self.settings.max_messages
        if num_messages > limit:
            raise ApiError(
                400, f"{param}: got {num_messages}; expected at most {limit}. Leave out the oldest.", param=param
            )
        parsed = [await self._message(message, f"{param}.{i}") for i, message in enumerate(messages)]
        return Conversation((*after, *parsed))

    async def medium(self, source: bytes | str, modality: str | None, param: str) -> Medium:
        """Decode a file's content, or the medium at a data URI, file id or URL.

        Args:
            modality: Expected modality; ``None``: the content decides.
            param: Field of the request, for error messages.

        Raises:
            ApiError: A limit is exceeded, or the medium cannot be located or decoded.
        """
        self.num_media += 1
        if self.num_media > self.settings.max_media:
            raise ApiError(400, f"{param}: got more than {self.settings.max_media} media. Leave some out.", param=param)
        content = await self._content(source, param) if isinstance(source, str) else source
        if len(content) > self.settings.max_medium_bytes:
            raise self._too_large(param)
        if modality is None:
            require_media_type(content, param)
        try:
            return await self.decoder.decode(modality, content, self.budget)
        except MediaError as error:
            raise ApiError(400, f"{param}: {error}", param=param) from error

    async def _message(self, message: ChatMessage, param: str) -> Message:
        role = "system" if message.role == "developer" else message.role
        parts = [part async for part in self._parts(_message_parts(message), f"{param}.content")]
        has_only_audio = message.parts is None and message.audio is not None and not message.audios
        if message.role == "assistant" and has_only_audio and message.audio is not None:
            reference = message.audio.id or message.audio.data or ""
            parts.append(await self.medium(reference, "audio", f"{param}.audio"))
        return Message(role, tuple(parts))

    async def _parts(self, parts: Iterable[str | ContentPart], param: str) -> AsyncIterator[Text | Medium]:
        for index, part in enumerate(parts):
            if isinstance(part, str):
                yield Text(part)
            elif isinstance(part, TextPart):
                yield Text(part.text)
            else:
                field_name = f"{param}.{index}"
                reference, modality = media_reference(part, field_name)
                yield await self.medium(reference, modality, field_name)

    async def _content(self, reference: str, param: str) -> bytes:
        reference = reference.strip()
        if reference[:5].lower() == "data:":
            return self._from_data_uri(reference, param)
        if reference.startswith(PREFIX):
            return self.files.read(reference, self.owner)
        path = "/" + reference.removeprefix(self.base_url).removeprefix(".").removeprefix("/")
        if path.startswith(FILES_PATH):
            return self.files.read(path.removeprefix(FILES_PATH).split("/")[0], self.owner)
        if "://" in reference[:40]:
            return await self.fetch(reference)
        return self._from_base64(reference, param)

    def _from_data_uri(self, uri: str, param: str) -> bytes:
        head, comma, _ = uri[:MAX_DATA_URI_HEAD].partition(",")
        if not comma:
            raise ApiError(400, f"{param}: a data: URI without data; expected data:<type>;base64,<data>.", param=param)
        data = uri[len(head) + 1 :]
        if _BASE64_FLAG.search(head):
            return self._from_base64(data, param)
        if len(data) > 3 * self.settings.max_medium_bytes:
            raise self._too_large(param)
        return unquote_to_bytes(data)

    def _from_base64(self, data: str, param: str) -> bytes:
        """Decode as browsers do: blanks, line breaks and missing padding do not matter; URL-safe letters are read."""
        if "%" in data[:MAX_DATA_URI_HEAD] or "%" in data[-8:]:
            data = unquote(data)
        compact = data.translate(_LENIENT_BASE64).rstrip("=")
        if len(compact) // 4 * 3 > self.settings.max_medium_bytes + 3:  # checked before decoding
            raise self._too_large(param)
        try:
            return base64.b64decode(compact + "=" * (-len(compact) % 4), validate=True)
        except (binascii.Error, ValueError):
            raise ApiError(
                400, f"{param}: not valid base64; expected a data: URI, base64, or a file id.", param=param
            ) from None

    def _too_large(self, param: str) -> ApiError:
        limit = self.settings.max_medium_bytes / 2**20
        return ApiError(413, f"{param}: the medium is larger than {limit:.0f} MiB. Shrink it.", param=param)


def _message_parts(message: ChatMessage) -> Sequence[str | ContentPart]:
    """Return the parts of a message in order; without ``parts``, text comes before media."""
    content: Sequence[str | ContentPart] = (
        [message.content] if isinstance(message.content, str) else message.content or []
    )
    if message.role != "assistant":
        return content
    media = [*(message.images or []), *(message.audios or []), *(message.videos or [])]
    if message.parts is None:
        return [*content, *media]
    with_content = {part_id: part for part in media if (part_id := getattr(part, "id", None))}
    return [with_content.get(getattr(part, "id", None), part) for part in message.parts]


def media_reference(part: MediaPart, param: str) -> tuple[str, str | None]:
    """Return what a media part refers to, and its modality if the part names one."""
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
        raise ApiError(400, f"{param}: the file part is empty; expected file_id or file_data.", param=param)
    return reference, None


def _url(url: Url | str) -> str:
    return url if isinstance(url, str) else url.url


def require_media_type(content: bytes, param: str) -> FileType:
    """Return the type of a media file. Raises :class:`ApiError` for any other content."""
    file_type = sniff(content)
    if file_type is None or not file_type.modalities:
        label = "of unknown type" if file_type is None else file_type.label
        raise ApiError(400, f"{param}: the file is {label}; expected an image, audio or video file.", param=param)
    return file_type
