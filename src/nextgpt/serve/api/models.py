"""``/v1/models``: what is served, and what it takes and gives."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request

from nextgpt.modality import MODALITIES
from nextgpt.serve.settings import ServerSettings
from nextgpt.serve.state import AppState, get_state

router = APIRouter(tags=["models"])
STARTED = int(time.time())


@router.get("/v1/models")
async def models(request: Request) -> dict[str, Any]:
    """List the model that is served."""
    return {"object": "list", "data": [_model(get_state(request))]}


@router.get("/v1/models/{name:path}")
async def model(request: Request, name: str) -> dict[str, Any]:
    """Describe the model that is served."""
    at = get_state(request)
    at.check_model(name)
    return _model(at)


def _model(at: AppState) -> dict[str, Any]:
    return {
        "id": at.engine.name,
        "object": "model",
        "created": STARTED,
        "owned_by": "nextgpt",
        "input_modalities": ["text", *MODALITIES],
        "output_modalities": list(at.engine.modalities),
        "limits": _limits(at.settings),
    }


def _limits(settings: ServerSettings) -> dict[str, float]:
    """Return what a request may ask for; beyond that it is refused."""
    return {
        "max_body_bytes": settings.max_body_bytes,
        "max_medium_bytes": settings.max_medium_bytes,
        "max_media": settings.max_media,
        "max_messages": settings.max_messages,
        "max_tokens": settings.max_tokens,
        "max_inference_steps": settings.max_inference_steps,
        "max_guidance_scale": settings.max_guidance_scale,
    }
