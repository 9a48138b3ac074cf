"""``POST /v1/chat/completions`` as it comes in: OpenAI's request, with sounds, films and this project's options.

Fields that OpenAI has and this model has no use for are passed over, as clients send them by habit.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nextgpt.message import Sampling
from nextgpt.modality import MODALITIES
from nextgpt.serve.errors import ApiError
from nextgpt.serve.settings import ServerSettings

SEEDS = 2**31
"""Seeds that are drawn where a request names none."""
CHOICE_STRIDE = 1000
"""Seeds of the choices of one request lie so far apart, as media of one answer take the seeds that follow."""


class Lenient(BaseModel):
    """Base of what OpenAI defines: unknown fields are passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Strict(BaseModel):
    """Base of what this project defines: an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Url(Lenient):
    """Where a medium is: a data URI, ``file-…``, ``/v1/files/file-…/content``, or an https address."""

    url: str


class TextPart(Lenient):
    """Words."""

    type: Literal["text"]
    text: str


class ImagePart(Lenient):
    """A picture."""

    type: Literal["image_url"]
    image_url: Url | str


class AudioUrlPart(Lenient):
    """A sound."""

    type: Literal["audio_url"]
    audio_url: Url | str


class VideoPart(Lenient):
    """A film."""

    type: Literal["video_url"]
    video_url: Url | str


class InputAudio(Lenient):
    """A sound as base64."""

    data: str
    format: str = "wav"


class InputAudioPart(Lenient):
    """A sound, as OpenAI has it."""

    type: Literal["input_audio"]
    input_audio: InputAudio


class FileReference(Lenient):
    """A file: uploaded before, or as a data URI or base64."""

    file_id: str | None = None
    file_data: str | None = None
    filename: str | None = None


class FilePart(Lenient):
    """A file of any modality, which its content tells."""

    type: Literal["file"]
    file: FileReference


Part = Annotated[
    TextPart | ImagePart | AudioUrlPart | VideoPart | InputAudioPart | FilePart, Field(discriminator="type")
]


class AudioAnswer(Lenient):
    """A sound of an earlier answer, by its id or with its data."""

    id: str | None = None
    data: str | None = None


class ChatMessage(Lenient):
    """One turn; an assistant's may bring back everything that was answered."""

    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[Part] | None = None
    parts: list[Part] | None = None
    images: list[Part] | None = None
    audio: AudioAnswer | None = None
    audios: list[Part] | None = None
    videos: list[Part] | None = None


class MediumOptions(Strict):
    """How media of one modality are made; what is left out is the model's own default."""

    num_inference_steps: int | None = Field(None, ge=1)
    """Denoising steps."""
    guidance_scale: float | None = Field(None, ge=1)
    """Classifier-free guidance; 1 is none."""


class Options(Strict):
    """This project's own options, as ``nextgpt`` of the request."""

    image: MediumOptions = MediumOptions()
    audio: MediumOptions = MediumOptions()
    video: MediumOptions = MediumOptions()
    media: Literal["b64", "url"] = "b64"
    """Whether media come as data URIs or as addresses on this server."""
    previews: bool = False
    """Whether progress brings a rough picture."""


class AudioFormat(Lenient):
    """How sounds are to be written."""

    format: Literal["wav", "mp3", "flac"] = "wav"


class StreamOptions(Lenient):
    """What a stream tells besides."""

    include_usage: bool = False


class ChatRequest(Lenient):
    """A conversation to answer."""

    model: str
    messages: list[ChatMessage] = Field(min_length=1)
    modalities: list[str] | None = None
    """What may be answered; left out: the model decides."""
    n: int = Field(1, ge=1)
    seed: int | None = Field(None, ge=0, lt=2**63 - 2**20)
    temperature: float | None = Field(None, ge=0, le=2)
    top_p: float | None = Field(None, gt=0, le=1)
    max_tokens: int | None = Field(None, ge=1)
    max_completion_tokens: int | None = Field(None, ge=1)
    stop: str | Annotated[list[str], Field(max_length=16)] | None = None
    audio: AudioFormat = AudioFormat()
    stream: bool = False
    stream_options: StreamOptions = StreamOptions()
    tools: list[Any] | None = None
    nextgpt: Options = Options()


def samplings(request: ChatRequest, known: tuple[str, ...], settings: ServerSettings) -> list[Sampling]:
    """How each of the ``n`` choices is to be made. Raises :class:`ApiError` beyond the server's ceilings."""
    check_modalities(request.modalities, known)
    check_at_most("n", request.n, settings.choices)
    if request.tools:
        raise ApiError(
            400, "tools came; expected none: this model calls no functions. Leave them out.", param="tools"
        )
    options = {name: getattr(request.nextgpt, name) for name in MODALITIES if name in known}
    for name, option in options.items():
        check_options(option, settings, f"nextgpt.{name}")
    seed = secrets.randbelow(SEEDS) if request.seed is None else request.seed
    tokens = request.max_completion_tokens or request.max_tokens or Sampling().max_tokens
    stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
    return [
        Sampling(
            seed=seed + CHOICE_STRIDE * choice,
            max_tokens=min(tokens, settings.tokens),
            temperature=request.temperature or 0.0,
            top_p=1.0 if request.top_p is None else request.top_p,
            stop=tuple(stop),
            modalities=None if request.modalities is None else tuple(request.modalities),
            steps=_given(options, "num_inference_steps"),
            guidance=_given(options, "guidance_scale"),
        )
        for choice in range(request.n)
    ]


def check_modalities(asked: list[str] | None, known: tuple[str, ...]) -> None:
    """Raise :class:`ApiError` for a modality that cannot be answered."""
    if asked == []:
        raise ApiError(400, f"modalities is empty; expected some of {', '.join(known)}.", param="modalities")
    for name in asked or ():
        if name not in known:
            raise ApiError(
                400,
                f"modality {name[:40]!r} came; expected some of {', '.join(known)}. Leave modalities out to let the "
                "model decide.",
                param="modalities",
                code="unsupported_modality",
            )


def check_options(option: MediumOptions, settings: ServerSettings, where: str) -> None:
    """Raise :class:`ApiError` beyond the server's ceilings."""
    check_at_most(f"{where}.num_inference_steps", option.num_inference_steps or 1, settings.steps)
    check_at_most(f"{where}.guidance_scale", option.guidance_scale or 1, settings.guidance)


def check_at_most(name: str, value: float, most: float) -> None:
    """Raise :class:`ApiError` where a number that a client gives is above the server's ceiling."""
    if value > most:
        raise ApiError(400, f"{name} is {value}; expected at most {most}. Ask for less.", param=name)


def _given(options: Mapping[str, MediumOptions], name: str) -> dict[str, Any] | None:
    given = {modality: getattr(option, name) for modality, option in options.items()}
    return {modality: value for modality, value in given.items() if value is not None} or None
