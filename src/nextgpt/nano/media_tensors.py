"""Specifications of the small world as autoencoder inputs: (frames, channels, height, width) in [-1, 1].

An image is one frame of three channels, audio one frame of one channel (its log-mel spectrogram), and a video a few
frames that each stack several neighboring video frames on the channels. All have the same four axes, so that one
autoencoder recipe and one diffusion recipe serve them all.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.miniworld import sample_specs
from nextgpt.miniworld.render import render_clip, render_scene, render_sound
from nextgpt.miniworld.specs import MOTIONS, ClipSpec, MediaSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.splits import Split
from nextgpt.miniworld.sprites import STANDARD, Detail
from nextgpt.model.synthesis.mel import MelConfig, log_mel

FRAMES_PER_LATENT = 4
"""Neighboring frames of a video that share one latent frame."""


def scene_tensor(scenes: list[SceneSpec], detail: Detail = STANDARD) -> Float[Tensor, "B 1 3 H W"]:
    """Return images as (B, 1, 3, 64, 64), height and width times the scale of ``detail``."""
    images = torch.from_numpy(np.stack([render_scene(scene, detail) for scene in scenes]))
    return images.permute(0, 3, 1, 2)[:, None].float() / 127.5 - 1


def clip_tensor(clips: list[ClipSpec], detail: Detail = STANDARD) -> Float[Tensor, "B F C H W"]:
    """Return videos as (B, 4, 12, 64, 64): sixteen frames, four per latent frame, channels ordered by frame.

    Height and width are multiplied by the scale of ``detail``.
    """
    frames = torch.from_numpy(np.stack([render_clip(clip, detail) for clip in clips]))  # (B, 16, H, W, 3)
    groups = frames.permute(0, 1, 4, 2, 3).unflatten(1, (-1, FRAMES_PER_LATENT)).flatten(2, 3)
    return groups.float() / 127.5 - 1


def sound_tensor(sounds: list[SoundSpec]) -> Float[Tensor, "B 1 1 H W"]:
    """Return audio as (B, 1, 1, 64, 128): mel bins by time."""
    return torch.stack([_log_mel(sound) for sound in sounds])


@lru_cache(maxsize=4096)
def _log_mel(sound: SoundSpec) -> Float[Tensor, "1 1 H W"]:
    return log_mel(torch.from_numpy(render_sound(sound))[None], MelConfig())[:, None]


SampleSpec = Callable[[np.random.Generator, Split], MediaSpec]
MODALITY_TENSORS: dict[str, tuple[SampleSpec, Callable[[list], Tensor]]] = {
    "image": (sample_specs.sample_scene, scene_tensor),
    "audio": (sample_specs.sample_sound, sound_tensor),
    "video": (sample_specs.sample_clip, clip_tensor),
}
"""The sampler and the tensor function of each modality."""


def spec_sampler(modality: str, motion_weights: Mapping[str, float]) -> SampleSpec:
    """Return the sampler of specs of ``modality``, with some motions of videos more often than others.

    Args:
        motion_weights: Relative frequencies of motions; those that are missing have 1.

    Raises:
        ConfigError: A motion is unknown, a weight is not positive, or the modality has no motions.
    """
    sample = MODALITY_TENSORS[modality][0]
    if not motion_weights:
        return sample
    if modality != "video":
        raise ConfigError(f"motion_weights: got weights for modality {modality}; expected video. Remove the key.")
    for motion, weight in motion_weights.items():
        if motion not in MOTIONS:
            raise ConfigError(unknown_name_message("motion in motion_weights", motion, MOTIONS))
        if weight <= 0:
            raise ConfigError(f"motion_weights.{motion}: got {weight}; expected a positive number.")
    largest = max(1.0, *motion_weights.values())

    def sample_by_motion(rng: np.random.Generator, split: Split) -> MediaSpec:
        while True:
            clip = sample_specs.sample_clip(rng, split)
            if rng.random() * largest < motion_weights.get(clip.motion, 1.0):
                return clip

    return sample_by_motion
