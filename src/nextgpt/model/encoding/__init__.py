"""Step 1: media to features. ``base.py`` says what an encoder is, ``imagebind.py`` is the one of NExT-GPT."""

from __future__ import annotations

from nextgpt.model.encoding.base import Encoder, Features
from nextgpt.model.encoding.config import (
    AudioTower,
    DepthTower,
    EncoderConfig,
    ImuTower,
    TextTower,
    ThermalTower,
    VisionTower,
    imagebind_huge,
)
from nextgpt.model.encoding.folder import load_encoder, save_encoder
from nextgpt.model.encoding.imagebind import ImageBind

__all__ = [
    "AudioTower",
    "DepthTower",
    "Encoder",
    "EncoderConfig",
    "Features",
    "ImageBind",
    "ImuTower",
    "TextTower",
    "ThermalTower",
    "VisionTower",
    "imagebind_huge",
    "load_encoder",
    "save_encoder",
]
