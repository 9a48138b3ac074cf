"""Preprocess images and video to normalized squares (facebookresearch/ImageBind, ``imagebind/data.py``)."""

from __future__ import annotations

import math

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from nextgpt.media import center_crop, resize_short_side, uniform_indices
from nextgpt.message import Image, Video
from nextgpt.model.encoding.config import VisionTower
from nextgpt.model.encoding.preprocessing.audio import clip_starts_s


def preprocess_image(image: Image, tower: VisionTower) -> Float[Tensor, "1 3 1 H W"]:
    """Resize the short side (bicubic) and center-crop to one clip of one frame."""
    square = center_crop(resize_short_side(image.image.convert("RGB"), tower.size_px), tower.size_px)
    return normalize_frames(np.asarray(square)[None], tower)[None]


def preprocess_video(video: Video, tower: VisionTower) -> Float[Tensor, "clips 3 F H W"]:
    """Sample clips and their frames evenly, resize the short side (bilinear) and crop squares.

    Order: clip 0 left, middle, right, clip 1 left, ...; a square video has one crop.
    """
    views = [
        normalize_frames(square, tower)
        for indices in _clip_indices(len(video.frames), video.fps, tower)
        for square in _squares(_scaled(video.frames[indices], tower.size_px), tower)
    ]
    return torch.stack(views) if len(views) > 1 else views[0][None]


def normalize_frames(frames: UInt8[np.ndarray, "F H W 3"], tower: VisionTower) -> Float[Tensor, "3 F H W"]:
    """Normalize bytes with CLIP's mean and standard deviation per color."""
    # In numpy: few frames are not worth torch's multithreading.
    mean, std = (np.array(values, dtype=np.float32).reshape(3, 1, 1, 1) for values in (tower.mean, tower.std))
    return torch.from_numpy((frames.transpose(3, 0, 1, 2).astype(np.float32) / 255 - mean) / std)


def _clip_indices(count: int, fps: float, tower: VisionTower) -> list[np.ndarray]:
    indices = []
    for start_s in clip_starts_s(count / fps, tower.clip_s, tower.clips, tower.last_clip):
        first = min(math.ceil(start_s * fps), count - 1)
        end = min(math.ceil((start_s + tower.clip_s) * fps), count)
        indices.append(first + uniform_indices(max(end - first, 1), tower.frames))
    return indices


def _scaled(frames: np.ndarray, side_px: int) -> np.ndarray:
    if min(frames.shape[1:3]) == side_px:
        return frames
    bilinear = PIL.Image.Resampling.BILINEAR
    return np.stack([resize_short_side(PIL.Image.fromarray(frame), side_px, bilinear) for frame in frames])


def _squares(frames: np.ndarray, tower: VisionTower) -> list[np.ndarray]:
    """Crop squares along the longer side: the center, or both ends and the center."""
    height, width = frames.shape[1:3]
    room = max(height, width) - tower.size_px
    middle = math.ceil(room / 2)
    offsets = [middle] if tower.crops == 1 or room == 0 else [0, middle, room]
    side = slice(0, tower.size_px)
    cuts = [slice(offset, offset + tower.size_px) for offset in offsets]
    return [frames[:, cut, side] if height > width else frames[:, side, cut] for cut in cuts]
