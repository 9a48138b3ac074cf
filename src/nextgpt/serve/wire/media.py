"""Requests for one kind of medium, as OpenAI's clients send them, and how they are asked of the model.

A medium is asked for as a conversation in which nothing else may be answered, with room for its signal tokens alone.
"""

from __future__ import annotations

import secrets
from typing import Any, Literal

from pydantic import BaseModel, Field

from nextgpt.message import Sampling
from nextgpt.modality import MODALITIES
from nextgpt.serve.settings import ServerSettings
from nextgpt.serve.wire.chat import (
    CHOICE_STRIDE,
    SEEDS,
    Lenient,
    MediumOptions,
    check_at_most,
    check_modalities,
    check_options,
)

PROMPT_CHARACTERS = 32_000


class MediumRequest(Lenient):
    """A medium to be made from words. Sizes and lengths are the model's own; what a client asks for is passed over."""

    prompt: str = Field(max_length=PROMPT_CHARACTERS)
    model: str | None = None
    n: int = Field(1, ge=1)
    seed: int | None = Field(None, ge=0, lt=2**63 - 2**20)
    num_inference_steps: int | None = Field(None, ge=1)
    guidance_scale: float | None = Field(None, ge=1)


class ImageRequest(MediumRequest):
    """``/v1/images/generations`` and ``/v1/images/edits``."""

    stream: bool = False
    partial_images: int = Field(0, ge=0, le=3)
    """Previews on the way, of a stream."""
    response_format: Literal["b64_json", "url"] = "b64_json"


class SoundRequest(MediumRequest):
    """``/v1/audio/generate``."""

    response_format: Literal["wav", "mp3", "flac"] = "wav"


class VideoRequest(MediumRequest):
    """``/v1/videos``."""

    seconds: str | int | None = None
    size: str | None = Field(None, max_length=20)


def medium_samplings(
    request: MediumRequest,
    modality: str,
    known: tuple[str, ...],
    settings: ServerSettings,
    *,
    is_edit: bool = False,
) -> list[Sampling]:
    """How each of the ``n`` media is to be made. Raises :class:`~nextgpt.serve.errors.ApiError` beyond the ceilings."""
    check_modalities([modality], known)
    check_at_most("n", request.n, settings.choices)
    options = MediumOptions(
        num_inference_steps=request.num_inference_steps, guidance_scale=request.guidance_scale
    )
    check_options(options, settings, "the request")
    seed = secrets.randbelow(SEEDS) if request.seed is None else request.seed
    return [
        Sampling(
            seed=seed + CHOICE_STRIDE * choice,
            max_tokens=MODALITIES[modality].signal_count + int(is_edit),  # an edit says so with one token
            modalities=(modality,),
            steps=request.num_inference_steps,
            guidance=request.guidance_scale,
        )
        for choice in range(request.n)
    ]


def form_schema(kind: type[BaseModel], files: str) -> dict[str, Any]:
    """What ``/docs`` says of a request that may come as JSON, or as a form whose field ``files`` brings files."""
    schema = kind.model_json_schema()

    def with_files(field: dict[str, Any]) -> dict[str, Any]:
        return {"schema": schema | {"properties": schema["properties"] | {files: field}}}

    named = {"type": "string", "description": "A data: URI, or the id of an uploaded file."}
    content = {
        "application/json": with_files(named),
        "multipart/form-data": with_files({"type": "string", "format": "binary"}),
    }
    return {"requestBody": {"required": True, "content": content}}
