"""Requests and responses of the routes for one medium: images, audio, video, embeddings, files and models.

A medium is requested from the model as a conversation in which no other modality may be output, with a token limit that
has room for its signal tokens alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from nextgpt.message import Sampling
from nextgpt.modality import MODALITIES
from nextgpt.serve.protocol.chat import (
    SEED_STRIDE,
    ContentPart,
    MediumOptions,
    OpenAIModel,
    Seed,
    check_at_most,
    check_modalities,
    check_options,
    first_seed,
)
from nextgpt.serve.settings import ServerSettings

MAX_TEXT_CHARACTERS = 32_000
ShortText = Annotated[str, Field(max_length=MAX_TEXT_CHARACTERS)]


class MediumRequest(OpenAIModel):
    """Medium to generate from text. Size and length are the model's own; requested ones are ignored."""

    prompt: ShortText
    model: str | None = None
    n: int = Field(1, ge=1)
    seed: Seed | None = None
    num_inference_steps: int | None = Field(None, ge=1)
    guidance_scale: float | None = Field(None, ge=1)


class ImageGenerationRequest(MediumRequest):
    """``/v1/images/generations`` and ``/v1/images/edits``."""

    stream: bool = False
    partial_images: int = Field(0, ge=0, le=3)
    """Previews per image in a stream."""
    response_format: Literal["b64_json", "url"] = "b64_json"


class AudioGenerationRequest(MediumRequest):
    """``/v1/audio/generate``."""

    response_format: Literal["wav", "mp3", "flac"] = "wav"


class VideoGenerationRequest(MediumRequest):
    """``/v1/videos``."""

    seconds: str | int | None = None
    size: str | None = Field(None, max_length=20)


class EmbeddingRequest(OpenAIModel):
    """Texts, or parts as in a chat."""

    input: ShortText | Annotated[list[ShortText | ContentPart], Field(min_length=1, max_length=64)]
    model: str | None = None
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: int | None = None


class ImageEntry(BaseModel):
    """A generated image."""

    id: str
    b64_json: str | None = None
    url: str | None = None


class ImageInputTokenDetails(BaseModel):
    """Kinds of input tokens; the model's prompt is not split further."""

    text_tokens: int
    image_tokens: int = 0


class ImageUsage(BaseModel):
    """Token counts as OpenAI's image routes name them."""

    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: ImageInputTokenDetails


class ImagesResponse(BaseModel):
    """Generated images."""

    created: int
    data: list[ImageEntry]
    output_format: Literal["png"] = "png"
    size: str
    usage: ImageUsage


class ImageEvent(BaseModel):
    """Event of a streamed image: a preview (``….partial_image``) or the image (``….completed``)."""

    type: str
    created_at: int
    size: str
    b64_json: str | None
    index: int
    """Index of the image among ``n``."""
    quality: Literal["auto"] = "auto"
    background: Literal["opaque"] = "opaque"
    output_format: Literal["png"] = "png"
    partial_image_index: int | None = None
    id: str | None = None
    usage: ImageUsage | None = None


class VideoJobError(BaseModel):
    """Reason of a failed video job."""

    code: str
    message: str


class VideoResource(BaseModel):
    """OpenAI's video object."""

    id: str
    object: Literal["video"] = "video"
    model: str
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    """Percent."""
    created_at: int
    completed_at: int | None
    expires_at: int
    prompt: str
    size: str
    seconds: str
    error: VideoJobError | None
    remixed_from_video_id: None = None


class VideoList(BaseModel):
    """Video jobs, the latest first."""

    object: Literal["list"] = "list"
    data: list[VideoResource]
    has_more: Literal[False] = False


class DeletedVideo(BaseModel):
    """Confirmation."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True


class FileResource(BaseModel):
    """OpenAI's file object."""

    id: str
    object: Literal["file"] = "file"
    bytes: int
    created_at: int
    expires_at: int
    filename: str
    purpose: str
    status: Literal["processed"] = "processed"


class FileList(BaseModel):
    """Files, the latest first."""

    object: Literal["list"] = "list"
    data: list[FileResource]
    has_more: Literal[False] = False
    first_id: str | None
    last_id: str | None


class DeletedFile(BaseModel):
    """Confirmation."""

    id: str
    object: Literal["file"] = "file"
    deleted: Literal[True] = True


class Embedding(BaseModel):
    """Vector of length 1."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str
    """Base64 of little-endian float32 if ``encoding_format`` is ``base64``."""


class EmbeddingUsage(BaseModel):
    """Token counts; the encoder counts none."""

    prompt_tokens: int = 0
    total_tokens: int = 0


class EmbeddingList(BaseModel):
    """Vectors in the order of the inputs."""

    object: Literal["list"] = "list"
    model: str
    data: list[Embedding]
    usage: EmbeddingUsage = Field(default_factory=EmbeddingUsage)


class RequestLimits(BaseModel):
    """Limits of a request; requests beyond them are refused, except for ``max_tokens``, which is cut."""

    max_body_bytes: int
    max_medium_bytes: int
    max_media: int
    max_messages: int
    max_tokens: int
    max_inference_steps: int
    max_guidance_scale: float


class Knowledge(BaseModel):
    """Content that an embedded model can generate and describe."""

    objects: list[str]
    colours: list[str]
    backgrounds: list[str]
    places: list[str]
    sounds: list[str]
    patterns: list[str]
    motions: list[str]
    examples: list[str]
    """Requests that it follows."""


class ModelResource(BaseModel):
    """OpenAI's model object with modalities and limits."""

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["nextgpt"] = "nextgpt"
    input_modalities: list[str]
    output_modalities: list[str]
    embedding_modalities: list[str]
    """Modalities that ``/v1/embeddings`` takes."""
    vias: list[str]
    """Values of ``nextgpt.via``: origins of media that conversations may ask for."""
    default_via: str
    limits: RequestLimits
    knowledge: Knowledge | None = None
    """Content that an embedded model can generate and describe; absent for other models."""


class ModelList(BaseModel):
    """Served models."""

    object: Literal["list"] = "list"
    data: list[ModelResource]


def to_medium_samplings(
    request: MediumRequest, modality: str, supported: Sequence[str], settings: ServerSettings, *, is_edit: bool = False
) -> list[Sampling]:
    """Convert a request to one sampling per medium.

    Raises:
        ApiError: The model cannot output the modality, or the request exceeds the server's limits.
    """
    check_modalities([modality], supported)
    check_at_most("n", request.n, settings.max_n)
    options = MediumOptions(num_inference_steps=request.num_inference_steps, guidance_scale=request.guidance_scale)
    check_options(options, settings, "the request")
    seed = first_seed(request.seed)
    return [
        Sampling(
            seed=seed + SEED_STRIDE * choice,
            max_tokens=MODALITIES[modality].signal_count + int(is_edit),  # an edit has one more token
            modalities=(modality,),
            num_inference_steps=request.num_inference_steps,
            guidance_scale=request.guidance_scale,
        )
        for choice in range(request.n)
    ]


def json_or_form_schema(model: type[BaseModel], files: str) -> dict[str, Any]:
    """Return the OpenAPI request body of a route that takes JSON, or a form whose field ``files`` has files."""
    schema = model.model_json_schema()

    def with_files(field: dict[str, Any]) -> dict[str, Any]:
        return {"schema": schema | {"properties": schema["properties"] | {files: field}}}

    reference = {"type": "string", "description": "A data: URI, or the id of an uploaded file."}
    content = {
        "application/json": with_files(reference),
        "multipart/form-data": with_files({"type": "string", "format": "binary"}),
    }
    return {"requestBody": {"required": True, "content": content}}
