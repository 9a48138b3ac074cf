"""How the steps are spread over a Ray cluster: one YAML, read by ``nextgpt serve --engine ray --config FILE``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml
from pydantic import Field, model_validator

from nextgpt.config import Config, parse_config
from nextgpt.errors import ConfigError


class StageConfig(Config):
    """The replicas of one step."""

    min_replicas: int = Field(1, ge=1)
    max_replicas: int = Field(1, ge=1)
    """More than ``min_replicas``: replicas come and go with the number of requests."""
    max_ongoing_requests: int = Field(64, ge=1)
    """Requests that one replica works on at a time; more wait before it."""
    target_ongoing_requests: float = Field(16.0, gt=0)
    """Requests a replica, on average, at which another one is started."""
    num_cpus: float = Field(0.25, ge=0)
    """Of the cluster's processors, by its book-keeping; nothing is bound to them."""
    num_gpus: float = Field(0.0, ge=0)
    """Above 0 the step computes on CUDA."""
    resources: dict[str, float] = Field(default_factory=dict)
    """The cluster's own resources, e.g. ``{"a100": 1}``."""
    num_threads: int = Field(1, ge=1)
    """Threads that torch uses in one replica."""

    @model_validator(mode="after")
    def _grows(self) -> StageConfig:
        if self.max_replicas < self.min_replicas:
            raise ValueError(f"max_replicas is {self.max_replicas}; expected at least min_replicas")
        return self

    def deployment_options(self) -> dict[str, Any]:
        """The same in Ray Serve's words."""
        actor = {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus, "resources": dict(self.resources)}
        options: dict[str, Any] = {
            "ray_actor_options": actor,
            "max_ongoing_requests": self.max_ongoing_requests,
        }
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
        """Where torch computes."""
        return "cuda" if self.num_gpus else "cpu"


class RayConfig(Config):
    """Where the steps run."""

    address: str = "local"
    """``local``: a cluster of this command's own, on loopback; ``auto`` or ``host:port``: one that is running."""
    encoder: StageConfig = StageConfig()
    llm: StageConfig = StageConfig()
    image: StageConfig = StageConfig()
    audio: StageConfig = StageConfig()
    video: StageConfig = StageConfig()
    max_attempts: int = Field(5, ge=1)
    """How often a step is asked before an answer fails, where its replicas die."""
    stage_timeout_s: float = Field(300.0, gt=0)
    """Silence of a step after which an answer fails."""

    @property
    def is_own(self) -> bool:
        """Whether the command starts a Ray of its own."""
        return self.address == "local"

    def stage(self, name: str) -> StageConfig:
        """The settings of a step by its name."""
        found = getattr(self, name)
        assert isinstance(found, StageConfig), f"{name} is a step"
        return found


def read_ray_config(path: Path) -> RayConfig:
    """Read a file of settings. Raises :class:`ConfigError`."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(
            f"{path} cannot be read ({error}); expected YAML with the steps' settings. docs/serving.md shows one."
        ) from None
    if not isinstance(values or {}, dict):
        raise ConfigError(
            f"{path} holds a {type(values).__name__}; expected keys such as llm. See docs/serving.md."
        )
    return parse_config(RayConfig, values or {}, where=str(path))
