"""Engines: what answers conversations for the server. One file an implementation; imported when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextgpt.serve.engine.base import Engine as Engine
    from nextgpt.serve.engine.base import EngineError as EngineError
    from nextgpt.serve.engine.base import EngineRequest as EngineRequest
    from nextgpt.serve.engine.base import EngineSettings as EngineSettings
    from nextgpt.serve.engine.base import QueueFullError as QueueFullError
    from nextgpt.serve.engine.base import RequestHandle as RequestHandle
    from nextgpt.serve.engine.base import RequestOutput as RequestOutput
    from nextgpt.serve.engine.local import LocalEngine as LocalEngine
    from nextgpt.testing.serial_engine import SerialEngine as SerialEngine

_HOMES = {
    "nextgpt.serve.engine.base": (
        "RequestOutput",
        "Busy",
        "Engine",
        "EngineError",
        "EngineSettings",
        "Job",
        "RequestHandle",
    ),
    "nextgpt.serve.engine.local": ("LocalEngine",),
    "nextgpt.testing.serial_engine": ("SerialEngine",),
}

__all__ = [name for names in _HOMES.values() for name in names]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
