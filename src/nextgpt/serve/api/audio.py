"""``/v1/audio/generate``: sounds from words. This model makes sounds, not speech."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from nextgpt.serve.api.common import require_medium
from nextgpt.serve.api.files import as_download
from nextgpt.serve.engine.base import RequestHandle
from nextgpt.serve.errors import ApiError
from nextgpt.serve.protocol.media import AudioGenerationRequest, to_medium_samplings
from nextgpt.serve.protocol.responses import MediaStore
from nextgpt.serve.state import AppState, get_state
from nextgpt.serve.streaming import cancel_on_disconnect

router = APIRouter(tags=["audio"])


@router.post("/v1/audio/generate", response_model=None)
@router.post("/v1/sound-generation", response_model=None)
async def generate(request: Request, body: AudioGenerationRequest) -> Response:
    """Make a sound from words; the answer is the file, and ``X-File-Id`` names it."""
    at = get_state(request)
    at.check_model(body.model)
    (sampling, *more) = to_medium_samplings(body, "audio", at.engine.modalities, at.settings)
    if more:
        raise ApiError(
            400, f"n is {body.n}; expected 1, as the answer is one file. Ask again for more.", param="n"
        )
    (ticket,) = at.submit_media(body.prompt, [], [sampling])
    publisher = at.media_store(request, audio_suffix=f".{body.response_format}")
    return await cancel_on_disconnect(request.receive, _whole(at, ticket, publisher))


async def _whole(at: AppState, ticket: RequestHandle, publisher: MediaStore) -> Response:
    made = await publisher.publish(require_medium(await ticket.result(), "audio"))
    answer = as_download(made.file, made.content)
    answer.headers["X-File-Id"] = made.file.id
    return answer


@router.post("/v1/audio/speech", response_model=None, include_in_schema=False)
async def speech(body: Annotated[dict[str, Any] | None, Body()] = None) -> Response:
    """Refuse: there is no voice in this model."""
    raise ApiError(
        501,
        "Speech was asked for; expected a sound, as this model has no voice. Use /v1/audio/generate.",
        code="speech_not_supported",
    )
