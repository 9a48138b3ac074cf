"""Engines: what answers conversations for the server. One file an implementation; imported when first used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextgpt.serve.engine.base import Answered as Answered
    from nextgpt.serve.engine.base import Busy as Busy
    from nextgpt.serve.engine.base import Engine as Engine
    from nextgpt.serve.engine.base import EngineFailure as EngineFailure
    from nextgpt.serve.engine.base import EngineSettings as EngineSettings
    from nextgpt.serve.engine.base import Job as Job
    from nextgpt.serve.engine.base import Ticket as Ticket
    from nextgpt.serve.engine.batching import BatchingEngine as BatchingEngine
    from nextgpt.serve.engine.serial import SerialEngine as SerialEngine

_HOMES = {
    "nextgpt.serve.engine.base": (
        "Answered",
        "Busy",
        "Engine",
        "EngineFailure",
        "EngineSettings",
        "Job",
        "Ticket",
    ),
    "nextgpt.serve.engine.batching": ("BatchingEngine",),
    "nextgpt.serve.engine.serial": ("SerialEngine",),
}

__all__ = [name for names in _HOMES.values() for name in names]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
