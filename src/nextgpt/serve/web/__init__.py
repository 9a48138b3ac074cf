"""The web chat: a page on the server's own app. Pure steps in small files; only ``page.py`` knows Gradio.

::

    act --acts, turns--> Conversation --engine--> events --live--> answer so far --view--> data --static/--> the page
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextgpt.serve.web.mounting import MOUNT as MOUNT

__all__ = ["MOUNT"]


def __getattr__(name: str) -> Any:
    if name in __all__:
        return getattr(importlib.import_module("nextgpt.serve.web.mounting"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
