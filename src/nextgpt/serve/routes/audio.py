"""``/v1/audio/generate``: sounds from words. This model makes sounds, not speech."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Body, Request
from starlette.responses import Response

from nextgpt.serve.context import Service, service
from nextgpt.serve.engine.base import Ticket
from nextgpt.serve.errors import ApiError
from nextgpt.serve.making import first_medium
from nextgpt.serve.routes.files import as_download
from nextgpt.serve.sse import while_connected
from nextgpt.serve.wire.answer import Publisher
from nextgpt.serve.wire.media import SoundRequest, medium_samplings

router = APIRouter(tags=["audio"])


@router.post("/v1/audio/generate", response_model=None)
@router.post("/v1/sound-generation", response_model=None)
async def generate(request: Request, body: SoundRequest) -> Response:
    """Make a sound from words; the answer is the file, and ``X-File-Id`` names it."""
    at = service(request)
    at.check_model(body.model)
    (sampling, *more) = medium_samplings(body, "audio", at.engine.modalities, at.settings)
    if more:
        raise ApiError(
            400, f"n is {body.n}; expected 1, as the answer is one file. Ask again for more.", param="n"
        )
    (ticket,) = at.order(body.prompt, [], [sampling])
    publisher = at.publisher(request, audio_suffix=f".{body.response_format}")
    return await while_connected(request.receive, _whole(at, ticket, publisher))


async def _whole(at: Service, ticket: Ticket, publisher: Publisher) -> Response:
    made = await publisher.publish(first_medium(await ticket.answer(), "audio"))
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
