"""Request of ``POST /v1/chat/completions``: OpenAI's fields, audio and video parts, and this project's options.

Unknown OpenAI fields are ignored, because clients send many by default. ``null`` means the same as an absent field.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from nextgpt.message import Sampling, Via
from nextgpt.modality import MODALITIES
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.request_model import ExtensionModel, OpenAIModel
from nextgpt.serve.protocol.text_format import TextFormat, requested_schema
from nextgpt.serve.settings import ServerSettings

RANDOM_SEED_LIMIT = 2**31
"""Upper bound of seeds that the server draws."""
SEED_STRIDE = 1000
"""Distance between the seeds of two choices; the media of one answer use the seeds that follow its own."""

Seed = Annotated[int, Field(ge=-1, lt=2**63 - 2**20)]
"""-1: the server draws a seed."""
TokenLimit = Annotated[int, Field(ge=-1)]
"""-1: the server's maximum."""


class Url(OpenAIModel):
    """Location of a medium: a data URI, ``file-…``, ``/v1/files/file-…/content``, or an allowed https URL."""

    url: str


class TextPart(OpenAIModel):
    """Text."""

    type: Literal["text"]
    text: str


class ImagePart(OpenAIModel):
    """Image."""

    type: Literal["image_url"]
    image_url: Url | str
    id: str | None = None


class AudioUrlPart(OpenAIModel):
    """Audio clip by location."""

    type: Literal["audio_url"]
    audio_url: Url | str
    id: str | None = None


class VideoPart(OpenAIModel):
    """Video."""

    type: Literal["video_url"]
    video_url: Url | str
    id: str | None = None


class InputAudio(OpenAIModel):
    """Content of an audio clip."""

    data: str
    """Base64 of the file."""
    format: str = "wav"


class InputAudioPart(OpenAIModel):
    """Audio clip as OpenAI defines it."""

    type: Literal["input_audio"]
    input_audio: InputAudio


class FileReference(OpenAIModel):
    """Uploaded file, or its content as a data URI or base64."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(OpenAIModel):
    """File of any modality; its content determines which."""

    type: Literal["file"]
    file: FileReference


MediaPart = ImagePart | AudioUrlPart | VideoPart | InputAudioPart | FilePart
ContentPart = Annotated[TextPart | MediaPart, Field(discriminator="type")]


class AssistantAudio(OpenAIModel):
    """Audio clip of an earlier answer, by its id or with its data."""

    id: str | None = None
    data: str | None = None


class ChatMessage(OpenAIModel):
    """Message of the conversation; an assistant's may carry everything that an answer of this server had."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[ContentPart] | None = None
    parts: list[ContentPart] | None = None
    """Text and media in output order. If present, the other fields only add the content of media with the same id."""
    images: list[ContentPart] | None = None
    audio: AssistantAudio | None = None
    audios: list[ContentPart] | None = None
    videos: list[ContentPart] | None = None


class MediumOptions(ExtensionModel):
    """Options for the media of one modality; absent ones take the model's defaults."""

    num_inference_steps: int | None = Field(None, ge=1)
    """Denoising steps."""
    guidance_scale: float | None = Field(None, ge=1)
    """Classifier-free guidance scale; 1 turns guidance off."""


class GenerationOptions(ExtensionModel):
    """Options of generation that every route of conversations takes."""

    image: MediumOptions = Field(default_factory=MediumOptions)
    audio: MediumOptions = Field(default_factory=MediumOptions)
    video: MediumOptions = Field(default_factory=MediumOptions)
    via: Via | None = None
    """Whether media are generated, retrieved from the server's index, or, with ``auto``, retrieved if a good one is
    found. Absent: the server's default. Edits are always generated."""
    details: bool = False
    """Whether the answer includes the output of the language model, with its signal tokens."""


class NextGPTOptions(GenerationOptions):
    """This project's own options."""

    media: Literal["b64", "url"] = "b64"
    """Whether media are returned as data URIs or as addresses on this server."""
    parts: Literal["b64", "url"] = "url"
    """The same for the copies of the media in ``message.parts``."""
    content: Literal["text", "parts"] = "text"
    """``parts``: ``message.content`` is a list of text and media in output order, in place of the other fields with
    media; streams are not affected."""
    previews: bool = False
    """Whether progress events include a preview: an image, or the waveform of an audio clip."""


class AudioFormat(OpenAIModel):
    """Format of audio in the answer."""

    format: Literal["wav", "mp3", "flac"] = "wav"


class StreamOptions(OpenAIModel):
    """Options of a stream."""

    include_usage: bool = False


class ChatRequest(OpenAIModel):
    """Conversation to answer."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    modalities: list[str] | None = None
    """Modalities that the answer may have. Absent: the model decides."""
    n: int = Field(1, ge=1)
    seed: Seed | None = None
    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, ge=0, le=1)
    """0 takes the most likely token."""
    max_tokens: TokenLimit | None = None
    max_completion_tokens: TokenLimit | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] = Field(default_factory=list)
    audio: AudioFormat = Field(default_factory=AudioFormat)
    response_format: TextFormat = Field(default_factory=TextFormat)
    """Format of the text; JSON answers are text alone."""
    stream: bool = False
    stream_options: StreamOptions = Field(default_factory=StreamOptions)
    tools: list[Any] = Field(default_factory=list)
    nextgpt: NextGPTOptions = Field(default_factory=NextGPTOptions)


def to_samplings(
    request: ChatRequest, modalities: Sequence[str], settings: ServerSettings, *, format_field: str = "response_format"
) -> list[Sampling]:
    """Convert a request to one sampling per choice. Raises :class:`ApiError` beyond the server's limits.

    Args:
        modalities: What the model can output.
        format_field: Name of ``response_format`` in the client's request.
    """
    check_modalities(request.modalities, modalities)
    schema = requested_schema(request.response_format, format_field)
    if schema is not None and set(request.modalities or ["text"]) != {"text"}:
        raise ApiError(
            400,
            f"{format_field} is JSON beside modalities {', '.join(request.modalities or ())}; expected text alone. "
            "Leave one of them out.",
            param=format_field,
        )
    check_at_most("n", request.n, settings.max_n)
    if request.tools:
        raise ApiError(400, "tools: this model calls no functions. Leave tools out.", param="tools")
    options = {name: getattr(request.nextgpt, name) for name in MODALITIES if name in modalities}
    for name, option in options.items():
        check_options(option, settings, f"nextgpt.{name}")
    seed = first_seed(request.seed)
    tokens = request.max_completion_tokens or request.max_tokens or Sampling().max_tokens
    return [
        Sampling(
            seed=seed + SEED_STRIDE * choice,
            max_tokens=settings.max_tokens if tokens < 0 else min(tokens, settings.max_tokens),
            temperature=request.temperature if request.top_p else 0.0,
            top_p=request.top_p or 1.0,
            stop=(request.stop,) if isinstance(request.stop, str) else tuple(request.stop),
            modalities=None if request.modalities is None else tuple(request.modalities),
            json_schema=schema,
            num_inference_steps=_per_modality(options, "num_inference_steps"),
            guidance_scale=_per_modality(options, "guidance_scale"),
        )
        for choice in range(request.n)
    ]


def resolve_via(requested: Via | None, supported: Sequence[Via], settings: ServerSettings) -> Via:
    """Return the origin of media for a request. Raises :class:`ApiError` for one that the server does not offer."""
    via = requested or settings.via
    if via not in supported:
        reason = "its index is not calibrated" if "retrieve" in supported else "it has no index"
        raise ApiError(
            400,
            f"nextgpt.via: got {via!r}; this server offers {', '.join(supported)}, as {reason}. Leave it out, or start "
            "nextgpt serve with --index.",
            param="nextgpt.via",
        )
    return via


def first_seed(seed: int | None) -> int:
    """Return the seed of the first choice; draw one if the request has none."""
    return secrets.randbelow(RANDOM_SEED_LIMIT) if seed is None or seed < 0 else seed


def check_modalities(requested: Sequence[str] | None, supported: Sequence[str]) -> None:
    """Raise :class:`ApiError` for a modality that the model cannot output."""
    names = ", ".join(supported)
    if requested is not None and not requested:
        raise ApiError(400, f"modalities is empty; expected some of {names}.", param="modalities")
    for name in requested or ():
        if name not in supported:
            raise ApiError(
                400,
                f"modalities: got {name[:40]!r}; expected some of {names}. Leave modalities out to let the model "
                "decide.",
                param="modalities",
                code="unsupported_modality",
            )


def check_options(options: MediumOptions, settings: ServerSettings, field: str) -> None:
    """Raise :class:`ApiError` beyond the server's limits."""
    check_at_most(f"{field}.num_inference_steps", options.num_inference_steps or 1, settings.max_inference_steps)
    check_at_most(f"{field}.guidance_scale", options.guidance_scale or 1, settings.max_guidance_scale)


def check_at_most(field: str, value: float, limit: float) -> None:
    """Raise :class:`ApiError` for a value above ``limit``."""
    if value > limit:
        raise ApiError(400, f"{field} is {value}; expected at most {limit}.", param=field)


def _per_modality(options: dict[str, MediumOptions], field: str) -> dict[str, Any] | None:
    values = {modality: getattr(option, field) for modality, option in options.items()}
    return {modality: value for modality, value in values.items() if value is not None} or None
