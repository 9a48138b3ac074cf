"""``/v1/videos``: films as jobs, which are asked after until they are done."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import Response

from nextgpt.serve.api.common import require_medium
from nextgpt.serve.api.files import as_download
from nextgpt.serve.api.forms import parse_json_or_form
from nextgpt.serve.engine.base import RequestHandle
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.media import VideoGenerationRequest, json_or_form_schema, to_medium_samplings
from nextgpt.serve.protocol.responses import MediaStore
from nextgpt.serve.state import get_state, request_owner
from nextgpt.serve.streaming import cancel_on_disconnect
from nextgpt.serve.video_jobs import VideoJob

router = APIRouter(tags=["videos"])
SCHEMA = json_or_form_schema(VideoGenerationRequest, "input_reference")


@router.post("/v1/videos", openapi_extra=SCHEMA)
async def create(request: Request) -> dict[str, Any]:
    """Begin to make a film from words, or from a picture or film and words."""
    at = get_state(request)
    body, ticket = await _order(request)
    job = at.jobs.start(
        ticket,
        at.media_store(request),
        owner=request_owner(request),
        prompt=body.prompt,
        model=at.engine.name,
    )
    return job.as_openai()


@router.post("/v1/videos/sync", response_model=None, openapi_extra=SCHEMA)
async def make(request: Request) -> Response:
    """Make a film and answer with its file."""
    _, ticket = await _order(request)
    return await cancel_on_disconnect(
        request.receive, _whole(ticket, get_state(request).media_store(request))
    )


@router.get("/v1/videos")
async def videos(request: Request) -> dict[str, Any]:
    """List one's own jobs, the latest first."""
    found = [job.as_openai() for job in get_state(request).jobs.list(request_owner(request))]
    return {"object": "list", "data": found, "has_more": False}


@router.get("/v1/videos/{video_id}")
async def about(request: Request, video_id: str) -> dict[str, Any]:
    """How far a job is."""
    return _job(request, video_id).as_openai()


@router.get("/v1/videos/{video_id}/content", response_model=None)
async def content(request: Request, video_id: str, variant: str = "video") -> Response:
    """Give the film of a job that is done."""
    at, job = get_state(request), _job(request, video_id)
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
    return as_download(job.file, at.files.read(job.file.id, request_owner(request)))


@router.delete("/v1/videos/{video_id}")
async def delete(request: Request, video_id: str) -> dict[str, Any]:
    """Call a job off, or forget its film."""
    at, job = get_state(request), _job(request, video_id)
    at.jobs.cancel(job)
    if job.file is not None:
        at.files.delete(job.file.id, request_owner(request))
    return {"id": job.id, "object": "video.deleted", "deleted": True}


def _job(request: Request, video_id: str) -> VideoJob:
    return get_state(request).jobs.get(video_id, request_owner(request))


async def _order(request: Request) -> tuple[VideoGenerationRequest, RequestHandle]:
    at = get_state(request)
    body, files = await parse_json_or_form(
        request, VideoGenerationRequest, "input_reference", most_bytes=at.settings.max_medium_bytes
    )
    at.check_model(body.model)
    reader = at.request_parser(request)
    given = [await reader.file(file, None, "input_reference") for file in files]
    is_edit = any(medium.modality == "video" for medium in given)
    (sampling, *more) = to_medium_samplings(body, "video", at.engine.modalities, at.settings, is_edit=is_edit)
    if more:
        raise ApiError(
            400, f"n is {body.n}; expected 1, as a job makes one film. Begin several jobs.", param="n"
        )
    (ticket,) = at.submit_media(body.prompt, given, [sampling])
    return body, ticket


async def _whole(ticket: RequestHandle, publisher: MediaStore) -> Response:
    made = await publisher.publish(require_medium(await ticket.result(), "video"))
    return as_download(made.file, made.content)
