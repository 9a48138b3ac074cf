"""The table of modalities: their names, signal tokens and file suffixes; independent of encoders and synthesizers.

ARCHITECTURE.md, "How to add", lists what else a new modality needs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

ModalityName = Literal["text", "image", "audio", "video"]


@dataclass(frozen=True)
class Modality:
    """A media modality that the model can output."""

    name: ModalityName
    signal_prefix: str
    """Signal tokens are written ``[<prefix>0]`` ... as in the paper's code."""
    signal_count: int
    """Signal tokens per generated medium (paper code: 4, 8, 24)."""
    suffix: str
    """File suffix of what is written."""
    noun: str
    """Noun for one medium in prompts, as in "Describe this image."."""

    @property
    def signal_tokens(self) -> tuple[str, ...]:
        """The signal tokens in order, e.g. ``("[IMG0]", "[IMG1]", "[IMG2]", "[IMG3]")``."""
        return tuple(f"[{self.signal_prefix}{i}]" for i in range(self.signal_count))


IMAGE = Modality("image", signal_prefix="IMG", signal_count=4, suffix=".png", noun="image")
AUDIO = Modality("audio", signal_prefix="AUD", signal_count=8, suffix=".wav", noun="audio clip")
VIDEO = Modality("video", signal_prefix="VID", signal_count=24, suffix=".mp4", noun="video")

MODALITIES: dict[str, Modality] = {modality.name: modality for modality in (IMAGE, AUDIO, VIDEO)}
"""The media modalities, always in this order."""

INPUT_ONLY_SUFFIXES = {"depth": ".npy", "thermal": ".npy", "imu": ".csv"}
"""Input-only modalities, which have no signal tokens, and the suffixes of their files."""
SUFFIXES: dict[str, str] = {name: row.suffix for name, row in MODALITIES.items()} | INPUT_ONLY_SUFFIXES
"""File suffixes of all media that a conversation may hold."""

EDIT_TOKEN = "[EDIT]"
"""Precedes a span of signal tokens: synthesis starts from the latents of the last medium of that modality."""
