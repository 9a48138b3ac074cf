"""The whole server as one Ray Serve application, for clusters that run what a config file names.

``import_path: nextgpt.serve.ray_application:build`` in a Serve config or a Kubernetes RayService; see deploy/.
Ray's own HTTP proxy reads requests completely before this code sees them: limit their size in front of it.
"""

from __future__ import annotations

import os
from typing import Any

from ray import serve
from ray.serve.handle import DeploymentHandle

from nextgpt.config import Config, parse_config
from nextgpt.errors import ConfigError
from nextgpt.serve.engine.base import EngineSettings
from nextgpt.serve.engine.ray.cluster import deployments, stage_handles
from nextgpt.serve.engine.ray.config import RayConfig
from nextgpt.serve.engine.ray.engine import RayEngine
from nextgpt.serve.settings import ServerSettings


class Arguments(Config):
    """Content of ``args`` in the file."""

    model: str = "nano"
    server: ServerSettings = ServerSettings(allowed_hosts=("*",))
    """Keep API keys out of the file: those of NEXTGPT_API_KEY, separated by spaces, are added."""
    engine: EngineSettings = EngineSettings()
    ray: RayConfig = RayConfig()
    insecure: bool = False
    """Whether to serve without an API key."""


@serve.ingress()
class HttpReplica:
    """HTTP server; it holds files and jobs, so there is exactly one replica."""

    def __init__(self, arguments: Arguments, handles: dict[str, DeploymentHandle]) -> None:
        keys = (*arguments.server.api_keys, *os.environ.get("NEXTGPT_API_KEY", "").split())
        if not keys and not arguments.insecure:
            raise ConfigError("No API key is set, and others can reach a cluster. Set NEXTGPT_API_KEY, or insecure.")
        self._settings = arguments.server.model_copy(update={"api_keys": keys})
        self._arguments = arguments
        self._handles = handles

    def __serve_build_asgi_app__(self) -> Any:
        from nextgpt.serve.app import create_app

        model, settings, ray = self._arguments.model, self._arguments.engine, self._arguments.ray
        engine = RayEngine(model, model, settings, ray, connect=lambda: stage_handles(self._handles))
        return create_app(engine, self._settings)


def build(values: dict[str, Any]) -> serve.Application:
    """Build the application from the ``args`` of a file."""
    arguments = parse_config(Arguments, values, where="args")
    http = serve.deployment(
        HttpReplica,
        name="http",
        num_replicas=1,
        max_ongoing_requests=arguments.engine.max_waiting,
        ray_actor_options={"num_cpus": 0.5},
    )
    return http.bind(arguments, deployments(arguments.model, arguments.engine, arguments.ray))
