"""``/v1/images/generations`` and ``/v1/images/edits``: pictures from words, and from pictures and words."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import JSONResponse, Response

from nextgpt.message import Image, Medium, Progress
from nextgpt.serve.context import Service, service
from nextgpt.serve.engine.base import Answered, Ticket
from nextgpt.serve.errors import ApiError, as_api_error, envelope
from nextgpt.serve.making import first_medium
from nextgpt.serve.sse import EventStream, data, merged, while_connected
from nextgpt.serve.uploads import read_form
from nextgpt.serve.wire.answer import Published, Publisher, preview_png
from nextgpt.serve.wire.media import ImageRequest, form_schema, medium_samplings

router = APIRouter(tags=["images"])


@router.post("/v1/images/generations", response_model=None)
async def generate(request: Request, body: ImageRequest) -> Response:
    """Make pictures from words."""
    return await _make(request, body, [])


@router.post("/v1/images/edits", response_model=None, openapi_extra=form_schema(ImageRequest, "image"))
async def edit(request: Request) -> Response:
    """Make pictures from pictures and words."""
    at = service(request)
    body, files = await read_form(request, ImageRequest, "image", most_bytes=at.settings.medium_bytes)
    if not files:
        raise ApiError(
            400, "No image came; expected at least one file in the form. Attach one.", param="image"
        )
    reader = at.reader(request)
    return await _make(request, body, [await reader.file(file, "image", "image") for file in files])


async def _make(request: Request, body: ImageRequest, given: list[Medium]) -> Response:
    at = service(request)
    at.check_model(body.model)
    wanted = medium_samplings(body, "image", at.engine.modalities, at.settings, is_edit=bool(given))
    tickets = at.order(body.prompt, given, wanted, has_previews=body.stream and body.partial_images > 0)
    publisher = at.publisher(request)
    if body.stream:
        kind = "image_edit" if given else "image_generation"
        return EventStream(_stream(tickets, publisher, body, kind), keepalive_s=at.settings.keepalive_s)
    return await while_connected(request.receive, _whole(at, tickets, publisher, body))


async def _whole(
    at: Service, tickets: Sequence[Ticket], publisher: Publisher, body: ImageRequest
) -> Response:
    try:
        answers = await asyncio.gather(*(ticket.answer() for ticket in tickets))
    finally:
        for ticket in tickets:
            ticket.cancel()
    media = [first_medium(answer, "image") for answer in answers]
    made = [await publisher.publish(medium) for medium in media]
    content = {
        "created": int(time.time()),
        "data": [_entry(item, body) for item in made],
        "output_format": "png",
        "size": _size(media[0]),
        "usage": _usage(answers),
    }
    return JSONResponse(content)


def _entry(made: Published, body: ImageRequest) -> dict[str, Any]:
    if body.response_format == "url":
        return {"url": f"/v1/files/{made.file.id}/content", "id": made.file.id}
    return {"b64_json": made.base64, "id": made.file.id}


async def _stream(
    tickets: Sequence[Ticket], publisher: Publisher, body: ImageRequest, kind: str
) -> AsyncIterator[bytes]:
    """``<kind>.partial_image`` on the way, ``<kind>.completed`` at the end of each picture."""
    told = [0] * len(tickets)
    try:
        async with aclosing(merged(tickets)) as events:
            async for index, event in events:
                if isinstance(event, Progress) and _is_due(event, told[index], body):
                    preview = await asyncio.to_thread(preview_png, event)
                    partial = {"b64_json": preview, "partial_image_index": told[index], "index": index}
                    told[index] += 1
                    yield data(
                        _frame(f"{kind}.partial_image", event.preview) | partial,
                        event=f"{kind}.partial_image",
                    )
                elif isinstance(event, Answered):
                    picture = first_medium(event, "image")
                    made = await publisher.publish(picture)
                    whole = {
                        "b64_json": made.base64,
                        "id": made.file.id,
                        "index": index,
                        "usage": _usage([event]),
                    }
                    yield data(_frame(f"{kind}.completed", picture) | whole, event=f"{kind}.completed")
    except Exception as error:
        failed = as_api_error(error)
        yield data(envelope(failed.status_code, str(failed.detail), code=failed.code), event="error")
    finally:
        for ticket in tickets:
            ticket.cancel()


def _is_due(event: Progress, told: int, body: ImageRequest) -> bool:
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


def _usage(answers: Sequence[Answered]) -> dict[str, Any]:
    given = answers[0].prompt_tokens
    made = sum(answer.completion_tokens for answer in answers)
    details = {"text_tokens": given, "image_tokens": 0}
    return {
        "input_tokens": given,
        "output_tokens": made,
        "total_tokens": given + made,
        "input_tokens_details": details,
    }
