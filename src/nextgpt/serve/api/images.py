"""``/v1/images/generations`` and ``/v1/images/edits``: images from text, and from images and text."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nextgpt.message import DenoisingProgress, Image, Medium
from nextgpt.serve.api.forms import parse_json_or_form
from nextgpt.serve.api.http_responses import event_stream_response, json_response
from nextgpt.serve.engine.base import RequestHandle, RequestOutput
from nextgpt.serve.errors import ApiError, error_body, to_api_error
from nextgpt.serve.protocol.chat_completion import is_preview_due, preview_png
from nextgpt.serve.protocol.media import (
    ImageEntry,
    ImageEvent,
    ImageGenerationRequest,
    ImageInputTokenDetails,
    ImagesResponse,
    ImageUsage,
    json_or_form_schema,
    to_medium_samplings,
)
from nextgpt.serve.protocol.media_store import MediaStore, StoredMedium, require_medium
from nextgpt.serve.state import get_state
from nextgpt.serve.streaming import KEEPALIVE, EventStream, cancel_on_disconnect, format_sse, merge_streams

router = APIRouter(tags=["images"])
RESPONSES: dict[int | str, dict[str, Any]] = {200: event_stream_response(ImageEvent)}


@router.post("/v1/images/generations", response_model=ImagesResponse, responses=RESPONSES)
async def create_image(request: Request, body: ImageGenerationRequest) -> Response:
    """Generate images from text."""
    return await _generate(request, body, [])


@router.post(
    "/v1/images/edits",
    response_model=ImagesResponse,
    responses=RESPONSES,
    openapi_extra=json_or_form_schema(ImageGenerationRequest, "image"),
)
async def create_image_edit(request: Request) -> Response:
    """Generate images from images and text."""
    state = get_state(request)
    max_bytes = state.settings.max_medium_bytes
    body, files = await parse_json_or_form(request, ImageGenerationRequest, "image", max_bytes=max_bytes)
    if not files:
        raise ApiError(400, "image is missing; expected at least one file.", param="image")
    parser = state.request_parser(request)
    return await _generate(request, body, [await parser.medium(file, "image", "image") for file in files])


async def _generate(request: Request, body: ImageGenerationRequest, inputs: list[Medium]) -> Response:
    state = get_state(request)
    state.check_model(body.model)
    samplings = to_medium_samplings(body, "image", state.engine.modalities, state.settings, is_edit=bool(inputs))
    has_previews = body.stream and body.partial_images > 0
    handles = state.submit_media(body.prompt, inputs, samplings, has_previews=has_previews)
    store = state.media_store(request)
    if body.stream:
        kind = "image_edit" if inputs else "image_generation"
        keepalive_s = state.settings.keepalive_s
        return EventStream(_event_stream(handles, store, body, kind, keepalive_s=keepalive_s), handles)
    return await cancel_on_disconnect(request.receive, _json_response(handles, store, body))


async def _json_response(handles: Sequence[RequestHandle], store: MediaStore, body: ImageGenerationRequest) -> Response:
    try:
        outputs = await asyncio.gather(*(handle.result() for handle in handles))
    finally:
        for handle in handles:
            handle.cancel()
    media = [require_medium(output, "image") for output in outputs]
    content = ImagesResponse(
        created=int(time.time()),
        data=[_entry(await store.store(medium), body) for medium in media],
        output_format="png",
        size=_size(media[0]),
        usage=_usage(outputs),
    )
    return json_response(content, exclude_unset=True)


def _entry(medium: StoredMedium, body: ImageGenerationRequest) -> ImageEntry:
    if body.response_format == "url":
        return ImageEntry(url=medium.url, id=medium.file.id)
    return ImageEntry(b64_json=medium.base64, id=medium.file.id)


async def _event_stream(
    handles: Sequence[RequestHandle], store: MediaStore, body: ImageGenerationRequest, kind: str, *, keepalive_s: float
) -> AsyncGenerator[bytes]:
    """Yield ``<kind>.partial_image`` events and a ``<kind>.completed`` event per image."""
    num_previews = [0] * len(handles)
    try:
        async with aclosing(merge_streams(handles, keepalive_s=keepalive_s)) as events:
            async for index, event in events:
                if event is None:
                    yield KEEPALIVE
                elif isinstance(event, DenoisingProgress) and is_preview_due(
                    event, num_previews[index], body.partial_images
                ):
                    name = f"{kind}.partial_image"
                    fields = _event_fields(name, event.preview, index) | {
                        "b64_json": await asyncio.to_thread(preview_png, event),
                        "partial_image_index": num_previews[index],
                    }
                    num_previews[index] += 1
                    yield format_sse(ImageEvent(**fields), event=name)
                elif isinstance(event, RequestOutput):
                    name = f"{kind}.completed"
                    medium = await store.store(image := require_medium(event, "image"))
                    fields = _event_fields(name, image, index) | {
                        "b64_json": medium.base64,
                        "id": medium.file.id,
                        "usage": _usage([event]),
                    }
                    yield format_sse(ImageEvent(**fields), event=name)
    except Exception as error:
        yield format_sse(error_body(to_api_error(error)), event="error")


def _event_fields(name: str, image: Medium | None, index: int) -> dict[str, Any]:
    return {
        "type": name,
        "created_at": int(time.time()),
        "size": _size(image),
        "index": index,
        "quality": "auto",
        "background": "opaque",
        "output_format": "png",
    }


def _size(image: Medium | None) -> str:
    return f"{image.image.width}x{image.image.height}" if isinstance(image, Image) else "auto"


def _usage(outputs: Sequence[RequestOutput]) -> ImageUsage:
    num_inputs = outputs[0].prompt_tokens
    num_outputs = sum(output.completion_tokens for output in outputs)
    return ImageUsage(
        input_tokens=num_inputs,
        output_tokens=num_outputs,
        total_tokens=num_inputs + num_outputs,
        input_tokens_details=ImageInputTokenDetails(text_tokens=num_inputs, image_tokens=0),
    )
