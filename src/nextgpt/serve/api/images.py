"""``/v1/images/generations`` and ``/v1/images/edits``: pictures from words, and from pictures and words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from nextgpt.message import DenoisingProgress, Image, Medium
from nextgpt.serve.api.common import require_medium
from nextgpt.serve.api.forms import parse_json_or_form
from nextgpt.serve.engine.base import RequestHandle, RequestOutput
from nextgpt.serve.errors import ApiError, error_body, to_api_error
from nextgpt.serve.protocol.media import ImageGenerationRequest, json_or_form_schema, to_medium_samplings
from nextgpt.serve.protocol.responses import MediaStore, StoredMedium, preview_png
from nextgpt.serve.state import AppState, get_state
from nextgpt.serve.streaming import EventStream, cancel_on_disconnect, data, merge_streams

router = APIRouter(tags=["images"])


@router.post("/v1/images/generations", response_model=None)
async def generate(request: Request, body: ImageGenerationRequest) -> Response:
    """Make pictures from words."""
    return await _make(request, body, [])


@router.post(
    "/v1/images/edits",
    response_model=None,
    openapi_extra=json_or_form_schema(ImageGenerationRequest, "image"),
)
async def edit(request: Request) -> Response:
    """Make pictures from pictures and words."""
    at = get_state(request)
    body, files = await parse_json_or_form(
        request, ImageGenerationRequest, "image", most_bytes=at.settings.max_medium_bytes
    )
    if not files:
        raise ApiError(
            400, "No image came; expected at least one file in the form. Attach one.", param="image"
        )
    reader = at.request_parser(request)
    return await _make(request, body, [await reader.file(file, "image", "image") for file in files])


async def _make(request: Request, body: ImageGenerationRequest, given: list[Medium]) -> Response:
    at = get_state(request)
    at.check_model(body.model)
    wanted = to_medium_samplings(body, "image", at.engine.modalities, at.settings, is_edit=bool(given))
    tickets = at.submit_media(
        body.prompt, given, wanted, has_previews=body.stream and body.partial_images > 0
    )
    publisher = at.media_store(request)
    if body.stream:
        kind = "image_edit" if given else "image_generation"
        return EventStream(_stream(tickets, publisher, body, kind), keepalive_s=at.settings.keepalive_s)
    return await cancel_on_disconnect(request.receive, _whole(at, tickets, publisher, body))


async def _whole(
    at: AppState, tickets: Sequence[RequestHandle], publisher: MediaStore, body: ImageGenerationRequest
) -> Response:
    try:
        answers = await asyncio.gather(*(ticket.result() for ticket in tickets))
    finally:
        for ticket in tickets:
            ticket.cancel()
    media = [require_medium(answer, "image") for answer in answers]
    made = [await publisher.publish(medium) for medium in media]
    content = {
        "created": int(time.time()),
        "data": [_entry(item, body) for item in made],
        "output_format": "png",
        "size": _size(media[0]),
        "usage": _usage(answers),
    }
    return JSONResponse(content)


def _entry(made: StoredMedium, body: ImageGenerationRequest) -> dict[str, Any]:
    if body.response_format == "url":
        return {"url": f"/v1/files/{made.file.id}/content", "id": made.file.id}
    return {"b64_json": made.base64, "id": made.file.id}


async def _stream(
    tickets: Sequence[RequestHandle], publisher: MediaStore, body: ImageGenerationRequest, kind: str
) -> AsyncIterator[bytes]:
    """``<kind>.partial_image`` on the way, ``<kind>.completed`` at the end of each picture."""
    told = [0] * len(tickets)
    try:
        async with aclosing(merge_streams(tickets)) as events:
            async for index, event in events:
                if isinstance(event, DenoisingProgress) and _is_due(event, told[index], body):
                    preview = await asyncio.to_thread(preview_png, event)
                    partial = {"b64_json": preview, "partial_image_index": told[index], "index": index}
                    told[index] += 1
                    yield data(
                        _frame(f"{kind}.partial_image", event.preview) | partial,
                        event=f"{kind}.partial_image",
                    )
                elif isinstance(event, RequestOutput):
                    picture = require_medium(event, "image")
                    made = await publisher.publish(picture)
                    whole = {
                        "b64_json": made.base64,
                        "id": made.file.id,
                        "index": index,
                        "usage": _usage([event]),
                    }
                    yield data(_frame(f"{kind}.completed", picture) | whole, event=f"{kind}.completed")
    except Exception as error:
        failed = to_api_error(error)
        yield data(error_body(failed.status_code, str(failed.detail), code=failed.code), event="error")
    finally:
        for ticket in tickets:
            ticket.cancel()


def _is_due(event: DenoisingProgress, told: int, body: ImageGenerationRequest) -> bool:
    """Whether the next of the previews, spread evenly over the steps, is to be shown."""
    is_wanted = told < body.partial_images and event.step < event.total
    return is_wanted and event.step * (body.partial_images + 1) >= event.total * (told + 1)


def _frame(kind: str, picture: Medium | None) -> dict[str, Any]:
    return {
        "type": kind,
        "created_at": int(time.time()),
        "size": _size(picture),
        "quality": "auto",
        "background": "opaque",
        "output_format": "png",
    }


def _size(picture: Medium | None) -> str:
    return f"{picture.image.width}x{picture.image.height}" if isinstance(picture, Image) else "auto"


def _usage(answers: Sequence[RequestOutput]) -> dict[str, Any]:
    given = answers[0].prompt_tokens
    made = sum(answer.completion_tokens for answer in answers)
    details = {"text_tokens": given, "image_tokens": 0}
    return {
        "input_tokens": given,
        "output_tokens": made,
        "total_tokens": given + made,
        "input_tokens_details": details,
    }
