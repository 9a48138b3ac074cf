"""Chat completions and their chunks: OpenAI's fields, media beside the text, and all parts in output order."""

from __future__ import annotations

import base64
import io
import secrets
import time
from collections.abc import Collection, Sequence
from dataclasses import asdict
from typing import Any, Literal

import numpy as np
import PIL.Image
from pydantic import BaseModel

from nextgpt.message import Audio, DenoisingProgress, Image, Medium, Text, TextJoiner, Video
from nextgpt.modality import EDIT_TOKEN, MODALITIES
from nextgpt.serve.engine.base import RequestOutput
from nextgpt.serve.protocol.chat import NextGPTOptions
from nextgpt.serve.protocol.media_store import StoredMedium

WAVEFORM_BARS = 96
"""Peaks of the waveform in a progress event."""

FinishReason = Literal["stop", "length"]


class MediaUrl(BaseModel):
    """Data URI of a medium, or its address on this server."""

    url: str


class AttributionInfo(BaseModel):
    """Origin of a medium that was retrieved from the server's index instead of generated."""

    item_id: str
    """Id in the index."""
    caption: str
    source: str
    """Empty if unknown."""
    licence: str
    """Empty if unknown."""
    score: float
    """Cosine similarity of the caption with the request, -1 to 1."""


def attribution_field(medium: StoredMedium) -> dict[str, AttributionInfo]:
    """Return the field ``attribution`` of a retrieved medium; generated media have none."""
    return {} if medium.attribution is None else {"attribution": AttributionInfo(**asdict(medium.attribution))}


class TextContent(BaseModel):
    """Text part of an answer."""

    type: Literal["text"] = "text"
    text: str


class ImageContent(BaseModel):
    """Image part of an answer."""

    type: Literal["image_url"] = "image_url"
    image_url: MediaUrl
    id: str
    """Id of the file, valid until it expires."""
    attribution: AttributionInfo | None = None
    """Origin, if it was retrieved instead of generated."""


class AudioContent(BaseModel):
    """Audio part of an answer."""

    type: Literal["audio_url"] = "audio_url"
    audio_url: MediaUrl
    id: str
    """Id of the file, valid until it expires."""
    attribution: AttributionInfo | None = None
    """Origin, if it was retrieved instead of generated."""


class VideoContent(BaseModel):
    """Video part of an answer."""

    type: Literal["video_url"] = "video_url"
    video_url: MediaUrl
    id: str
    """Id of the file, valid until it expires."""
    attribution: AttributionInfo | None = None
    """Origin, if it was retrieved instead of generated."""


MediaContent = ImageContent | AudioContent | VideoContent


class AudioOutput(BaseModel):
    """Audio clip as OpenAI types ``message.audio``."""

    id: str
    data: str
    """Base64 of the file."""
    expires_at: int
    transcript: str = ""
    """Text of the whole answer."""


class Media(BaseModel):
    """Media of an answer or of a chunk, by modality."""

    images: list[ImageContent] = []
    audio: AudioOutput | None = None
    """The first audio clip."""
    audios: list[AudioContent] = []
    videos: list[VideoContent] = []


class AssistantMessage(Media):
    """The whole answer."""

    role: Literal["assistant"] = "assistant"
    content: str | list[TextContent | MediaContent]
    """Text; with ``nextgpt.content`` of ``parts``, text and media in output order."""
    refusal: None = None
    parts: list[TextContent | MediaContent] = []
    """Text and media in output order; media are addresses on this server unless ``nextgpt.parts`` is ``b64``."""


class TokenDetails(BaseModel):
    """Kinds of output tokens."""

    reasoning_tokens: int = 0
    image_signal_tokens: int = 0
    audio_signal_tokens: int = 0
    video_signal_tokens: int = 0


class Usage(BaseModel):
    """Token counts of all choices; their common prompt is counted once."""

    prompt_tokens: int
    completion_tokens: int
    total_tokens: int
    completion_tokens_details: TokenDetails


class LLMOutputPart(BaseModel):
    """Text, or the signal tokens of one medium."""

    type: str
    text: str


class Choice(BaseModel):
    """Answer ``index`` of ``n``."""

    index: int
    message: AssistantMessage
    finish_reason: FinishReason
    logprobs: None = None


class AnswerInfo(BaseModel):
    """This project's facts about the answers; lists have one entry per choice."""

    seed: int
    """Seed of the first choice."""
    dropped: list[list[str]]
    """Media that the model began and could not finish."""
    timings_s: list[dict[str, float]]
    """Seconds per stage."""
    truncated_turns: int = 0
    """Oldest turns that the model did not read, because the conversation exceeded its context."""
    warnings: list[str] = []
    """Parts of input files that could not be read."""
    llm_output: list[list[LLMOutputPart]] | None = None
    """Output of the language model with signal tokens, if ``nextgpt.details`` is set."""


class Completion(BaseModel):
    """Fields of answers and chunks."""

    id: str
    created: int
    model: str
    system_fingerprint: None = None


class ChatCompletion(Completion):
    """Answer of ``/v1/chat/completions``."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[Choice]
    usage: Usage
    nextgpt: AnswerInfo


class Delta(Media):
    """Part of the answer that a chunk adds."""

    role: Literal["assistant"] | None = None
    content: str | None = None


class ChunkChoice(BaseModel):
    """Chunk of one choice."""

    index: int
    delta: Delta
    finish_reason: FinishReason | None
    logprobs: None


class ChunkInfo(BaseModel):
    """This project's addition to a chunk: progress of a medium, or facts at the end of an answer."""

    event: Literal["progress"] | None = None
    modality: str | None = None
    step: int | None = None
    total: int | None = None
    preview: str | None = None
    """Preview image as a data URI."""
    waveform: list[float] | None = None
    """Loudness over time, 0 to 1: the preview of an audio clip."""
    seed: int | None = None
    dropped: list[str] | None = None
    timings_s: dict[str, float] | None = None
    truncated_turns: int | None = None
    warnings: list[str] | None = None
    llm_output: list[LLMOutputPart] | None = None


class ChatCompletionChunk(Completion):
    """Event of a streamed answer."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[ChunkChoice]
    usage: Usage | None = None
    nextgpt: ChunkInfo | None = None


def build_message(parts: Sequence[Text | StoredMedium], options: NextGPTOptions) -> AssistantMessage:
    """Build the message of a whole answer."""
    content = _content(parts, is_inline=options.media == "b64")
    if options.content == "parts":
        return AssistantMessage(content=content)
    text = "".join(map(TextJoiner().add, parts))
    audio = next((part for part in parts if isinstance(part, StoredMedium) and part.modality == "audio"), None)
    return AssistantMessage(
        content=text,
        images=[part for part in content if isinstance(part, ImageContent)],
        audio=audio_output(audio, text) if audio else None,
        audios=[part for part in content if isinstance(part, AudioContent)],
        videos=[part for part in content if isinstance(part, VideoContent)],
        parts=_content(parts, is_inline=options.parts == "b64"),
    )


def _content(parts: Sequence[Text | StoredMedium], *, is_inline: bool) -> list[TextContent | MediaContent]:
    return [
        TextContent(text=part.text) if isinstance(part, Text) else media_content(part, is_inline=is_inline)
        for part in parts
    ]


def media_content(medium: StoredMedium, *, is_inline: bool) -> MediaContent:
    """Build the content part of a medium; clients can send it back as it is."""
    data_uri = f"data:{medium.file.media_type};base64,{medium.base64}" if is_inline else None
    url = MediaUrl(url=data_uri or medium.url)
    fields: dict[str, Any] = {"id": medium.file.id, **attribution_field(medium)}
    if medium.modality == "image":
        return ImageContent(type="image_url", image_url=url, **fields)
    if medium.modality == "audio":
        return AudioContent(type="audio_url", audio_url=url, **fields)
    return VideoContent(type="video_url", video_url=url, **fields)


def audio_output(medium: StoredMedium, transcript: str = "") -> AudioOutput:
    """Build OpenAI's ``message.audio``."""
    file = medium.file
    return AudioOutput(id=file.id, data=medium.base64, expires_at=file.expires_at, transcript=transcript)


def media_delta(medium: StoredMedium, *, is_inline: bool, is_first_audio: bool) -> Delta:
    """Build the delta of a finished medium."""
    content = media_content(medium, is_inline=is_inline)
    if isinstance(content, ImageContent):
        return Delta(images=[content])
    if isinstance(content, VideoContent):
        return Delta(videos=[content])
    return Delta(audios=[content], audio=audio_output(medium)) if is_first_audio else Delta(audios=[content])


def build_usage(outputs: Sequence[RequestOutput]) -> Usage:
    """Sum the tokens of all choices."""
    prompt = outputs[0].prompt_tokens if outputs else 0
    completion = sum(output.completion_tokens for output in outputs)
    modalities = [part.modality for output in outputs for part in output.reply.parts]
    details = {f"{name}_signal_tokens": row.signal_count * modalities.count(name) for name, row in MODALITIES.items()}
    return Usage(
        prompt_tokens=prompt,
        completion_tokens=completion,
        total_tokens=prompt + completion,
        completion_tokens_details=TokenDetails(reasoning_tokens=0, **details),
    )


def progress_info(event: DenoisingProgress) -> ChunkInfo:
    """Describe one denoising step; clients that do not know the field ignore it."""
    info: dict[str, Any] = {"modality": event.modality, "step": event.step, "total": event.total}
    if isinstance(event.preview, Audio):
        info["waveform"] = waveform(event.preview)
    elif (preview := preview_png(event)) is not None:
        info["preview"] = f"data:image/png;base64,{preview}"
    return ChunkInfo(event="progress", **info)


def answer_info(outputs: Sequence[RequestOutput], *, has_details: bool) -> AnswerInfo:
    """Collect the facts about all choices."""
    return AnswerInfo(
        seed=outputs[0].reply.seed,
        dropped=[list(output.reply.dropped) for output in outputs],
        timings_s=[_rounded(output.reply.timings_s) for output in outputs],
        truncated_turns=outputs[0].reply.truncated_turns,
        warnings=list(outputs[0].reply.warnings),
        llm_output=[llm_output(output) for output in outputs] if has_details else None,
    )


def end_info(output: RequestOutput, *, has_details: bool) -> ChunkInfo:
    """Collect the facts about one choice, for its last chunk."""
    reply = output.reply
    details: dict[str, Any] = {"llm_output": llm_output(output)} if has_details else {}
    return ChunkInfo(
        seed=reply.seed,
        dropped=list(reply.dropped),
        timings_s=_rounded(reply.timings_s),
        truncated_turns=reply.truncated_turns,
        warnings=list(reply.warnings),
        **details,
    )


def llm_output(output: RequestOutput) -> list[LLMOutputPart]:
    """Return an answer as the language model emitted it, with signal tokens in place of media.

    ::

        "A cat: " <image>    ->    text "A cat: "    image "[IMG0][IMG1][IMG2][IMG3]"
    """
    return [
        LLMOutputPart(type=part.modality, text=part.text if isinstance(part, Text) else _span(part, output.edits))
        for part in output.reply.parts
    ]


def _span(medium: Medium, edits: Collection[bytes]) -> str:
    tokens = "".join(MODALITIES[medium.modality].signal_tokens)
    return f"{EDIT_TOKEN}{tokens}" if medium.digest in edits else tokens


def _rounded(timings_s: Any) -> dict[str, float]:
    return {name: round(seconds, 4) for name, seconds in timings_s.items()}


def waveform(audio: Audio) -> list[float]:
    """Return loudness over time: at most :data:`WAVEFORM_BARS` peaks, the highest 1."""
    samples = np.abs(audio.samples).max(axis=0)
    if not len(samples):
        return [0.0]
    peaks = [float(chunk.max()) for chunk in np.array_split(samples, min(WAVEFORM_BARS, len(samples)))]
    highest = max(*peaks, 1e-6)
    return [round(peak / highest, 2) for peak in peaks]


def preview_png(event: DenoisingProgress) -> str | None:
    """Return the preview of an image, or the middle frame of a video, as a base64 PNG; audio has none."""
    medium = event.preview
    if isinstance(medium, Image):
        image = medium.image
    elif isinstance(medium, Video):
        image = PIL.Image.fromarray(medium.frames[len(medium.frames) // 2])
    else:
        return None
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode("ascii")


def is_preview_due(event: DenoisingProgress, num_sent: int, num_wanted: int) -> bool:
    """Return whether to send the next preview of an image; previews are spread evenly over the steps."""
    is_wanted = num_sent < num_wanted and event.step < event.total
    return is_wanted and event.step * (num_wanted + 1) >= event.total * (num_sent + 1)


class CompletionBuilder:
    """Builds one answer or the chunks of one stream, all with the same id."""

    def __init__(self, model: str) -> None:
        self._fields: dict[str, Any] = {
            "id": f"chatcmpl-{secrets.token_hex(16)}",
            "created": int(time.time()),
            "model": model,
            "system_fingerprint": None,
        }

    def completion(
        self, messages: Sequence[AssistantMessage], outputs: Sequence[RequestOutput], *, has_details: bool
    ) -> ChatCompletion:
        """Build the answer from the message and output of each choice."""
        pairs = enumerate(zip(messages, outputs, strict=True))
        return ChatCompletion(
            **self._fields,
            choices=[
                Choice(index=index, message=message, finish_reason=output.finish_reason)
                for index, (message, output) in pairs
            ],
            usage=build_usage(outputs),
            nextgpt=answer_info(outputs, has_details=has_details),
        )

    def chunk(
        self, index: int, delta: Delta, *, finish_reason: FinishReason | None = None, info: ChunkInfo | None = None
    ) -> ChatCompletionChunk:
        """Build a chunk of one choice."""
        choice = ChunkChoice(index=index, delta=delta, finish_reason=finish_reason, logprobs=None)
        return self._chunk([choice], {} if info is None else {"nextgpt": info})

    def usage_chunk(self, outputs: Sequence[RequestOutput]) -> ChatCompletionChunk:
        """Build the last chunk, which has the usage and no choice."""
        return self._chunk([], {"usage": build_usage(outputs)})

    def _chunk(self, choices: list[ChunkChoice], fields: dict[str, Any]) -> ChatCompletionChunk:
        # Chunks are sent with the fields that were set, so defaults are spelled out here.
        return ChatCompletionChunk(object="chat.completion.chunk", choices=choices, **self._fields, **fields)
