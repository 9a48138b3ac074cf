"""``/v1/models``: the served model with its modalities and limits."""

from __future__ import annotations

import time

from fastapi import APIRouter, Request

from nextgpt.modality import MODALITIES
from nextgpt.serve.protocol.media import ModelList, ModelResource, RequestLimits
from nextgpt.serve.state import AppState, get_state

router = APIRouter(tags=["models"])
STARTED_AT = int(time.time())


@router.get("/v1/models")
async def list_models(request: Request) -> ModelList:
    """List the served model."""
    return ModelList(data=[_resource(get_state(request))])


@router.get("/v1/models/{name:path}")
async def get_model(request: Request, name: str) -> ModelResource:
    """Describe the served model."""
    state = get_state(request)
    state.check_model(name)
    return _resource(state)


def _resource(state: AppState) -> ModelResource:
    limits = {name: getattr(state.settings, name) for name in RequestLimits.model_fields}
    return ModelResource(
        id=state.engine.name,
        created=STARTED_AT,
        input_modalities=["text", *MODALITIES],
        output_modalities=list(state.engine.modalities),
        limits=RequestLimits(**limits),
    )
