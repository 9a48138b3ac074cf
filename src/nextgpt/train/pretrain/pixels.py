"""Contents of the small world as the arrays that autoencoders read: (frames, channels, height, width) in [-1, 1].

A picture is one frame of three channels, a sound one frame of one channel (its log-mel picture), and a clip a few
frames in each of which several neighbouring moments are stacked on the channels. All three have the same four axes,
so one autoencoder recipe and one diffusion recipe serve them all.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.miniworld import sample_specs as sampling
from nextgpt.miniworld.render import render_clip, render_scene, render_sound
from nextgpt.miniworld.specs import ClipSpec, MediaSpec, SceneSpec, SoundSpec
from nextgpt.model.synthesis.mel import MelConfig, log_mel

FRAMES_A_GROUP = 4
"""Neighbouring moments of a clip that share one latent frame."""


def scene_pixels(scenes: list[SceneSpec]) -> Float[Tensor, "B 1 3 H W"]:
    """Pictures as (B, 1, 3, 64, 64)."""
    pictures = torch.from_numpy(np.stack([render_scene(scene) for scene in scenes]))
    return pictures.permute(0, 3, 1, 2)[:, None].float() / 127.5 - 1


def clip_pixels(clips: list[ClipSpec]) -> Float[Tensor, "B F C H W"]:
    """Clips as (B, 4, 12, 64, 64): sixteen moments, four to a latent frame, channels ordered moment by moment."""
    frames = torch.from_numpy(np.stack([render_clip(clip) for clip in clips]))  # (B, 16, H, W, 3)
    groups = frames.permute(0, 1, 4, 2, 3).unflatten(1, (-1, FRAMES_A_GROUP)).flatten(2, 3)
    return groups.float() / 127.5 - 1


def sound_pixels(sounds: list[SoundSpec]) -> Float[Tensor, "B 1 1 H W"]:
    """Sounds as (B, 1, 1, 64, 128): mel bins by moments."""
    return torch.stack([_mel_picture(sound) for sound in sounds])


@lru_cache(maxsize=4096)
def _mel_picture(sound: SoundSpec) -> Float[Tensor, "1 1 H W"]:
    """The log-mel picture of a sound; the small world has few enough to keep them all."""
    return log_mel(torch.from_numpy(render_sound(sound))[None], MelConfig())[:, None]


Draw = Callable[[np.random.Generator, str], MediaSpec]
PIXELS: dict[str, tuple[Draw, Callable[[list], Tensor]]] = {
    "image": (sampling.sample_scene, scene_pixels),
    "audio": (sampling.sample_sound, sound_pixels),
    "video": (sampling.sample_clip, clip_pixels),
}
"""For each modality: how a content is drawn, and how contents become arrays."""
