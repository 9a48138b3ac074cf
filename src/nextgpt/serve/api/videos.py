"""``/v1/videos``: videos as background jobs that the client polls, or at once with ``/v1/videos/sync``."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.responses import Response

from nextgpt.serve.api.forms import parse_json_or_form
from nextgpt.serve.api.http_responses import binary_response, file_response
from nextgpt.serve.engine.base import RequestHandle
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.media import (
    DeletedVideo,
    VideoGenerationRequest,
    VideoList,
    VideoResource,
    json_or_form_schema,
    to_medium_samplings,
)
from nextgpt.serve.protocol.media_store import MediaStore, require_medium
from nextgpt.serve.state import get_state, request_owner
from nextgpt.serve.streaming import cancel_on_disconnect
from nextgpt.serve.video_jobs import VideoJob

router = APIRouter(tags=["videos"])
SCHEMA = json_or_form_schema(VideoGenerationRequest, "input_reference")
VIDEO = binary_response("video/mp4")


@router.post("/v1/videos", openapi_extra=SCHEMA)
async def create_video(request: Request) -> VideoResource:
    """Start to generate a video from text, or from an image or video and text."""
    state = get_state(request)
    body, handle = await _submit(request)
    store = state.media_store(request)
    return state.jobs.start(handle, store, prompt=body.prompt, model=state.engine.name).resource()


@router.post("/v1/videos/sync", response_class=Response, responses={200: VIDEO}, openapi_extra=SCHEMA)
async def create_video_sync(request: Request) -> Response:
    """Generate a video and return its file."""
    _, handle = await _submit(request)
    store = get_state(request).media_store(request)
    return await cancel_on_disconnect(request.receive, _file_response(handle, store))


@router.get("/v1/videos")
async def list_videos(request: Request) -> VideoList:
    """List your jobs, the latest first."""
    jobs = get_state(request).jobs.list(request_owner(request))
    return VideoList(data=[job.resource() for job in jobs])


@router.get("/v1/videos/{video_id}")
async def get_video(request: Request, video_id: str) -> VideoResource:
    """Return the progress of a job."""
    return _job(request, video_id).resource()


@router.get("/v1/videos/{video_id}/content", response_class=Response, responses={200: VIDEO})
async def get_video_content(
    request: Request, video_id: str, variant: Annotated[str, Query(description="Only 'video'.")] = "video"
) -> Response:
    """Return the video of a completed job."""
    state, job = get_state(request), _job(request, video_id)
    if variant != "video":
        raise ApiError(400, f"variant: got {variant[:40]!r}; expected 'video'.", param="variant")
    if job.file is None:
        raise ApiError(409, f"The job is {job.status}; wait until it is completed.", code=job.status)
    return file_response(job.file, state.files.read(job.file.id, request_owner(request)))


@router.delete("/v1/videos/{video_id}")
async def delete_video(request: Request, video_id: str) -> DeletedVideo:
    """Cancel an unfinished job, or remove a finished one with its file."""
    state, job = get_state(request), _job(request, video_id)
    state.jobs.cancel(job)
    if job.file is not None:
        state.files.delete(job.file.id, request_owner(request))
    return DeletedVideo(id=job.id)


def _job(request: Request, video_id: str) -> VideoJob:
    return get_state(request).jobs.get(video_id, request_owner(request))


async def _submit(request: Request) -> tuple[VideoGenerationRequest, RequestHandle]:
    state = get_state(request)
    max_bytes, field = state.settings.max_medium_bytes, "input_reference"
    body, files = await parse_json_or_form(request, VideoGenerationRequest, field, max_bytes=max_bytes)
    state.check_model(body.model)
    parser = state.request_parser(request)
    inputs = [await parser.medium(file, None, field) for file in files]
    is_edit = any(medium.modality == "video" for medium in inputs)
    modalities = state.engine.modalities
    samplings = to_medium_samplings(body, "video", modalities, state.settings, is_edit=is_edit)
    if len(samplings) > 1:
        raise ApiError(400, f"n is {body.n}; expected 1, because a job generates one video.", param="n")
    (handle,) = state.submit_media(body.prompt, inputs, samplings)
    return body, handle


async def _file_response(handle: RequestHandle, store: MediaStore) -> Response:
    medium = await store.store(require_medium(await handle.result(), "video"))
    return file_response(medium.file, medium.content)
