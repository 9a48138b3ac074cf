"""``/v1/videos``: films as jobs, which are asked after until they are done."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nextgpt.serve.context import owner, service
from nextgpt.serve.engine.base import Ticket
from nextgpt.serve.errors import ApiError
from nextgpt.serve.jobs import VideoJob
from nextgpt.serve.making import first_medium
from nextgpt.serve.routes.files import as_download
from nextgpt.serve.sse import while_connected
from nextgpt.serve.uploads import read_form
from nextgpt.serve.wire.answer import Publisher
from nextgpt.serve.wire.media import VideoRequest, form_schema, medium_samplings

router = APIRouter(tags=["videos"])
SCHEMA = form_schema(VideoRequest, "input_reference")


@router.post("/v1/videos", openapi_extra=SCHEMA)
async def create(request: Request) -> dict[str, Any]:
    """Begin to make a film from words, or from a picture or film and words."""
    at = service(request)
    body, ticket = await _order(request)
    job = at.jobs.begin(
        ticket, at.publisher(request), owner=owner(request), prompt=body.prompt, model=at.engine.name
    )
    return job.as_openai()


@router.post("/v1/videos/sync", response_model=None, openapi_extra=SCHEMA)
async def make(request: Request) -> Response:
    """Make a film and answer with its file."""
    _, ticket = await _order(request)
    return await while_connected(request.receive, _whole(ticket, service(request).publisher(request)))


@router.get("/v1/videos")
async def videos(request: Request) -> dict[str, Any]:
    """List one's own jobs, the latest first."""
    found = [job.as_openai() for job in service(request).jobs.of(owner(request))]
    return {"object": "list", "data": found, "has_more": False}


@router.get("/v1/videos/{video_id}")
async def about(request: Request, video_id: str) -> dict[str, Any]:
    """How far a job is."""
    return _job(request, video_id).as_openai()


@router.get("/v1/videos/{video_id}/content", response_model=None)
async def content(request: Request, video_id: str, variant: str = "video") -> Response:
    """Give the film of a job that is done."""
    at, job = service(request), _job(request, video_id)
    if variant != "video":
        raise ApiError(
            400, f"variant {variant[:40]!r} came; expected 'video'. Leave it out.", param="variant"
        )
    if job.file is None:
        raise ApiError(
            409,
            f"The film is {job.status}; expected it to be completed. Ask how far it is first.",
            code=job.status,
        )
    return as_download(job.file, at.files.read(job.file.id, owner(request)))


@router.delete("/v1/videos/{video_id}")
async def delete(request: Request, video_id: str) -> dict[str, Any]:
    """Call a job off, or forget its film."""
    at, job = service(request), _job(request, video_id)
    at.jobs.end(job)
    if job.file is not None:
        at.files.delete(job.file.id, owner(request))
    return {"id": job.id, "object": "video.deleted", "deleted": True}


def _job(request: Request, video_id: str) -> VideoJob:
    return service(request).jobs.find(video_id, owner(request))


async def _order(request: Request) -> tuple[VideoRequest, Ticket]:
    at = service(request)
    body, files = await read_form(
        request, VideoRequest, "input_reference", most_bytes=at.settings.medium_bytes
    )
    at.check_model(body.model)
    reader = at.reader(request)
    given = [await reader.file(file, None, "input_reference") for file in files]
    is_edit = any(medium.modality == "video" for medium in given)
    (sampling, *more) = medium_samplings(body, "video", at.engine.modalities, at.settings, is_edit=is_edit)
    if more:
        raise ApiError(
            400, f"n is {body.n}; expected 1, as a job makes one film. Begin several jobs.", param="n"
        )
    (ticket,) = at.order(body.prompt, given, [sampling])
    return body, ticket


async def _whole(ticket: Ticket, publisher: Publisher) -> Response:
    made = await publisher.publish(first_medium(await ticket.answer(), "video"))
    return as_download(made.file, made.content)
