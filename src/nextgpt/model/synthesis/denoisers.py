"""The border to diffusers' denoisers: how each kind takes latents, a timestep and conditions.

A new kind of denoiser is one row of :data:`DENOISERS`. Rows are chosen by the class that the folder names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from nextgpt.errors import ModelError, unknown
from nextgpt.model.synthesis.base import Conditions, Latents
from nextgpt.model.synthesis.mel import MelConfig
from nextgpt.model.synthesis.settings import SynthesisSettings

LatentShape = tuple[int, int, int, int]
"""(F, Z, h, w) of one medium's latents."""


@dataclass(frozen=True)
class DenoiserKind:
    """What must be known about one kind of denoiser."""

    predict: Callable[[nn.Module, Tensor, Tensor, Tensor], Tensor]
    """Denoiser, latents (B, F, Z, h, w), timestep () and conditions (B, Q, C) to a prediction like the latents."""
    latent_shape: Callable[[Mapping[str, Any]], LatentShape]
    """The denoiser's config to its own latent shape."""
    condition_shape: Callable[[Mapping[str, Any]], tuple[int, int]]
    """The denoiser's config to the shape (Q, C) of its conditions."""
    settings: SynthesisSettings
    """What holds for folders that say nothing."""


def _predict_transformer(
    denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions
) -> Latents:
    """CogVideoX attends over condition and latents together; it takes our axes as they are."""
    return denoiser(latents, conditions, timestep.expand(len(latents)), return_dict=False)[0]


def _predict_unet(denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions) -> Latents:
    return denoiser(latents[:, 0], timestep, conditions, return_dict=False)[0][:, None]


def _predict_class_unet(
    denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions
) -> Latents:
    """AudioLDM has no cross-attention: its one pooled vector goes where a class label would."""
    return denoiser(latents[:, 0], timestep, None, class_labels=conditions[:, 0], return_dict=False)[0][
        :, None
    ]


def _predict_unet_3d(
    denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions
) -> Latents:
    return denoiser(latents.transpose(1, 2), timestep, conditions, return_dict=False)[0].transpose(1, 2)


def _transformer_shape(config: Mapping[str, Any]) -> LatentShape:
    frames = (config["sample_frames"] - 1) // config["temporal_compression_ratio"] + 1
    return frames, config["in_channels"], config["sample_height"], config["sample_width"]


def _square_shape(frames: int) -> Callable[[Mapping[str, Any]], LatentShape]:
    return lambda config: (frames, config["in_channels"], config["sample_size"], config["sample_size"])


STABLE_DIFFUSION_RGB = (
    (0.3512, 0.2297, 0.3227),
    (0.3250, 0.4974, 0.2350),
    (-0.2829, 0.1762, 0.2721),
    (-0.2120, -0.2616, -0.7177),
)
"""Colours of the latents of Stable Diffusion 1 and 2, a linear fit (comfyanonymous/ComfyUI, latent_formats.py)."""
FAST_SOLVER = "DPMSolverMultistepScheduler"
"""DPM-Solver++ 2M (Lu et al. 2022): 20 steps where DDIM and PNDM take 50."""
AUDIOLDM_MEL = MelConfig(
    hop_length=160, frames=512, samples=81_920, floor=1e-5, mean=0.0, std=1.0, time_axis="height"
)

DENOISERS: dict[str, DenoiserKind] = {
    # nano, and CogVideoX without rotary positions
    "CogVideoXTransformer3DModel": DenoiserKind(
        predict=_predict_transformer,
        latent_shape=_transformer_shape,
        condition_shape=lambda config: (config["max_text_seq_length"], config["text_embed_dim"]),
        settings=SynthesisSettings(solver=FAST_SOLVER),
    ),
    # Stable Diffusion 1 and 2
    "UNet2DConditionModel": DenoiserKind(
        predict=_predict_unet,
        latent_shape=_square_shape(1),
        condition_shape=lambda config: (77, config["cross_attention_dim"]),
        settings=SynthesisSettings(
            steps=20, guidance=7.5, solver=FAST_SOLVER, preview_factors=STABLE_DIFFUSION_RGB
        ),
    ),
    # AudioLDM: 64 mel bins are 16 latent cells
    "UNet2DConditionModel with class labels": DenoiserKind(
        predict=_predict_class_unet,
        latent_shape=lambda config: (1, config["in_channels"], config["sample_size"], 16),
        condition_shape=lambda config: (1, config["projection_class_embeddings_input_dim"]),
        settings=SynthesisSettings(steps=20, guidance=2.5, solver=FAST_SOLVER, mel=AUDIOLDM_MEL),
    ),
    # Zeroscope; 16 frames of the sample size, where nextgpt.json says no other
    "UNet3DConditionModel": DenoiserKind(
        predict=_predict_unet_3d,
        latent_shape=_square_shape(16),
        condition_shape=lambda config: (77, config["cross_attention_dim"]),
        settings=SynthesisSettings(
            steps=25, guidance=9.0, solver=FAST_SOLVER, preview_factors=STABLE_DIFFUSION_RGB
        ),
    ),
}


def denoiser_kind(class_name: str, config: Mapping[str, Any], *, where: str) -> DenoiserKind:
    """Find the row for a denoiser. Raises :class:`ModelError` for one that has none; ``where`` names its folder."""
    if config.get("use_rotary_positional_embeddings"):
        raise ModelError(
            f"{where} uses rotary positions, as CogVideoX-5b does; expected sine-cosine positions, as CogVideoX-2b "
            "has. Take a smaller CogVideoX."
        )
    name = f"{class_name} with class labels" if config.get("class_embed_type") else class_name
    if name not in DENOISERS:
        raise ModelError(f"{where}: {unknown('denoiser', name, DENOISERS)}")
    return DENOISERS[name]
