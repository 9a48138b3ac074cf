"""``/v1/models``: what is served, and what it takes and gives."""

from __future__ import annotations

import time
from typing import Any

from fastapi import APIRouter, Request

from nextgpt.modality import MODALITIES
from nextgpt.serve.context import Service, service

router = APIRouter(tags=["models"])
STARTED = int(time.time())


@router.get("/v1/models")
async def models(request: Request) -> dict[str, Any]:
    """List the model that is served."""
    return {"object": "list", "data": [_model(service(request))]}


@router.get("/v1/models/{name:path}")
async def model(request: Request, name: str) -> dict[str, Any]:
    """Describe the model that is served."""
    at = service(request)
    at.check_model(name)
    return _model(at)


def _model(at: Service) -> dict[str, Any]:
    return {
        "id": at.engine.name,
        "object": "model",
        "created": STARTED,
        "owned_by": "nextgpt",
        "input_modalities": ["text", *MODALITIES],
        "output_modalities": list(at.engine.modalities),
    }
