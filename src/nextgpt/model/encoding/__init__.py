"""Encode media to features: ImageBind as in NExT-GPT, or SigLIP with CLAP under free licences."""

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
from nextgpt.model.encoding.imagebind import ImageBind
from nextgpt.model.encoding.loading import build_encoder, load_encoder, save_encoder
from nextgpt.model.encoding.siglip_clap import SiglipClap, SiglipClapConfig

__all__ = [
    "AudioTower",
    "DepthTower",
    "Encoder",
    "EncoderConfig",
    "Features",
    "ImageBind",
    "ImuTower",
    "SiglipClap",
    "SiglipClapConfig",
    "TextTower",
    "ThermalTower",
    "VisionTower",
    "build_encoder",
    "imagebind_huge",
    "load_encoder",
    "save_encoder",
]
