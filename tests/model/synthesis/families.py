"""Tiny diffusers folders with random weights, one for each family that has an adapter."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from nextgpt.model.synthesis import Conditions, LatentDiffusion, Latents, load_synthesizer
from nextgpt.model.synthesis.diffusers_io import SavePretrained, write_pipeline_dir
from nextgpt.model.synthesis.mel import MelConfig
from nextgpt.model.synthesis.settings import SynthesisSettings
from nextgpt.testing.synthesizers import CONDITION_WIDTH, seeded, tiny_clip, write_tiny_nano
from nextgpt.testing.tokenizer import tiny_tokenizer


@seeded(0)
def write_tiny_stable_diffusion(folder: Path, *, prediction_type: str = "epsilon") -> Path:
    """Write a Stable Diffusion of 16 x 16 pixels."""
    parts = {
        "unet": _tiny_unet(cross_attention_dim=CONDITION_WIDTH),
        "vae": _tiny_autoencoder(channels=3),
        "scheduler": _tiny_ddim(0.00085, 0.012, prediction_type),
        **tiny_clip(77, CONDITION_WIDTH),
    }
    negative = torch.randn(77, CONDITION_WIDTH)
    return _write(folder, "StableDiffusionPipeline", parts, negative, guidance_scale=7.5, scheduler=None)


@seeded(0)
def write_tiny_audioldm(folder: Path) -> Path:
    """Write an AudioLDM of 0.04 s: a spectrogram of 16 moments and 16 mel bins."""
    from transformers import ClapTextConfig, ClapTextModelWithProjection, SpeechT5HifiGan, SpeechT5HifiGanConfig

    tokenizer = tiny_tokenizer()
    tokenizer.model_max_length = 20
    parts = {
        "unet": _tiny_unet(
            cross_attention_dim=(8, 8),
            class_embed_type="simple_projection",
            projection_class_embeddings_input_dim=CONDITION_WIDTH,
            class_embeddings_concat=True,
        ),
        "vae": _tiny_autoencoder(channels=1),
        "scheduler": _tiny_ddim(0.0015, 0.0195),
        "vocoder": SpeechT5HifiGan(
            SpeechT5HifiGanConfig(
                model_in_dim=16,
                sampling_rate=16_000,
                upsample_initial_channel=8,
                upsample_rates=[5, 8],
                upsample_kernel_sizes=[9, 16],
                resblock_kernel_sizes=[3],
                resblock_dilation_sizes=[[1, 3]],
                normalize_before=False,
            )
        ),
        "text_encoder": ClapTextModelWithProjection(
            ClapTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=16,
                intermediate_size=16,
                num_hidden_layers=1,
                num_attention_heads=2,
                projection_dim=CONDITION_WIDTH,
                max_position_embeddings=32,
            )
        ),
        "tokenizer": tokenizer,
    }
    negative = torch.nn.functional.normalize(torch.randn(1, CONDITION_WIDTH), dim=-1)
    mel = MelConfig(
        mel_bins=16, hop_length=40, n_fft=256, frames=16, samples=640, floor=1e-5, mean=0.0, std=1.0, time_axis="height"
    )
    return _write(
        folder,
        "AudioLDMPipeline",
        parts,
        negative,
        guidance_scale=2.5,
        scheduler=None,
        mel=mel,
        latent_shape=(1, 4, 8, 8),
    )


@seeded(0)
def write_tiny_zeroscope(folder: Path) -> Path:
    """Write a Zeroscope of 3 frames of 16 x 16 pixels."""
    from diffusers import UNet3DConditionModel

    parts = {
        "unet": UNet3DConditionModel(
            block_out_channels=(8, 8),
            layers_per_block=1,
            sample_size=8,
            in_channels=4,
            out_channels=4,
            down_block_types=("CrossAttnDownBlock3D", "DownBlock3D"),
            up_block_types=("UpBlock3D", "CrossAttnUpBlock3D"),
            cross_attention_dim=CONDITION_WIDTH,
            attention_head_dim=4,
            norm_num_groups=2,
        ),
        "vae": _tiny_autoencoder(channels=3),
        "scheduler": _tiny_ddim(0.00085, 0.012),
        **tiny_clip(77, CONDITION_WIDTH),
    }
    negative = torch.randn(77, CONDITION_WIDTH)
    return _write(
        folder, "TextToVideoSDPipeline", parts, negative, guidance_scale=9.0, scheduler=None, latent_shape=(3, 4, 8, 8)
    )


@seeded(0)
def write_tiny_z_image(folder: Path) -> Path:
    """Write a Z-Image of 16 x 16 pixels."""
    from diffusers import FlowMatchEulerDiscreteScheduler, ZImageTransformer2DModel

    parts = {
        "transformer": ZImageTransformer2DModel(
            in_channels=4,
            dim=32,
            n_layers=1,
            n_refiner_layers=1,
            n_heads=2,
            n_kv_heads=2,
            cap_feat_dim=CONDITION_WIDTH,
            axes_dims=[4, 6, 6],
            axes_lens=[128, 8, 8],
        ),
        "vae": _tiny_autoencoder(channels=3, scaling_factor=0.3611, shift_factor=0.1159),
        "scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0),
        **_tiny_qwen(layers=2),
    }
    negative = torch.randn(48, CONDITION_WIDTH)
    return _write(
        folder,
        "ZImagePipeline",
        parts,
        negative,
        guidance_scale=5.0,
        condition_length=48,
        latent_shape=(1, 4, 8, 8),
        scheduler=None,
    )


@seeded(0)
def write_tiny_ace_step(folder: Path) -> Path:
    """Write an ACE-Step of 0.8 s in stereo, at a rate at which no one would listen."""
    from diffusers import (
        AceStepConditionEncoder,
        AceStepTransformer1DModel,
        AutoencoderOobleck,
        FlowMatchEulerDiscreteScheduler,
    )

    attention = {"num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 8, "intermediate_size": 16}
    condition_encoder = AceStepConditionEncoder(
        hidden_size=CONDITION_WIDTH,
        text_hidden_dim=CONDITION_WIDTH,
        timbre_hidden_dim=4,
        num_lyric_encoder_hidden_layers=1,
        num_timbre_encoder_hidden_layers=1,
        **attention,
    )
    condition_encoder.silence_latent.normal_()
    parts = {
        "transformer": AceStepTransformer1DModel(
            hidden_size=32,
            num_hidden_layers=2,
            in_channels=12,
            audio_acoustic_hidden_dim=4,
            encoder_hidden_size=CONDITION_WIDTH,
            is_turbo=True,
            **attention,
        ),
        "vae": AutoencoderOobleck(
            encoder_hidden_size=8,
            downsampling_ratios=[2, 4],
            channel_multiples=[1, 2],
            decoder_channels=8,
            decoder_input_channels=4,
            sampling_rate=160,
        ),
        "scheduler": FlowMatchEulerDiscreteScheduler(num_train_timesteps=1, shift=1.0),
        "condition_encoder": condition_encoder,
        **_tiny_qwen(layers=1),
    }
    negative = torch.randn(320, CONDITION_WIDTH)
    return _write(
        folder,
        "AceStepPipeline",
        parts,
        negative,
        guidance_scale=1.0,
        flow_shift=3.0,
        condition_length=320,
        latent_shape=(1, 4, 1, 16),
        waveform_rate_hz=160,
    )


@seeded(0)
def write_tiny_wan(folder: Path) -> Path:
    """Write a Wan of 5 frames of 32 x 32 pixels."""
    from diffusers import AutoencoderKLWan, UniPCMultistepScheduler, WanTransformer3DModel
    from transformers import UMT5Config, UMT5EncoderModel

    tokenizer = tiny_tokenizer()
    parts = {
        "transformer": WanTransformer3DModel(
            num_attention_heads=2,
            attention_head_dim=12,
            in_channels=4,
            out_channels=4,
            text_dim=CONDITION_WIDTH,
            freq_dim=16,
            ffn_dim=16,
            num_layers=1,
            rope_max_seq_len=32,
        ),
        "vae": AutoencoderKLWan(
            base_dim=4,
            z_dim=4,
            dim_mult=[1, 1, 1, 1],
            num_res_blocks=1,
            latents_mean=[0.1, -0.1, 0.2, 0.0],
            latents_std=[1.5, 1.6, 1.7, 1.8],
        ),
        "scheduler": UniPCMultistepScheduler(use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=3.0),
        "text_encoder": UMT5EncoderModel(
            UMT5Config(vocab_size=len(tokenizer), d_model=CONDITION_WIDTH, d_kv=8, d_ff=16, num_layers=1, num_heads=2)
        ),
        "tokenizer": tokenizer,
    }
    negative = torch.randn(24, CONDITION_WIDTH)
    return _write(
        folder,
        "WanPipeline",
        parts,
        negative,
        guidance_scale=5.0,
        fps=16.0,
        condition_length=24,
        latent_shape=(2, 4, 4, 4),
    )


def _write(
    folder: Path, pipeline: str, parts: Mapping[str, SavePretrained], negative: torch.Tensor, **settings: Any
) -> Path:
    write_pipeline_dir(
        folder,
        parts,
        pipeline=pipeline,
        negative_condition=negative,
        settings=SynthesisSettings(num_inference_steps=3, **settings),
    )
    return folder


def _tiny_ddim(beta_start: float, beta_end: float, prediction_type: str = "epsilon") -> Any:
    from diffusers import DDIMScheduler

    return DDIMScheduler(
        beta_start=beta_start,
        beta_end=beta_end,
        beta_schedule="scaled_linear",
        clip_sample=False,
        set_alpha_to_one=False,
        steps_offset=1,
        prediction_type=prediction_type,
    )


def _tiny_unet(**settings: Any) -> Any:
    from diffusers import UNet2DConditionModel

    return UNet2DConditionModel(
        block_out_channels=(8, 8),
        layers_per_block=1,
        sample_size=8,
        in_channels=4,
        out_channels=4,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        attention_head_dim=4,
        norm_num_groups=2,
        **settings,
    )


def _tiny_autoencoder(channels: int, **settings: Any) -> Any:
    from diffusers import AutoencoderKL

    return AutoencoderKL(
        in_channels=channels,
        out_channels=channels,
        latent_channels=4,
        block_out_channels=(8, 8),
        norm_num_groups=2,
        down_block_types=("DownEncoderBlock2D",) * 2,
        up_block_types=("UpDecoderBlock2D",) * 2,
        **settings,
    )


def _tiny_qwen(layers: int) -> dict[str, Any]:
    from transformers import Qwen3Config, Qwen3Model

    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = "{% for m in messages %}<|user|>{{ m.content }}<|end|>{% endfor %}<|assistant|>"
    config = Qwen3Config(
        vocab_size=len(tokenizer),
        hidden_size=CONDITION_WIDTH,
        intermediate_size=16,
        num_hidden_layers=layers,
        num_attention_heads=2,
        num_key_value_heads=1,
        head_dim=8,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
        bos_token_id=None,
        tie_word_embeddings=False,
    )
    return {"text_encoder": Qwen3Model(config), "tokenizer": tokenizer}


FAMILIES: dict[str, tuple[str, Callable[[Path], Path]]] = {
    "nano image": ("image", lambda folder: write_tiny_nano(folder, "image")),
    "nano audio": ("audio", lambda folder: write_tiny_nano(folder, "audio")),
    "nano video": ("video", lambda folder: write_tiny_nano(folder, "video")),
    "stable diffusion": ("image", write_tiny_stable_diffusion),
    "audioldm": ("audio", write_tiny_audioldm),
    "zeroscope": ("video", write_tiny_zeroscope),
    "z-image": ("image", write_tiny_z_image),
    "ace-step": ("audio", write_tiny_ace_step),
    "wan": ("video", write_tiny_wan),
}
"""For each family its modality, and what writes a tiny folder."""


class Families:
    """Folders and synthesizers by the name of their family; ``root`` is where the folders are kept."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._opened: dict[str, LatentDiffusion] = {}

    def folder(self, family: str) -> Path:
        """Return the shared folder; do not change it."""
        folder = self.root / family
        return folder if folder.exists() else FAMILIES[family][1](folder)

    def copy(self, family: str, target: Path) -> Path:
        """Copy the folder into ``target``."""
        return Path(shutil.copytree(self.folder(family), target / "copy"))

    def open(self, family: str) -> LatentDiffusion:
        """Return the shared synthesizer."""
        if family not in self._opened:
            self._opened[family] = self.load(self.folder(family), family)
        return self._opened[family]

    def load(self, folder: Path, family: str = "nano image", **options: Any) -> LatentDiffusion:
        """Load a separate synthesizer; ``options`` are those of ``load_synthesizer``."""
        return load_synthesizer(folder, FAMILIES[family][0], **options)


def conditions_of(synthesizer: LatentDiffusion, count: int = 2, seed: int = 0) -> Conditions:
    """Random conditions that fit."""
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *synthesizer.condition_shape, generator=generator)


def last_latents(synthesizer: LatentDiffusion, conditions: Conditions, **options: Any) -> Latents:
    """Return the latents after the last step; ``options`` are those of ``denoise``."""
    *_, last = synthesizer.denoise(conditions, **options)
    return last.latents
