"""The deployments, and the Ray that they run on: one of our own on loopback, or a cluster that runs already."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

import ray
from ray import serve
from ray.serve.handle import DeploymentHandle

from nextgpt.config import read_config
from nextgpt.model.loading import resolve_model_dir
from nextgpt.serve.engine.base import EngineSettings
from nextgpt.serve.engine.ray.config import RayConfig
from nextgpt.serve.engine.ray.engine import StageHandles
from nextgpt.serve.engine.ray.replicas import EncoderReplica, LLMReplica, ReplicaConfig, SynthesizerReplica

logger = logging.getLogger("nextgpt.serve")

OBJECT_STORE_BYTES = 200 * 2**20
"""Of a cluster of our own: media on their way from step to step."""
TRIES = 3
"""Ray gives its own processes seconds to start, which a busy machine may not."""
HEALTH = {"health_check_period_s": 2.0, "health_check_timeout_s": 30.0}
"""How soon a replica that died is replaced."""


def deployments(model: str, settings: EngineSettings, ray_settings: RayConfig) -> dict[str, Any]:
    """Each step as an application of Ray Serve, by its name."""

    def bound(kind: type, step: str, *arguments: object) -> Any:
        own = ray_settings.stage(step)
        deployment = serve.deployment(kind, name=step, **own.deployment_options(), **HEALTH)
        return deployment.bind(ReplicaConfig(model, own.device, own.num_threads), *arguments)

    return {
        "encoder": bound(EncoderReplica, "encoder"),
        "llm": bound(LLMReplica, "llm", settings),
        **{
            modality: bound(SynthesizerReplica, modality, settings, modality)
            for modality in read_config(resolve_model_dir(model)).synthesizers
        },
    }


def stage_handles(handles: Mapping[str, DeploymentHandle]) -> StageHandles:
    """The methods of deployments that are running."""
    streams = {name: handle.options(stream=True) for name, handle in handles.items()}
    return StageHandles(
        encode=handles["encoder"].encode,
        embed=handles["encoder"].embed,
        run_llm=streams["llm"].speak,
        synthesize={name: streams[name].make for name in handles if name not in ("encoder", "llm")},
    )


class Cluster:
    """Brings the steps up on Ray, and takes them down again. Call :func:`.environment.prepare` before the import."""

    def __init__(self, model: str, settings: EngineSettings, ray_settings: RayConfig) -> None:
        self._model = model
        self._settings = settings
        self._ray = ray_settings

    def connect(self) -> StageHandles:
        """Start what is missing, and wait until every step has a replica."""
        own: dict[str, Any] = {
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
            "_node_ip_address": "127.0.0.1",
        }
        for left in reversed(range(TRIES)):
            try:
                ray.init(
                    self._ray.address,
                    log_to_driver=False,
                    logging_level=logging.WARNING,
                    **(own if self._ray.is_own else {}),
                )
                break
            except Exception:
                ray.shutdown()
                if not left:
                    raise
                logger.warning("Ray did not start; trying again", exc_info=True)
        serve.start(
            proxy_location="Disabled", logging_config={"log_level": "WARNING", "enable_access_log": False}
        )
        targets = [
            serve.RunTarget(target=target, name=self._application(name), route_prefix=None)
            for name, target in deployments(self._model, self._settings, self._ray).items()
        ]
        names = [target.name.rpartition("-")[2] for target in targets]
        return stage_handles(dict(zip(names, serve.run_many(targets), strict=True)))

    def disconnect(self) -> None:
        """End the steps, and a Ray of our own."""
        if not ray.is_initialized():
            return
        if self._ray.is_own:
            serve.shutdown()
        else:
            for name in ("encoder", "llm", *read_config(resolve_model_dir(self._model)).synthesizers):
                serve.delete(self._application(name), _blocking=False)
        ray.shutdown()

    @staticmethod
    def _application(step: str) -> str:
        return f"nextgpt-{step}"
