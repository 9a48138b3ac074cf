"""Tiny parts and fakes that run in a blink, for the project's tests and for those of its users."""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
    "nextgpt.testing.encoders": ("write_tiny_siglip_clap",),
    "nextgpt.testing.fakes": ("FakeEncoder", "FakeSynthesizer"),
    "nextgpt.testing.language_model": ("tiny_language_model",),
    "nextgpt.testing.model": ("fake_model", "tiny_model", "write_tiny_model", "write_tiny_model_of"),
    "nextgpt.testing.scripted": ("ScriptedModel", "film", "picture", "sound"),
    "nextgpt.testing.synthesizers": (
        "write_tiny_ace_step",
        "write_tiny_audioldm",
        "write_tiny_nano",
        "write_tiny_stable_diffusion",
        "write_tiny_wan",
        "write_tiny_z_image",
        "write_tiny_zeroscope",
    ),
    "nextgpt.testing.tokenizer": ("tiny_tokenizer",),
}
"""Names by the module that defines them; imported when first used, as most need torch and some diffusers."""

__all__ = sorted(name for names in _HOMES.values() for name in names)


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(importlib.import_module(home), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
