"""A server in this process: the model, its engine, the app, and uvicorn around them."""

from __future__ import annotations

import logging
import os
import sys
import threading
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FrameType

import uvicorn

from nextgpt.cli.memory import Placement
from nextgpt.errors import ConfigError
from nextgpt.serve.app import SHUTDOWN_S, create_app
from nextgpt.serve.engine.base import Engine, EngineSettings
from nextgpt.serve.settings import ServerSettings

UVICORN_OPTIONS = {
    "log_level": "warning",
    "access_log": False,
    "server_header": False,
    "timeout_keep_alive": 15,
    "timeout_graceful_shutdown": 30,  # answers are called off before it, and their clients told
    "h11_max_incomplete_event_size": 2**16,
}
"""How every server of ours is run: quiet, nameless, and done with connections that say nothing."""


@dataclass(frozen=True)
class Listen:
    """Where the server listens."""

    host: str
    port: int


def run(
    model: str, listen: Listen, settings: ServerSettings, room: EngineSettings, placement: Placement
) -> None:
    """Load the model and serve it until a signal comes. Raises :class:`~nextgpt.errors.ModelError`."""
    from nextgpt.cli.loading import keep_libraries_quiet

    keep_libraries_quiet()
    import torch

    from nextgpt import NextGPT
    from nextgpt.serve.engine import LocalEngine

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # words and media are made at the same time
    loaded = NextGPT.from_pretrained(model, **placement.options(), allow_offload=False)
    _serve(LocalEngine(loaded, model, room), listen, settings)


def launch_ray(
    model: str, listen: Listen, settings: ServerSettings, room: EngineSettings, config: Path | None
) -> None:
    """Serve a model whose steps run on Ray until a signal comes.

    Raises:
        ConfigError: Ray is not installed, or ``config`` holds something else than settings of steps.
        ModelError: No such model.
    """
    if find_spec("ray") is None:
        raise ConfigError("Ray is not installed; expected the extra 'ray'. Run pip install 'nextgpt[ray]'.")
    from nextgpt.cli.loading import keep_libraries_quiet

    keep_libraries_quiet()
    from nextgpt.serve.engine.ray.config import RayConfig, read_ray_config
    from nextgpt.serve.engine.ray.environment import configure_ray_environment

    ray = RayConfig() if config is None else read_ray_config(config)
    configure_ray_environment(ray)
    from nextgpt.serve.engine.ray.cluster import Cluster
    from nextgpt.serve.engine.ray.engine import RayEngine

    cluster = Cluster(model, room, ray)
    _serve(
        RayEngine(model, model, room, ray, connect=cluster.connect, disconnect=cluster.disconnect),
        listen,
        settings,
    )


class Server(uvicorn.Server):
    """A server whose engine learns of a signal at once: it takes nothing more, and ends what lasts too long."""

    def __init__(self, config: uvicorn.Config, engine: Engine, *, wait_s: float = SHUTDOWN_S) -> None:
        super().__init__(config)
        self._close = partial(engine.close, wait_s=wait_s)

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Begin to stop."""
        threading.Thread(target=self._close, name="nextgpt-closing", daemon=True).start()
        super().handle_exit(sig, frame)


def _serve(engine: Engine, listen: Listen, settings: ServerSettings) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    app = create_app(engine, settings)
    Server(uvicorn.Config(app, host=listen.host, port=listen.port, **UVICORN_OPTIONS), engine).run()
