"""What Ray reads from the environment when it is imported; imports nothing of it."""

from __future__ import annotations

import os

from nextgpt.serve.engine.ray.config import RayConfig


def configure_ray_environment(settings: RayConfig) -> None:
    """Set what is not set. Nothing is reported to anybody; a cluster of our own stays on loopback.

    Ray takes the machine's address even where loopback is named, unless it believes that clusters are off; and it makes
    replicas less urgent than the process that started them.
    """
    values = {"RAY_USAGE_STATS_ENABLED": "0"}
    if settings.is_own:
        values |= {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_worker_niceness": "0"}
    for name, value in values.items():
        os.environ.setdefault(name, value)
