"""``/v1/models``: the served model with its modalities and limits."""

from __future__ import annotations

import asyncio
import time
from dataclasses import asdict

from fastapi import APIRouter, Request

from nextgpt.miniworld.knowledge import knowledge_of
from nextgpt.modality import MODALITIES
from nextgpt.serve.protocol.media import Knowledge, ModelList, ModelResource, RequestLimits
from nextgpt.serve.state import AppState, get_state

router = APIRouter(tags=["models"])
STARTED_AT = int(time.time())


@router.get("/v1/models")
async def list_models(request: Request) -> ModelList:
    """List the served model."""
    return ModelList(data=[await _resource(get_state(request))])


@router.get("/v1/models/{name:path}")
async def get_model(request: Request, name: str) -> ModelResource:
    """Describe the served model."""
    state = get_state(request)
    state.check_model(name)
    return await _resource(state)


async def _resource(state: AppState) -> ModelResource:
    engine = state.engine
    knowledge = knowledge_of(engine.name)
    limits = {name: getattr(state.settings, name) for name in RequestLimits.model_fields}
    return ModelResource(
        id=engine.name,
        created=STARTED_AT,
        input_modalities=["text", *MODALITIES],
        output_modalities=list(engine.modalities),
        embedding_modalities=list(await asyncio.to_thread(lambda: engine.embedding_modalities)),
        vias=list(engine.vias),
        default_via=state.settings.via,
        knowledge=None if knowledge is None else Knowledge(**asdict(knowledge)),
        limits=RequestLimits(**limits),
    )
