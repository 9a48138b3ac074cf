"""The application: routes behind a guard, around an engine."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from fastapi import FastAPI

from nextgpt.serve.context import Service
from nextgpt.serve.decoding import Decoder
from nextgpt.serve.engine.base import Engine
from nextgpt.serve.errors import install_handlers
from nextgpt.serve.fetch import Resolve, Transport
from nextgpt.serve.files import FileStore
from nextgpt.serve.guard import Guard
from nextgpt.serve.jobs import VideoJobs
from nextgpt.serve.metrics import Metrics
from nextgpt.serve.routes import ROUTERS
from nextgpt.serve.settings import ServerSettings

logger = logging.getLogger("nextgpt.serve")

SHUTDOWN_S = 20.0
"""How long answers that are being made may go on when the server stops; then they are called off."""


def create_app(
    engine: Engine,
    settings: ServerSettings = ServerSettings(),
    *,
    mount: Sequence[tuple[str, Callable[[FastAPI], None]]] = (),
    resolve: Resolve | None = None,
    transport: Transport | None = None,
) -> FastAPI:
    """Build the application; the engine is started and closed with it.

    Args:
        mount: Other pages, such as a web chat: the path under which they stand, and what puts them into the app.
            They stand behind the same guard, and bring their own Content-Security-Policy.
        resolve: Replaces the system's resolver, in tests.
        transport: Replaces the network, in tests.
    """
    metrics = Metrics(lambda: engine.waiting)
    service = Service(
        engine=engine,
        settings=settings,
        files=FileStore(
            keep_s=settings.file_s, quota_bytes=settings.files_bytes, quota_files=settings.files_count
        ),
        decoder=Decoder(settings.media_limits, memory_bytes=settings.decode_memory_bytes),
        metrics=metrics,
        jobs=VideoJobs(keep_s=settings.file_s),
        resolve=resolve,
        transport=transport,
    )

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        engine.observe = metrics.stage
        engine.start()
        try:
            yield
        finally:
            logger.info("stopping: %d answers are being made", engine.waiting)
            await asyncio.to_thread(engine.close, wait_s=SHUTDOWN_S)  # films that are jobs may still go on
            service.close()

    app = FastAPI(
        title="NExT-GPT",
        summary="Any mix of modalities in and out.",
        lifespan=lifespan,
        docs_url=None,  # routes/docs.py shows them without another server's scripts
        redoc_url=None,
    )
    app.state.service = service
    install_handlers(app)
    for router in ROUTERS:
        app.include_router(router)
    for _, install in mount:
        install(app)
    app.add_middleware(Guard, settings=settings, metrics=metrics, pages=[path for path, _ in mount])
    return app
