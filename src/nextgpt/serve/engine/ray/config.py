"""Distribution of the stages over a Ray cluster: one YAML file for ``nextgpt serve --engine ray --config FILE``."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, model_validator

from nextgpt.config import Config, parse_config
from nextgpt.errors import ConfigError
from nextgpt.text_files import read_text


class StageConfig(Config):
    """Replicas of one stage."""

    min_replicas: int = Field(1, ge=1)
    max_replicas: int = Field(1, ge=1)
    """More than ``min_replicas`` turns autoscaling on."""
    max_ongoing_requests: int = Field(64, ge=1)
    """Requests that one replica handles concurrently; more are queued before it."""
    target_ongoing_requests: float = Field(16.0, gt=0)
    """Average requests per replica above which another replica is started."""
    num_cpus: float = Field(0.25, ge=0)
    """CPUs that Ray reserves per replica; nothing is pinned to them."""
    num_gpus: float = Field(0.0, ge=0)
    """GPUs that Ray reserves per replica; above 0 the stage runs on CUDA."""
    resources: dict[str, float] = Field(default_factory=dict)
    """Custom resources of the cluster, e.g. ``{"a100": 1}``."""
    num_threads: int = Field(1, ge=1)
    """Threads of torch per replica."""

    @model_validator(mode="after")
    def _check_replicas(self) -> StageConfig:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas is {self.max_replicas}; expected at least min_replicas")
        return self

    def deployment_options(self) -> dict[str, Any]:
        """Return the options of the Ray Serve deployment."""
        actor = {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus, "resources": dict(self.resources)}
        options: dict[str, Any] = {"ray_actor_options": actor, "max_ongoing_requests": self.max_ongoing_requests}
        if self.max_replicas == self.min_replicas:
            return options | {"num_replicas": self.min_replicas}
        scaling = {
            "min_replicas": self.min_replicas,
            "max_replicas": self.max_replicas,
            "target_ongoing_requests": self.target_ongoing_requests,
        }
        return options | {"autoscaling_config": scaling}

    @property
    def device(self) -> str:
        """Device of torch."""
        return "cuda" if self.num_gpus else "cpu"


class RayConfig(Config):
    """The cluster, its stages, and retries."""

    address: str = "local"
    """``local``: start a cluster on loopback; ``auto`` or ``host:port``: connect to a running one."""
    encoder: StageConfig = StageConfig()
    llm: StageConfig = StageConfig()
    image: StageConfig = StageConfig()
    audio: StageConfig = StageConfig()
    video: StageConfig = StageConfig()
    max_attempts: int = Field(5, ge=1)
    """Attempts per stage if replicas die; then the request fails."""
    stage_timeout_s: float = Field(300.0, gt=0)
    """Time without any event of a stage after which the request fails."""

    @property
    def is_own(self) -> bool:
        """True if the cluster is started and stopped by this process."""
        return self.address == "local"

    def stage(self, name: str) -> StageConfig:
        """Return the config of a stage by its name."""
        stage = getattr(self, name)
        assert isinstance(stage, StageConfig), f"{name} is a stage"
        return stage


def read_ray_config(path: Path) -> RayConfig:
    """Read a config file. Raises :class:`ConfigError`."""
    try:
        values = yaml.safe_load(read_text(path))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); expected YAML. docs/serving.md shows one.") from None
    if not isinstance(values or {}, dict):
        kind = type(values).__name__
        raise ConfigError(f"{path}: got a {kind}; expected keys such as llm. docs/serving.md shows some.")
    return parse_config(RayConfig, values or {}, where=str(path))


def configure_ray_environment(config: RayConfig) -> None:
    """Set environment variables that Ray reads when it is imported; those that are already set stay.

    Usage reports are turned off. A cluster of our own stays on loopback: Ray uses the machine's address even if
    loopback is named, unless it believes that clusters are unsupported. Replicas run at this process's priority.
    """
    variables = {"RAY_USAGE_STATS_ENABLED": "0"}
    if config.is_own:
        variables |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_worker_niceness": "0"}
    for name, value in variables.items():
        os.environ.setdefault(name, value)
