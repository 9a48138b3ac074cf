"""The border to diffusers' denoisers: how each kind takes latents, a timestep and conditions.

A new kind of denoiser is one row of :data:`DENOISERS`. Rows are chosen by the class that the folder names.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nextgpt.errors import ModelError, unknown_name_message
from nextgpt.model.synthesis.base import Conditions, Latents
from nextgpt.model.synthesis.mel import MelConfig
from nextgpt.model.synthesis.settings import SynthesisSettings

LatentShape = tuple[int, int, int, int]
"""(F, Z, h, w) of one medium's latents."""


@dataclass(frozen=True)
class DenoiserAdapter:
    """What must be known about one kind of denoiser."""

    predict: Callable[..., Tensor]
    """Denoiser, latents (B, F, Z, h, w), timestep () or (B,), conditions (B, Q, C) to a prediction like the latents."""
    latent_shape: Callable[[Mapping[str, Any]], LatentShape]
    """The denoiser's config to its own latent shape."""
    condition_shape: Callable[[Mapping[str, Any]], tuple[int, int]]
    """The denoiser's config to the shape (Q, C) of its conditions."""
    settings: SynthesisSettings
    """What holds for folders that say nothing."""
    extra_input: tuple[str, str] | None = None
    """A part and a tensor of its weights that ``predict`` is given as its last argument, always the same."""
    is_traceable: bool = False
    """Whether what ``predict`` does depends on nothing but shapes, of which the batch alone varies."""


def _predict_transformer(
    denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions
) -> Latents:
    """CogVideoX attends over condition and latents together; it takes our axes as they are."""
    return denoiser(latents, conditions, timestep.expand(latents.shape[0]), return_dict=False)[0]


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


def _predict_z_image(
    denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions
) -> Latents:
    """Z-Image counts time from noise (0) to picture (1), flows that way, and takes captions of unequal lengths."""
    pictures = list(latents.transpose(1, 2).unbind())  # (Z, F, h, w) each
    time = (1 - timestep / 1000).expand(len(latents))
    flows = denoiser(pictures, time, unpadded_conditions(conditions), return_dict=False)[0]
    return -torch.stack(flows).transpose(1, 2)


def _predict_wan(denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions) -> Latents:
    """Wan attends to the padding of captions too, which is rows of zeros."""
    time = timestep.expand(len(latents))
    return denoiser(latents.transpose(1, 2), time, conditions, return_dict=False)[0].transpose(1, 2)


def _predict_ace_step(
    denoiser: nn.Module,
    latents: Latents,
    timestep: Tensor,
    conditions: Conditions,
    silence: Float[Tensor, "1 _ Z"],
) -> Latents:
    """ACE-Step has no mask, so captions of unequal lengths go one by one; beside the latents it hears silence."""
    sounds = latents[:, 0, :, 0].mT  # (B, w, Z)
    times = -(-sounds.shape[1] // silence.shape[1])
    quiet = silence.repeat(1, times, 1)[:, : sounds.shape[1]]
    beside = torch.cat([quiet, torch.ones_like(quiet)], dim=-1)  # all of it is to be made anew
    captions = unpadded_conditions(conditions)
    step = len(sounds) if len({len(caption) for caption in captions}) == 1 else 1
    whole = timestep.to(sounds.dtype).expand(len(sounds))
    made = []
    for some, time, said in zip(sounds.split(step), whole.split(step), _batches(captions, step), strict=True):
        made.append(
            denoiser(
                hidden_states=some,
                timestep=time,
                timestep_r=time,
                encoder_hidden_states=said,
                context_latents=beside.expand(len(some), -1, -1),
                return_dict=False,
            )[0]
        )
    return torch.cat(made).mT[:, None, :, None]


def _batches(captions: Sequence[Tensor], size: int) -> list[Tensor]:
    return [torch.stack(list(captions[i : i + size])) for i in range(0, len(captions), size)]


def unpadded_conditions(conditions: Conditions) -> list[Float[Tensor, "_ C"]]:
    """Conditions without their padding, for denoisers that mask it: a row of zeros stands for no token."""
    is_token = conditions.abs().amax(dim=-1) > 0  # (B, Q)
    is_token[:, 0] |= ~is_token.any(dim=-1)  # no denoiser takes a caption of no tokens
    return [condition[said] for condition, said in zip(conditions, is_token, strict=True)]


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
FAST_SCHEDULER = "DPMSolverMultistepScheduler"
"""DPM-Solver++ 2M (Lu et al. 2022): 20 steps where DDIM and PNDM take 50."""
AUDIOLDM_MEL = MelConfig(
    hop_length=160, frames=512, samples=81_920, floor=1e-5, mean=0.0, std=1.0, time_axis="height"
)

DENOISERS: dict[str, DenoiserAdapter] = {
    # nano, and CogVideoX without rotary positions
    "CogVideoXTransformer3DModel": DenoiserAdapter(
        predict=_predict_transformer,
        latent_shape=_transformer_shape,
        condition_shape=lambda config: (config["max_text_seq_length"], config["text_embed_dim"]),
        settings=SynthesisSettings(scheduler=FAST_SCHEDULER),
        is_traceable=True,
    ),
    # Stable Diffusion 1 and 2
    "UNet2DConditionModel": DenoiserAdapter(
        predict=_predict_unet,
        latent_shape=_square_shape(1),
        condition_shape=lambda config: (77, config["cross_attention_dim"]),
        settings=SynthesisSettings(
            num_inference_steps=20,
            guidance_scale=7.5,
            scheduler=FAST_SCHEDULER,
            latent_rgb_factors=STABLE_DIFFUSION_RGB,
        ),
    ),
    # AudioLDM: 64 mel bins are 16 latent cells
    "UNet2DConditionModel with class labels": DenoiserAdapter(
        predict=_predict_class_unet,
        latent_shape=lambda config: (1, config["in_channels"], config["sample_size"], 16),
        condition_shape=lambda config: (1, config["projection_class_embeddings_input_dim"]),
        settings=SynthesisSettings(
            num_inference_steps=20, guidance_scale=2.5, scheduler=FAST_SCHEDULER, mel=AUDIOLDM_MEL
        ),
    ),
    # Zeroscope; 16 frames of the sample size, where nextgpt.json says no other
    "UNet3DConditionModel": DenoiserAdapter(
        predict=_predict_unet_3d,
        latent_shape=_square_shape(16),
        condition_shape=lambda config: (77, config["cross_attention_dim"]),
        settings=SynthesisSettings(
            num_inference_steps=25,
            guidance_scale=9.0,
            scheduler=FAST_SCHEDULER,
            latent_rgb_factors=STABLE_DIFFUSION_RGB,
        ),
    ),
    # Z-Image, Turbo: guidance is distilled into it; 1024 pixels, and captions as long as the stock pipeline's
    "ZImageTransformer2DModel": DenoiserAdapter(
        predict=_predict_z_image,
        latent_shape=lambda config: (1, config["in_channels"], 128, 128),
        condition_shape=lambda config: (512, config["cap_feat_dim"]),
        settings=SynthesisSettings(num_inference_steps=9, guidance_scale=1.0),
    ),
    # ACE-Step 1.5, turbo likewise; 10 s at 25 latents a second
    "AceStepTransformer1DModel": DenoiserAdapter(
        predict=_predict_ace_step,
        latent_shape=lambda config: (1, config["audio_acoustic_hidden_dim"], 1, 250),
        condition_shape=lambda config: (256, config.get("encoder_hidden_size") or config["hidden_size"]),
        settings=SynthesisSettings(
            num_inference_steps=8, guidance_scale=1.0, flow_shift=3.0, waveform_rate_hz=48_000
        ),
        extra_input=("condition_encoder", "silence_latent"),
    ),
    # Wan 2.1; 81 frames of 832 x 480 pixels, 8 pixels a cell
    "WanTransformer3DModel": DenoiserAdapter(
        predict=_predict_wan,
        latent_shape=lambda config: (21, config["in_channels"], 60, 104),
        condition_shape=lambda config: (512, config["text_dim"]),
        settings=SynthesisSettings(num_inference_steps=30, guidance_scale=5.0, fps=16.0),
    ),
}


def get_denoiser_adapter(class_name: str, config: Mapping[str, Any], *, where: str) -> DenoiserAdapter:
    """Find the row for a denoiser. Raises :class:`ModelError` for one that has none; ``where`` names its folder."""
    if config.get("use_rotary_positional_embeddings"):
        raise ModelError(
            f"{where} uses rotary positions, as CogVideoX-5b does; expected sine-cosine positions, as CogVideoX-2b "
            "has. Take a smaller CogVideoX."
        )
    name = f"{class_name} with class labels" if config.get("class_embed_type") else class_name
    if name not in DENOISERS:
        raise ModelError(f"{where}: {unknown_name_message('denoiser', name, DENOISERS)}")
    return DENOISERS[name]
