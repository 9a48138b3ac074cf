"""Sizes of ImageBind and constants of its preprocessing; the defaults are those of the published ImageBind-huge.

Source: facebookresearch/ImageBind, ``imagebind/models/imagebind_model.py`` and ``imagebind/data.py``.
A modality is a row: one class of sizes here, one stem in ``stems.py``, and a preprocessor where media come in.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Tower(BaseModel):
    """What all towers have: a transformer, and a head that projects into the common space."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int
    blocks: int
    heads: int
    drop_path: float = 0.0
    """Greatest share of residual branches dropped in training, at the last block; it grows linearly with depth."""
    has_input_norm: bool = False
    """A layer norm before the first block."""
    has_bias_kv: bool = False
    """One learned key and value more in every attention."""
    head_dropout: float = 0.0
    scale: float | None = None
    """Length of the vectors that come out: a constant, unless ``is_scale_learned``; ``None`` leaves them at 1."""
    is_scale_learned: bool = False
    """``scale`` is where training starts, at most 100; this is the temperature of the contrastive loss."""

    @model_validator(mode="after")
    def _validate_heads(self) -> Tower:
        if self.width % self.heads:
            raise ValueError(
                f"{self.heads} heads do not divide a width of {self.width}; choose a divisor of it"
            )
        return self


class VisionTower(Tower):
    """Pictures and films. A picture is one frame, repeated to fill a patch in time."""

    width: int = 1280
    blocks: int = 32
    heads: int = 16
    has_input_norm: bool = True
    size_px: int = 224
    """Side of the square that is seen."""
    patch_px: int = 14
    frames: int = 2
    """Frames of one clip of a film."""
    patch_frames: int = 2
    clips: int = 5
    """Clips of a film, evenly placed; equal ones (of short films) are seen once."""
    clip_s: float = 2.0
    crops: Literal[1, 3] = 3
    """Squares cut from a clip: the middle alone, or both ends too."""
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    @model_validator(mode="after")
    def _validate_patches(self) -> VisionTower:
        if self.size_px % self.patch_px or self.frames % self.patch_frames:
            raise ValueError(
                f"patches of {self.patch_frames} frames x {self.patch_px} px do not fill clips of {self.frames} frames "
                f"x {self.size_px} px; choose patch_px and patch_frames that divide them"
            )
        return self


class TextTower(Tower):
    """Texts, read from left to right; the state at the end token stands for the text."""

    width: int = 1024
    blocks: int = 24
    heads: int = 16
    scale: float | None = 1 / 0.07
    is_scale_learned: bool = True
    vocabulary: int = 49408
    positions: int = 77
    start_token_id: int | None = 49406
    end_token_id: int = 49407


class AudioTower(Tower):
    """Sounds, seen as pictures of mel bins x time."""

    width: int = 768
    blocks: int = 12
    heads: int = 12
    drop_path: float = 0.1
    has_bias_kv: bool = True
    scale: float | None = 20.0
    mel_bins: int = 128
    frames: int = 204
    """Columns of 10 ms; 2 s make 198, the rest is filled with zeros."""
    patch: int = 16
    stride: int = 10
    sample_rate_hz: int = 16_000
    clips: int = 3
    """Clips of a sound, evenly placed; equal ones (of short sounds) are heard once."""
    clip_s: float = 2.0
    mean: float = -4.268
    std: float = 9.138


class DepthTower(Tower):
    """Depth maps of one channel."""

    width: int = 384
    blocks: int = 12
    heads: int = 8
    has_bias_kv: bool = True
    scale: float | None = 5.0
    size_px: int = 224
    patch_px: int = 16


class ThermalTower(Tower):
    """Thermal pictures of one channel."""

    width: int = 768
    blocks: int = 12
    heads: int = 12
    has_bias_kv: bool = True
    scale: float | None = 10.0
    size_px: int = 224
    patch_px: int = 16


class ImuTower(Tower):
    """Inertial measurements: accelerometer and gyroscope, three axes each."""

    width: int = 512
    blocks: int = 6
    heads: int = 8
    drop_path: float = 0.7
    has_bias_kv: bool = True
    head_dropout: float = 0.5
    scale: float | None = 5.0
    channels: int = 6
    samples: int = 2000
    window: int = 8
    clip_s: float = 5.0
    """Length of a clip, which ``samples`` fill (ImageBind's paper, section 4)."""


class EncoderConfig(BaseModel):
    """One ImageBind. A tower that is ``None`` is not built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int = 1024
    """Length E of the vectors of the common space."""
    features: Literal["pooled", "patches", "tokens"] = "pooled"
    """What :meth:`ImageBind.encode` gives: one vector a medium (version 1 of the paper), one a patch (version 2), or
    both, the medium's before its patches', with the length of pooled ones."""
    vision: VisionTower | None = VisionTower()
    text: TextTower | None = TextTower()
    audio: AudioTower | None = AudioTower()
    depth: DepthTower | None = None
    thermal: ThermalTower | None = None
    imu: ImuTower | None = None

    @property
    def towers(self) -> dict[str, Tower]:
        """The towers that are built, by name, in the published order."""
        towers = {name: getattr(self, name) for name in TOWER_NAMES}
        return {name: tower for name, tower in towers.items() if tower is not None}


TOWER_NAMES = ("vision", "text", "audio", "depth", "thermal", "imu")


def imagebind_huge() -> EncoderConfig:
    """The published model with all six towers: 1,200,781,057 parameters."""
    return EncoderConfig(depth=DepthTower(), thermal=ThermalTower(), imu=ImuTower())
