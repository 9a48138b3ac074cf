"""The whole server as one application of Ray Serve, for clusters that are told what to run by a file.

``import_path: nextgpt.serve.engine.ray.application:build`` in a Serve config or a Kubernetes RayService; see deploy/.
Requests come through Ray's own HTTP proxy, which reads them whole before they are judged here: bound them before it.
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
    """What the file says under ``args``."""

    model: str = "nano"
    server: ServerSettings = ServerSettings(allowed_hosts=("*",))
    """Keys are not to stand in a file: those of NEXTGPT_API_KEY, separated by blanks, are added."""
    engine: EngineSettings = EngineSettings()
    ray: RayConfig = RayConfig()
    insecure: bool = False
    """Serve without a key."""


@serve.ingress()
class HttpReplica:
    """Takes requests; files and jobs are kept here, so there is one of it."""

    def __init__(self, arguments: Arguments, steps: dict[str, DeploymentHandle]) -> None:
        keys = (*arguments.server.api_keys, *os.environ.get("NEXTGPT_API_KEY", "").split())
        if not keys and not arguments.insecure:
            raise ConfigError(
                "No API key came; expected one, as others can reach a cluster. Set NEXTGPT_API_KEY, or insecure."
            )
        self._settings = arguments.server.model_copy(update={"api_keys": keys})
        self._arguments = arguments
        self._steps = steps

    def __serve_build_asgi_app__(self) -> Any:
        from nextgpt.serve.app import create_app

        at, steps = self._arguments, self._steps
        engine = RayEngine(at.model, at.model, at.engine, at.ray, connect=lambda: stage_handles(steps))
        return create_app(engine, self._settings)


def build(values: dict[str, Any]) -> serve.Application:
    """The application, from the ``args`` of a file."""
    arguments = parse_config(Arguments, values, where="args")
    http = serve.deployment(
        HttpReplica,
        name="http",
        num_replicas=1,
        max_ongoing_requests=arguments.engine.max_waiting,
        ray_actor_options={"num_cpus": 0.5},
    )
    return http.bind(arguments, deployments(arguments.model, arguments.engine, arguments.ray))
