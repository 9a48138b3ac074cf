"""Conversion of request parts to a conversation: media are located, limited, and decoded in the sandbox."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Awaitable, Callable, Sequence
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

_NamedPart = tuple[str, str | ContentPart]
"""Name of the field, for error messages, and a part of a message."""
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
    """Time and memory that the media of this request may still use."""
    warnings: list[str] = field(default_factory=list, init=False)
    """Descriptions of what was left out of the request."""

    def __post_init__(self) -> None:
        settings = self.settings
        self.budget = DecodingBudget(settings.request_decode_timeout_s, settings.max_request_media_bytes)

    async def conversation(
        self, messages: Sequence[ChatMessage], *, after: Conversation = Conversation(), param: str = "messages"
    ) -> Conversation:
        """Return the conversation with its media decoded.

        Beyond the largest number of media, the oldest ones of earlier turns are left out, except the last of each
        modality, to which the new message may refer; ``warnings`` says so.

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
        parts = [_named_parts(message, f"{param}.{i}") for i, message in enumerate(messages)]
        left_out = self._choose_left_out(messages, parts)
        parsed = [
            Message(
                "system" if message.role == "developer" else message.role,
                tuple([await self._part(*part) for part in named if part[0] not in left_out]),
            )
            for message, named in zip(messages, parts, strict=True)
        ]
        return Conversation((*after, *parsed))

    def _choose_left_out(self, messages: Sequence[ChatMessage], parts: Sequence[Sequence[_NamedPart]]) -> set[str]:
        """Return the fields of the oldest media beyond the limit; those from the last user message on stay."""
        users = [index for index, message in enumerate(messages) if message.role == "user"]
        newest = users[-1] if users else len(messages)
        media = [
            (index, name, type(part))
            for index, named in enumerate(parts)
            for name, part in named
            if not isinstance(part, (str, TextPart))
        ]
        last = {kind: name for _, name, kind in media}
        earlier = [name for index, name, kind in media if index < newest and last[kind] != name]
        chosen = earlier[: max(0, len(media) - self.settings.max_media)]
        if chosen:
            self.warnings.append(
                f"the oldest {len(chosen)} media were left out: the server reads {self.settings.max_media} per request"
            )
        return set(chosen)

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

    async def _part(self, name: str, part: str | ContentPart) -> Text | Medium:
        if isinstance(part, str):
            return Text(part)
        if isinstance(part, TextPart):
            return Text(part.text)
        reference, modality = media_reference(part, name)
        return await self.medium(reference, modality, name)

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


def _named_parts(message: ChatMessage, param: str) -> list[_NamedPart]:
    """Return the parts of a message in order, each with the name of its field."""
    named = [(f"{param}.content.{index}", part) for index, part in enumerate(_message_parts(message))]
    has_only_audio = message.parts is None and message.audio is not None and not message.audios
    if message.role == "assistant" and has_only_audio and message.audio is not None:
        reference = message.audio.id or message.audio.data or ""
        named.append((f"{param}.audio", AudioUrlPart(type="audio_url", audio_url=reference)))
    return named


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
