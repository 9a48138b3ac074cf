"""A server in this process: the model, its engine, the app, and uvicorn around them."""

from __future__ import annotations

import logging
import os
import sys
from dataclasses import dataclass

from nextgpt.serve.settings import ServerSettings

UVICORN = {
    "log_level": "warning",
    "access_log": False,
    "server_header": False,
    "timeout_keep_alive": 15,
    "timeout_graceful_shutdown": 20,
    "h11_max_incomplete_event_size": 2**16,
}
"""How every server of ours is run: quiet, nameless, and done with connections that say nothing."""


@dataclass(frozen=True)
class Listen:
    """Where the server listens."""

    host: str
    port: int


def run(
    model: str, listen: Listen, settings: ServerSettings, *, device: str, max_running: int, max_waiting: int
) -> None:
    """Load the model and serve it until a signal comes. Raises :class:`~nextgpt.errors.ModelError`."""
    from nextgpt.cli.loading import keep_libraries_quiet

    keep_libraries_quiet()
    import torch
    import uvicorn

    from nextgpt import NextGPT
    from nextgpt.serve.app import create_app
    from nextgpt.serve.engine import BatchingEngine, EngineSettings
    from nextgpt.serve.web import MOUNT

    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # words and media are made at the same time
    engine = BatchingEngine(
        NextGPT.from_pretrained(model, device=device),
        model,
        EngineSettings(max_running=max_running, max_waiting=max_waiting),
    )
    app = create_app(engine, settings, mount=[MOUNT])
    uvicorn.run(app, host=listen.host, port=listen.port, **UVICORN)
