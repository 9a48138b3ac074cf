"""Tiny synthesizers like nano's with random weights, each written in less than a second."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch

from nextgpt.model.synthesis.diffusers_io import write_pipeline_dir
from nextgpt.model.synthesis.settings import SynthesisSettings
from nextgpt.testing.tokenizer import tiny_tokenizer

CONDITION_WIDTH = 16
NANO_CHANNELS = {"image": 3, "audio": 1, "video": 12}
"""Pixel channels of nano's autoencoders: RGB, one spectrogram, four RGB frames."""
NANO_LATENTS = {"image": (1, 8, 8), "audio": (1, 8, 16), "video": (4, 8, 8)}
"""(F, H, W) of nano's latents."""


def write_tiny_nano(
    folder: str | Path, modality: str, *, queries: int = 6, condition_width: int = CONDITION_WIDTH, seed: int = 0
) -> Path:
    """Write a synthesizer shaped like nano's: full-size media, tiny networks, flow matching."""
    from diffusers import CogVideoXTransformer3DModel, DPMSolverMultistepScheduler

    from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder

    frames, height, width = NANO_LATENTS[modality]
    with seeded(seed):
        parts = {
            "transformer": CogVideoXTransformer3DModel(
                num_attention_heads=2,
                attention_head_dim=8,
                in_channels=4,
                out_channels=4,
                time_embed_dim=16,
                text_embed_dim=condition_width,
                num_layers=1,
                sample_height=height,
                sample_width=width,
                sample_frames=(frames - 1) * 4 + 1,
                patch_size=1,
                max_text_seq_length=queries,
                spatial_interpolation_scale=1.0,
            ),
            "vae": PatchAutoencoder(
                in_channels=NANO_CHANNELS[modality],
                latent_channels=4,
                widths=(8, 8),
                encoder_layers=(1, 1),
                decoder_layers=(1, 1),
                latents_mean=[0.1, -0.1, 0.2, 0.0],
                latents_std=[0.5, 0.6, 0.7, 0.8],
            ),
            "scheduler": DPMSolverMultistepScheduler(
                use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=1.0
            ),
            **tiny_clip(queries, condition_width),
        }
        negative = torch.randn(queries, condition_width)
    write_pipeline_dir(folder, parts, settings=SynthesisSettings(num_inference_steps=3), negative_condition=negative)
    return Path(folder)


def tiny_clip(queries: int, width: int) -> dict[str, Any]:
    """Return a text encoder and its tokenizer, by component name."""
    from transformers import CLIPTextConfig, CLIPTextModel

    tokenizer = tiny_tokenizer()
    config = CLIPTextConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=queries,
        eos_token_id=tokenizer.eos_token_id,
        bos_token_id=None,
    )
    return {"text_encoder": CLIPTextModel(config), "tokenizer": tokenizer}


@contextmanager
def seeded(seed: int) -> Iterator[None]:
    """Seed PyTorch in a ``with`` block or a decorated function, and restore its state after it."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield
