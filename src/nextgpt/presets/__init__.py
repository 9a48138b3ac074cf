"""Models of known design whose weights are not part of the package: one folder of configs per preset."""

from __future__ import annotations

from nextgpt.presets.registry import (
    PRESETS,
    Download,
    Preset,
    PublishedFacts,
    installed_preset_dir,
    preset,
    presets_dir,
    setup_commands,
)

__all__ = [
    "PRESETS",
    "Download",
    "Preset",
    "PublishedFacts",
    "installed_preset_dir",
    "preset",
    "presets_dir",
    "setup_commands",
]
