"""Adapters for diffusers' denoisers: latents, timestep and conditions in each model's own format.

A new denoiser is one row of :data:`DENOISERS`, selected by the class name in the folder.
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
    """Interface of one denoiser class."""

    predict: Callable[..., Tensor]
    """Denoiser, latents (B, F, Z, h, w), timestep () or (B,), conditions (B, Q, C) to a prediction."""
    latent_shape: Callable[[Mapping[str, Any]], LatentShape]
    """Denoiser config to its latent shape."""
    condition_shape: Callable[[Mapping[str, Any]], tuple[int, int]]
    """Denoiser config to the shape (Q, C) of its conditions."""
    settings: SynthesisSettings
    """Default settings."""
    extra_input: tuple[str, str] | None = None
    """Component and tensor name of a constant last argument of ``predict``."""
    published: Callable[[LatentShape], SynthesisSettings] | None = None
    """Latent shape to the settings of NExT-GPT's demo, over ``settings`` and those of the folder. ``None``: it has no
    such synthesizer."""
    is_traceable: bool = False
    """True if ``predict`` can be traced: no data-dependent control flow, static shapes except the batch size."""


def _predict_transformer(denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions) -> Latents:
    """CogVideoX has joint attention over condition and latents, and our axes."""
    return denoiser(latents, conditions, timestep.expand(latents.shape[0]), return_dict=False)[0]


def _predict_unet(denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions) -> Latents:
    return denoiser(latents[:, 0], timestep, conditions, return_dict=False)[0][:, None]


def _predict_class_unet(denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions) -> Latents:
    """AudioLDM has no cross-attention: its pooled vector replaces the class label."""
    return denoiser(latents[:, 0], timestep, None, class_labels=conditions[:, 0], return_dict=False)[0][:, None]


def _predict_unet_3d(denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions) -> Latents:
    return denoiser(latents.transpose(1, 2), timestep, conditions, return_dict=False)[0].transpose(1, 2)


def _predict_z_image(denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions) -> Latents:
    """Z-Image counts time from noise (0) to image (1) and takes captions of different lengths."""
    images = list(latents.transpose(1, 2).unbind())  # (Z, F, h, w) each
    time = (1 - timestep / 1000).expand(len(latents))
    flows = denoiser(images, time, unpadded_conditions(conditions), return_dict=False)[0]
    return -torch.stack(flows).transpose(1, 2)


def _predict_wan(denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions) -> Latents:
    """Wan attends to caption padding too, which is rows of zeros."""
    time = timestep.expand(len(latents))
    return denoiser(latents.transpose(1, 2), time, conditions, return_dict=False)[0].transpose(1, 2)


def _predict_ace_step(
    denoiser: nn.Module, latents: Latents, timestep: Tensor, conditions: Conditions, silence: Float[Tensor, "1 _ Z"]
) -> Latents:
    """ACE-Step has no mask, so captions of different lengths run one by one; its context latents are silence."""
    audio = latents[:, 0, :, 0].mT  # (B, w, Z)
    repeats = -(-audio.shape[1] // silence.shape[1])
    silent = silence.repeat(1, repeats, 1)[:, : audio.shape[1]]
    context = torch.cat([silent, torch.ones_like(silent)], dim=-1)  # mask 1: generate everything
    captions = unpadded_conditions(conditions)
    size = len(audio) if len({len(caption) for caption in captions}) == 1 else 1
    times = timestep.to(audio.dtype).expand(len(audio))
    outputs = []
    for batch, time, condition in zip(audio.split(size), times.split(size), _batches(captions, size), strict=True):
        outputs.append(
            denoiser(
                hidden_states=batch,
                timestep=time,
                timestep_r=time,
                encoder_hidden_states=condition,
                context_latents=context.expand(len(batch), -1, -1),
                return_dict=False,
            )[0]
        )
    return torch.cat(outputs).mT[:, None, :, None]


def _batches(captions: Sequence[Tensor], size: int) -> list[Tensor]:
    return [torch.stack(list(captions[i : i + size])) for i in range(0, len(captions), size)]


def unpadded_conditions(conditions: Conditions) -> list[Float[Tensor, "_ C"]]:
    """Return conditions without padding (rows of zeros), for denoisers that mask it."""
    is_token = conditions.abs().amax(dim=-1) > 0  # (B, Q)
    is_token[:, 0] |= ~is_token.any(dim=-1)  # denoisers require at least one token
    return [condition[mask] for condition, mask in zip(conditions, is_token, strict=True)]


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
"""Linear map from latents of Stable Diffusion 1 and 2 to RGB (comfyanonymous/ComfyUI, latent_formats.py)."""
FAST_SCHEDULER = "DPMSolverMultistepScheduler"
"""DPM-Solver++ 2M (Lu et al. 2022): 20 steps where DDIM and PNDM take 50."""
AUDIOLDM_MEL = MelConfig(hop_length=160, frames=512, samples=81_920, floor=1e-5, mean=0.0, std=1.0, time_axis="height")
PUBLISHED_AUDIOLDM_MEL = AUDIOLDM_MEL.model_copy(update={"frames": 900, "samples": 144_000})


def _published_image(shape: LatentShape) -> SynthesisSettings:
    return SynthesisSettings(num_inference_steps=50, guidance_scale=7.5, scheduler=None)


def _published_audio(shape: LatentShape) -> SynthesisSettings:
    """Return the settings of 9 s: 900 frames of 10 ms, 4 per latent cell."""
    return SynthesisSettings(
        num_inference_steps=50,
        guidance_scale=7.5,
        scheduler=None,
        latent_shape=(1, shape[1], 225, shape[3]),
        mel=PUBLISHED_AUDIOLDM_MEL,
    )


def _published_video(shape: LatentShape) -> SynthesisSettings:
    """Return the settings of 24 frames of 320 x 576 pixels."""
    return SynthesisSettings(
        num_inference_steps=50, guidance_scale=7.5, scheduler=None, latent_shape=(24, shape[1], 40, 72)
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
        published=_published_image,
    ),
    # AudioLDM: 64 mel bins are 16 latent cells
    "UNet2DConditionModel with class labels": DenoiserAdapter(
        predict=_predict_class_unet,
        latent_shape=lambda config: (1, config["in_channels"], config["sample_size"], 16),
        condition_shape=lambda config: (1, config["projection_class_embeddings_input_dim"]),
        settings=SynthesisSettings(
            num_inference_steps=20, guidance_scale=2.5, scheduler=FAST_SCHEDULER, mel=AUDIOLDM_MEL
        ),
        published=_published_audio,
    ),
    # Zeroscope; 16 frames of the sample size unless set in nextgpt.json
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
        published=_published_video,
    ),
    # Z-Image-Turbo: distilled guidance; 1024 pixels, captions as long as in the stock pipeline
    "ZImageTransformer2DModel": DenoiserAdapter(
        predict=_predict_z_image,
        latent_shape=lambda config: (1, config["in_channels"], 128, 128),
        condition_shape=lambda config: (512, config["cap_feat_dim"]),
        settings=SynthesisSettings(num_inference_steps=9, guidance_scale=1.0),
    ),
    # ACE-Step 1.5 turbo: distilled guidance; 10 s at 25 latents per second
    "AceStepTransformer1DModel": DenoiserAdapter(
        predict=_predict_ace_step,
        latent_shape=lambda config: (1, config["audio_acoustic_hidden_dim"], 1, 250),
        condition_shape=lambda config: (256, config.get("encoder_hidden_size") or config["hidden_size"]),
        settings=SynthesisSettings(num_inference_steps=8, guidance_scale=1.0, flow_shift=3.0, waveform_rate_hz=48_000),
        extra_input=("condition_encoder", "silence_latent"),
    ),
    # Wan 2.1; 81 frames of 832 x 480 pixels, 8 pixels per cell
    "WanTransformer3DModel": DenoiserAdapter(
        predict=_predict_wan,
        latent_shape=lambda config: (21, config["in_channels"], 60, 104),
        condition_shape=lambda config: (512, config["text_dim"]),
        settings=SynthesisSettings(num_inference_steps=30, guidance_scale=5.0, fps=16.0),
    ),
}


def get_denoiser_adapter(class_name: str, config: Mapping[str, Any], *, where: str) -> DenoiserAdapter:
    """Return the adapter of a denoiser class. Raises :class:`ModelError` if there is none."""
    if config.get("use_rotary_positional_embeddings"):
        raise ModelError(
            f"{where} uses rotary positions, as CogVideoX-5b does; expected sine-cosine positions, as CogVideoX-2b "
            "has. Use a smaller CogVideoX."
        )
    name = f"{class_name} with class labels" if config.get("class_embed_type") else class_name
    if name not in DENOISERS:
        raise ModelError(f"{where}: {unknown_name_message('denoiser', name, DENOISERS)}")
    return DENOISERS[name]
