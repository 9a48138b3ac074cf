"""Configuration of ImageBind and its preprocessing; the defaults are those of the published ImageBind-huge.

Source: facebookresearch/ImageBind, ``imagebind/models/imagebind_model.py`` and ``imagebind/data.py``.
A modality has one config class here, one stem in ``stems.py``, and one preprocessor.
"""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, model_validator

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)


class Tower(BaseModel):
    """Common settings of all towers: a transformer, and a head that projects into the shared space."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    width: int
    blocks: int
    heads: int
    drop_path: float = 0.0
    """Stochastic depth rate of the last block; it grows linearly with depth."""
    has_input_norm: bool = False
    """Layer norm before the first block."""
    has_bias_kv: bool = False
    """Additional learned key and value in each attention layer."""
    head_dropout: float = 0.0
    scale: float | None = None
    """Norm of the output vectors. ``None``: 1."""
    is_scale_learned: bool = False
    """Train the scale, up to 100; it is the inverse temperature of the contrastive loss."""

    @model_validator(mode="after")
    def _validate_heads(self) -> Tower:
        if self.width % self.heads:
            raise ValueError(f"width {self.width} is not divisible by {self.heads} heads; choose a divisor")
        return self


LastClip = Literal["at_end", "before_end"]
"""Start of clip i of n in T seconds: ``at_end`` i (T - clip_s) / (n - 1), ``before_end`` i (T - clip_s) / n.

The latter is that of pytorchvideo 0.1.5, which NExT-GPT pinned: the end of the medium is not reached.
"""


class VisionTower(Tower):
    """Images and video. An image is one frame, repeated to fill a patch in time."""

    width: int = 1280
    blocks: int = 32
    heads: int = 16
    has_input_norm: bool = True
    size_px: int = 224
    """Side of the square input."""
    patch_px: int = 14
    frames: int = 2
    """Frames per video clip."""
    patch_frames: int = 2
    clips: int = 5
    """Video clips, evenly spaced; duplicates (of short videos) are encoded once."""
    clip_s: float = 2.0
    last_clip: LastClip = "at_end"
    crops: Literal[1, 3] = 3
    """Square crops per clip: the center, or both ends as well."""
    mean: tuple[float, float, float] = CLIP_MEAN
    std: tuple[float, float, float] = CLIP_STD

    @model_validator(mode="after")
    def _validate_patches(self) -> VisionTower:
        if self.size_px % self.patch_px or self.frames % self.patch_frames:
            raise ValueError(
                f"clips of {self.frames} frames x {self.size_px} px are not divisible into patches of "
                f"{self.patch_frames} frames x {self.patch_px} px; choose patch_px and patch_frames that divide them"
            )
        return self


class TextTower(Tower):
    """Texts, with causal attention; the state at the end token represents the text."""

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
    """Audio, as mel spectrograms (mel bins x time)."""

    width: int = 768
    blocks: int = 12
    heads: int = 12
    drop_path: float = 0.1
    has_bias_kv: bool = True
    scale: float | None = 20.0
    mel_bins: int = 128
    frames: int = 204
    """Spectrogram frames of 10 ms; 2 s have 198, the rest is zero padding."""
    patch: int = 16
    stride: int = 10
    sample_rate_hz: int = 16_000
    clips: int = 3
    """Audio clips, evenly spaced; duplicates (of short audio) are encoded once."""
    clip_s: float = 2.0
    last_clip: LastClip = "at_end"
    mean: float = -4.268
    std: float = 9.138


class DepthTower(Tower):
    """Depth maps with one channel."""

    width: int = 384
    blocks: int = 12
    heads: int = 8
    has_bias_kv: bool = True
    scale: float | None = 5.0
    size_px: int = 224
    patch_px: int = 16


class ThermalTower(Tower):
    """Thermal images with one channel."""

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
    """Duration of ``samples`` (ImageBind paper, section 4)."""


class EncoderConfig(BaseModel):
    """An ImageBind model. Towers that are ``None`` are not built."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["imagebind"] = "imagebind"

    width: int = 1024
    """Size E of the vectors of the shared space."""
    features: Literal["pooled", "patches", "tokens"] = "pooled"
    """Features of a medium: one pooled vector (paper, version 1), one per patch (version 2), or both (``tokens``): the
    pooled vector first, all with its norm."""
    clip_reduction: Literal["mean", "concatenate"] = "mean"
    """Reduction of the patches of several clips and crops: the mean patch by patch, or all of them. With the published
    sizes, audio has 228 or 684 vectors and video 256 or 3,840. Pooled vectors are always averaged."""
    feature_norm: Literal["sqrt_width", "one"] = "sqrt_width"
    """Norm of each clip's vectors: sqrt(E), so that entries are of about size 1 in all modalities, or 1. A linear layer
    learns fine differences faster from the former. ``patches`` always have norm 1."""
    vision: VisionTower | None = VisionTower()
    text: TextTower | None = TextTower()
    audio: AudioTower | None = AudioTower()
    depth: DepthTower | None = None
    thermal: ThermalTower | None = None
    imu: ImuTower | None = None

    def as_in_nextgpt(self) -> EncoderConfig:
        """Return the config that computes features as NExT-GPT's copy of ImageBind does.

        Unlike ImageBind itself, that copy does not scale audio by 20: all features have norm 1. They are averaged over
        clips and crops, patch by patch.
        """
        towers = {
            name: tower.model_copy(update={"last_clip": "before_end"})
            for name, tower in self.towers.items()
            if isinstance(tower, VisionTower | AudioTower)
        }
        return self.model_copy(update={**towers, "clip_reduction": "mean", "feature_norm": "one"})

    @property
    def towers(self) -> dict[str, Tower]:
        """Configs of the towers that are built, by name, in the published order."""
        towers = {name: getattr(self, name) for name in TOWER_NAMES}
        return {name: tower for name, tower in towers.items() if tower is not None}

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that have a tower."""
        return tuple(modality for modality, tower in TOWERS_BY_MODALITY.items() if tower in self.towers)


TOWERS_BY_MODALITY = {
    "text": "text",
    "image": "vision",
    "audio": "audio",
    "video": "vision",
    "depth": "depth",
    "thermal": "thermal",
    "imu": "imu",
}
TOWER_NAMES = ("vision", "text", "audio", "depth", "thermal", "imu")


def imagebind_huge() -> EncoderConfig:
    """Return the config of the published model with all six towers: 1,200,781,057 parameters."""
    return EncoderConfig(depth=DepthTower(), thermal=ThermalTower(), imu=ImuTower())
