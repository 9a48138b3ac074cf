"""The deployments, and the Ray cluster on which they run: one on loopback, or a running one."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from nextgpt.config import read_config
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.serve.engine.base import EngineSettings
from nextgpt.serve.engine.ray.config import RayConfig
from nextgpt.serve.engine.ray.engine import StageHandles
from nextgpt.serve.engine.ray.replicas import EncoderReplica, LLMReplica, ReplicaConfig, SynthesizerReplica

logger = logging.getLogger("nextgpt.serve")

OBJECT_STORE_BYTES = 200 * 2**20
"""Shared memory of a cluster on loopback, for media between stages."""
MAX_START_ATTEMPTS = 3
"""Ray's own processes have a few seconds to start, which is too short on a busy machine."""
HEALTH_OPTIONS: dict[str, Any] = {"health_check_period_s": 2.0, "health_check_timeout_s": 30.0}
"""Options that determine how soon a dead replica is replaced."""


def deployments(model: str, settings: EngineSettings, config: RayConfig) -> dict[str, Any]:
    """Return every stage as a Ray Serve application, by name."""

    def bind(kind: type, stage: str, *arguments: object) -> Any:
        own = config.stage(stage)
        deployment = serve.deployment(kind, name=stage, **own.deployment_options(), **HEALTH_OPTIONS)
        return deployment.bind(ReplicaConfig(model, own.device, own.num_threads), *arguments)

    return {
        "encoder": bind(EncoderReplica, "encoder"),
        "llm": bind(LLMReplica, "llm", settings),
        **{
            modality: bind(SynthesizerReplica, modality, settings, modality)
            for modality in read_config(resolve_model_dir(model)).synthesizers
        },
    }


def stage_handles(handles: Mapping[str, DeploymentHandle]) -> StageHandles:
    """Return the methods of running deployments."""
    streams = {name: handle.options(stream=True) for name, handle in handles.items()}
    modalities = [name for name in handles if name not in ("encoder", "llm")]
    return StageHandles(
        encode=handles["encoder"].encode,
        embed=handles["encoder"].embed,
        run_llm=streams["llm"].generate,
        synthesize={modality: streams[modality].synthesize for modality in modalities},
    )


class Cluster:
    """Starts the stages on Ray and stops them; :func:`.config.configure_ray_environment` comes before the import."""

    def __init__(self, model: str, settings: EngineSettings, config: RayConfig) -> None:
        self._model = model
        self._settings = settings
        self._config = config

    def connect(self) -> StageHandles:
        """Start Ray and the deployments; return when every stage has a replica."""
        self._init_ray()
        logging_config = {"log_level": "WARNING", "enable_access_log": False}
        serve.start(proxy_location="Disabled", logging_config=logging_config)
        stages = deployments(self._model, self._settings, self._config)
        targets = [
            serve.RunTarget(target=target, name=_application(name), route_prefix=None)
            for name, target in stages.items()
        ]
        return stage_handles(dict(zip(stages, serve.run_many(targets), strict=True)))

    def _init_ray(self) -> None:
        options: dict[str, Any] = {"log_to_driver": False, "logging_level": logging.WARNING}
        if self._config.is_own:
            options |= {
                "include_dashboard": False,
                "object_store_memory": OBJECT_STORE_BYTES,
                "_node_ip_address": "127.0.0.1",
            }
        for attempt in range(1, MAX_START_ATTEMPTS + 1):
            try:
                ray.init(self._config.address, **options)
                return
            except Exception:
                ray.shutdown()
                if attempt == MAX_START_ATTEMPTS:
                    raise
                logger.warning("Ray did not start; trying again", exc_info=True)

    def disconnect(self) -> None:
        """Stop the deployments, and a cluster on loopback."""
        if not ray.is_initialized():
            return
        if self._config.is_own:
            serve.shutdown()
        else:
            for name in ("encoder", "llm", *read_config(resolve_model_dir(self._model)).synthesizers):
                serve.delete(_application(name), _blocking=False)
        ray.shutdown()


def _application(stage: str) -> str:
    return f"nextgpt-{stage}"
