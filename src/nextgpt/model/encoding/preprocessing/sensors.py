"""Preprocess depth maps, thermal images and inertial measurements.

ImageBind's authors published sizes and, for thermal images, no normalization; for depth and IMU they published no code.
Here depth becomes disparity, as in their paper (arXiv:2305.05665, section 4), relative to the nearest point.
Measurements are the middle 5 s, resampled to the size of the tower.
"""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from nextgpt.media.image import MAX_ASPECT_RATIO
from nextgpt.message import Depth, Imu, Thermal
from nextgpt.model.encoding.config import DepthTower, ImuTower, ThermalTower


def preprocess_depth(depth: Depth, tower: DepthTower) -> Float[Tensor, "1 1 H W"]:
    """Convert depth to disparity (1 at the nearest point, 0 if unknown), resize and center-crop."""
    metres = torch.from_numpy(depth.metres)
    is_known = metres > 0
    nearest = metres[is_known].min() if is_known.any() else metres.new_ones(())
    return _square(torch.where(is_known, nearest / metres.clamp(min=1e-6), 0.0), tower.size_px)


def preprocess_thermal(thermal: Thermal, tower: ThermalTower) -> Float[Tensor, "1 1 H W"]:
    """Resize the short side (bicubic) and center-crop, without normalization."""
    return _square(torch.from_numpy(thermal.values), tower.size_px)


def preprocess_imu(imu: Imu, tower: ImuTower) -> Float[Tensor, "1 C S"]:
    """Return the middle seconds of the measurements; shorter ones are zero-padded at the end."""
    measured = imu.samples.shape[1]
    count = max(1, round(measured / imu.sample_rate_hz * tower.samples / tower.clip_s))
    # Only the middle is interpolated: at a low rate, all of it could be any number of samples.
    start = max(0, (count - tower.samples) // 2)
    times = (start + np.arange(min(count, tower.samples))) * ((measured - 1) / max(1, count - 1))
    samples = np.stack([np.interp(times, np.arange(measured), axis) for axis in imu.samples])
    clip = torch.from_numpy(samples.astype(np.float32))
    return functional.pad(clip, (0, tower.samples - clip.shape[1]))[None]


def _square(values: Float[Tensor, "H W"], side_px: int) -> Float[Tensor, "1 1 S S"]:
    limit = MAX_ASPECT_RATIO * min(values.shape)
    top, left = (max(0, size - limit) // 2 for size in values.shape)
    values = values[top : top + limit, left : left + limit]
    height, width = values.shape
    # Sizes are rounded down and offsets to the nearest (even at a half), as torchvision's Resize and CenterCrop.
    size = tuple(side_px * length // min(height, width) for length in (height, width))
    scaled = functional.interpolate(
        values[None, None], size=size, mode="bicubic", antialias=True, align_corners=False
    ).clamp(0, 1)
    top, left = (round((length - side_px) / 2) for length in size)
    return scaled[..., top : top + side_px, left : left + side_px].contiguous()
