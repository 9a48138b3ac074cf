"""``/v1/audio/generate``: audio from text. The model generates sounds and music, not speech."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from nextgpt.serve.api.http_responses import binary_response, file_response
from nextgpt.serve.engine.base import RequestHandle
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.media import AudioGenerationRequest, to_medium_samplings
from nextgpt.serve.protocol.media_store import MediaStore, require_medium
from nextgpt.serve.state import get_state
from nextgpt.serve.streaming import cancel_on_disconnect

router = APIRouter(tags=["audio"])
RESPONSES: dict[int | str, dict[str, Any]] = {200: binary_response("audio/wav", "audio/mpeg", "audio/flac")}


@router.post("/v1/audio/generate", response_class=Response, responses=RESPONSES)
@router.post("/v1/sound-generation", response_class=Response, responses=RESPONSES)
async def create_audio(request: Request, body: AudioGenerationRequest) -> Response:
    """Generate an audio clip and return its file; the header ``X-File-Id`` has its id."""
    state = get_state(request)
    state.check_model(body.model)
    samplings = to_medium_samplings(body, "audio", state.engine.modalities, state.settings)
    if len(samplings) > 1:
        raise ApiError(400, f"n is {body.n}; expected 1, because the response is one file.", param="n")
    (handle,) = state.submit_media(body.prompt, [], samplings)
    store = state.media_store(request, audio_suffix=f".{body.response_format}")
    return await cancel_on_disconnect(request.receive, _file_response(handle, store))


async def _file_response(handle: RequestHandle, store: MediaStore) -> Response:
    medium = await store.store(require_medium(await handle.result(), "audio"))
    return file_response(medium.file, medium.content)


@router.post("/v1/audio/speech", include_in_schema=False)
async def reject_speech(body: Annotated[dict[str, Any] | None, Body()] = None) -> Response:
    """Refuse: the model has no voice. The status is one that clients do not retry."""
    raise ApiError(
        400, "This model generates sounds and music and has no voice. Use /v1/audio/generate.", code="not_supported"
    )
