"""Assembly of the application: middlewares, routes and the chat page around an engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
from fastapi import FastAPI

from nextgpt.serve import static_page
from nextgpt.serve.api import add_routes
from nextgpt.serve.engine.base import Engine
from nextgpt.serve.errors import register_error_handlers
from nextgpt.serve.file_store import FileStore, remove_leftovers
from nextgpt.serve.media_decoder import SandboxedDecoder
from nextgpt.serve.metrics import Metrics
from nextgpt.serve.middleware import add_middlewares
from nextgpt.serve.response_store import ResponseStore
from nextgpt.serve.settings import ServerSettings
from nextgpt.serve.state import AppState
from nextgpt.serve.url_fetch import Resolve
from nextgpt.serve.video_jobs import VideoJobs

logger = logging.getLogger("nextgpt.serve")

SHUTDOWN_TIMEOUT_S = 20.0
"""Time that unfinished requests have when the server stops; then they are cancelled."""


def create_app(
    engine: Engine,
    settings: ServerSettings = ServerSettings(),
    *,
    resolve: Resolve | None = None,
    transport: httpx.AsyncBaseTransport | None = None,
) -> FastAPI:
    """Build the application; it starts and closes the engine.

    Args:
        resolve: Replaces the system's resolver for media URLs, in tests.
        transport: Replaces the network for media URLs, in tests.
    """
    metrics = Metrics(lambda: engine.num_unfinished)
    state = AppState(
        engine=engine,
        settings=settings,
        files=FileStore(
            ttl_s=settings.file_ttl_s,
            max_bytes_per_owner=settings.max_file_bytes_per_owner,
            max_files_per_owner=settings.max_files_per_owner,
        ),
        media_decoder=SandboxedDecoder(
            settings.media_limits,
            memory_bytes=settings.decode_memory_bytes,
            max_media_bytes=settings.max_total_media_bytes,
        ),
        metrics=metrics,
        jobs=VideoJobs(ttl_s=settings.file_ttl_s),
        responses=ResponseStore(
            ttl_s=settings.file_ttl_s,
            max_responses=settings.max_responses_per_owner,
            max_bytes=settings.max_response_bytes_per_owner,
            max_total_bytes=settings.max_response_bytes,
        ),
        resolve=resolve,
        transport=transport,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine.on_stage_time = metrics.record_stage
        engine.start()
        await asyncio.to_thread(remove_leftovers)
        try:
            yield
        finally:
            logger.info("stopping; unfinished requests: %d", engine.num_unfinished)
            await asyncio.to_thread(engine.close, wait_s=SHUTDOWN_TIMEOUT_S)
            state.close()

    app = FastAPI(
        title="NExT-GPT",
        summary="Any mix of text, images, audio and video in; any mix out.",
        lifespan=lifespan,
        docs_url=None,  # api/docs.py serves Swagger UI from this server alone
        redoc_url=None,
        strict_content_type=False,  # scripts often send JSON without its type
    )
    app.state.nextgpt = state
    register_error_handlers(app)
    add_routes(app)
    app.include_router(static_page.router)
    add_middlewares(app, settings, metrics)
    return app
