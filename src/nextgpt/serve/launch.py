"""Start of a server in this process: the model, its engine, the application, and uvicorn around them."""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import sys
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any

import uvicorn

from nextgpt.errors import ConfigError
from nextgpt.serve.app import SHUTDOWN_TIMEOUT_S, create_app
from nextgpt.serve.engine.base import Engine, EngineSettings
from nextgpt.serve.settings import ServerSettings

if TYPE_CHECKING:
    from nextgpt.model.retrieval import RetrievalIndex

logger = logging.getLogger("nextgpt.serve")

UVICORN_OPTIONS: dict[str, Any] = {
    "log_level": "warning",
    "access_log": False,  # middleware/access_log.py writes it
    "server_header": False,
    "timeout_keep_alive": 15,
    "timeout_graceful_shutdown": 30,  # longer than SHUTDOWN_TIMEOUT_S, so that clients receive the error
    "h11_max_incomplete_event_size": 2**16,
}
READY_POLL_S = 0.05


@dataclass(frozen=True)
class BindAddress:
    """Address on which the server listens."""

    host: str
    port: int


def launch(
    model: str,
    address: BindAddress,
    settings: ServerSettings,
    engine_settings: EngineSettings,
    load_options: Mapping[str, Any],
    index: RetrievalIndex | None = None,
) -> None:
    """Load a model and serve it until a signal arrives. Raises :class:`~nextgpt.errors.ModelError`.

    Args:
        load_options: Devices and dtypes, as ``NextGPT.from_pretrained`` takes them.
        index: Index from which requests may retrieve media.
    """
    import torch

    from nextgpt import NextGPT
    from nextgpt.serve.engine.local import LocalEngine

    torch.set_num_threads(max(1, (os.cpu_count() or 2) // 2))  # the LLM and the synthesizers run side by side
    loaded = NextGPT.from_pretrained(model, **load_options, allow_offload=False)
    _serve(LocalEngine(loaded, model, engine_settings, index=index), address, settings)


def launch_ray(
    model: str, address: BindAddress, settings: ServerSettings, engine_settings: EngineSettings, config: Path | None
) -> None:
    """Serve a model whose stages run on Ray until a signal arrives.

    Raises:
        ConfigError: Ray is not installed, or the file ``config`` is invalid.
        ModelError: There is no such model.
    """
    if find_spec("ray") is None:
        raise ConfigError("Ray is not installed. Run pip install 'nextgpt[ray]'.")
    from nextgpt.serve.engine.ray.config import RayConfig, configure_ray_environment, read_ray_config

    ray = RayConfig() if config is None else read_ray_config(config)
    configure_ray_environment(ray)  # before Ray is imported
    from nextgpt.serve.engine.ray.cluster import Cluster
    from nextgpt.serve.engine.ray.engine import RayEngine

    cluster = Cluster(model, engine_settings, ray)
    connect, disconnect = cluster.connect, cluster.disconnect
    engine = RayEngine(model, model, engine_settings, ray, connect=connect, disconnect=disconnect)
    _serve(engine, address, settings)


class GracefulServer(uvicorn.Server):
    """Server that closes its engine as soon as a signal arrives, and logs its addresses and when it is ready."""

    def __init__(self, config: uvicorn.Config, engine: Engine, *, wait_s: float = SHUTDOWN_TIMEOUT_S) -> None:
        super().__init__(config)
        self._engine = engine
        self._close = partial(engine.close, wait_s=wait_s)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Bind the address, then report progress in the background."""
        await super().startup(sockets)
        if self.started:
            self._report = asyncio.create_task(self._log_when_ready())

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Refuse new requests, and cancel unfinished ones after a while."""
        threading.Thread(target=self._close, name="nextgpt-closing", daemon=True).start()
        super().handle_exit(sig, frame)

    async def _log_when_ready(self) -> None:
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        url = f"http://{f'[{host}]' if ':' in host else host}:{port}"
        logger.info(
            "model    %s\nchat     %s/\nAPI      %s/v1\ndocs     %s/docs\nmetrics  %s/metrics\nloading the model",
            self._engine.name,
            *[url] * 4,
        )
        while not self._engine.is_ready and not self.should_exit:
            await asyncio.sleep(READY_POLL_S)
        if self._engine.is_ready:
            logger.info("ready")


def _serve(engine: Engine, address: BindAddress, settings: ServerSettings) -> None:
    logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(message)s")
    app = create_app(engine, settings)
    config = uvicorn.Config(app, host=address.host, port=address.port, **UVICORN_OPTIONS)
    GracefulServer(config, engine).run()
