"""NExT-GPT: any mix of text, images, audio and video in, any mix of text, images, audio and video out."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nextgpt.errors import NextGPTError as NextGPTError
    from nextgpt.message import Audio as Audio
    from nextgpt.message import Conversation as Conversation
    from nextgpt.message import DenoisingProgress as DenoisingProgress
    from nextgpt.message import Depth as Depth
    from nextgpt.message import Image as Image
    from nextgpt.message import Imu as Imu
    from nextgpt.message import MediumFinished as MediumFinished
    from nextgpt.message import Message as Message
    from nextgpt.message import Reply as Reply
    from nextgpt.message import ReplyFinished as ReplyFinished
    from nextgpt.message import Sampling as Sampling
    from nextgpt.message import Text as Text
    from nextgpt.message import TextDelta as TextDelta
    from nextgpt.message import Thermal as Thermal
    from nextgpt.message import Video as Video
    from nextgpt.model.nextgpt import NextGPT as NextGPT

_MODULES = {
    "nextgpt.model.nextgpt": ("NextGPT",),
    "nextgpt.message": (
        "Conversation",
        "Message",
        "Text",
        "Image",
        "Audio",
        "Video",
        "Depth",
        "Thermal",
        "Imu",
        "Reply",
        "Sampling",
        "TextDelta",
        "DenoisingProgress",
        "MediumFinished",
        "ReplyFinished",
    ),
    "nextgpt.errors": ("NextGPTError",),
}
"""Public names by module; imported on first use, so that ``import nextgpt`` is instant."""

__all__ = [name for names in _MODULES.values() for name in names]


def __getattr__(name: str) -> Any:
    for module, names in _MODULES.items():
        if name in names:
            return getattr(importlib.import_module(module), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
