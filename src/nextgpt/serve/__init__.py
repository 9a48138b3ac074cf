"""The HTTP server: any client of OpenAI's API talks to the model. It knows the model only through an engine.

::

    request --guard--> route --wire--> Conversation --engine--> events --wire--> answer or stream
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextgpt.serve.app import create_app as create_app
    from nextgpt.serve.engine import BatchingEngine as BatchingEngine
    from nextgpt.serve.settings import ServerSettings as ServerSettings

_HOMES = {
    "create_app": "nextgpt.serve.app",
    "BatchingEngine": "nextgpt.serve.engine",
    "ServerSettings": "nextgpt.serve.settings",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(_HOMES[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
