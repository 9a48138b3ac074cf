"""A tiny encoder of SigLIP and CLAP: two repositories in their real form, with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

import torch

from nextgpt.model.encoding import SiglipClapConfig
from nextgpt.testing.tokenizer import tiny_tokenizer

ENCODER_WIDTH = 32


def write_tiny_siglip_clap(
    folder: str | Path, *, features: Literal["pooled", "patches"] = "pooled", seed: int = 0
) -> Path:
    """Write an encoder that takes images of 16 x 16 pixels as four patches, and audio in clips of one second."""
    from transformers import ClapConfig, ClapFeatureExtractor, ClapModel, SiglipConfig, SiglipModel
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    folder = Path(folder)
    tokenizer = tiny_tokenizer()
    sizes = {"hidden_size": ENCODER_WIDTH, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    siglip = SiglipConfig(
        vision_config=sizes | {"image_size": 16, "patch_size": 8},
        text_config=sizes
        | {"vocab_size": len(tokenizer), "max_position_embeddings": 16, "projection_size": ENCODER_WIDTH},
    )
    clap = ClapConfig(
        audio_config={
            "spec_size": 64,
            "num_mel_bins": 16,
            "window_size": 4,
            "patch_size": 2,
            "patch_stride": [2, 2],
            "freq_ratio": 2,
            "hidden_size": 32,
            "patch_embeds_hidden_size": 16,
            "depths": [1, 1],
            "num_hidden_layers": 2,
            "num_attention_heads": [2, 2],
            "projection_dim": 16,
        },
        text_config=sizes | {"vocab_size": len(tokenizer), "max_position_embeddings": 32, "projection_dim": 16},
        projection_dim=16,
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        SiglipModel(siglip).save_pretrained(folder / "vision")
        ClapModel(clap).save_pretrained(folder / "audio")
    tokenizer.save_pretrained(folder / "vision")
    SiglipImageProcessorPil(
        size={"height": 16, "width": 16}, image_mean=[0.5] * 3, image_std=[0.5] * 3
    ).save_pretrained(folder / "vision")
    ClapFeatureExtractor(
        feature_size=16,
        sampling_rate=8000,
        hop_length=80,
        max_length_s=1,
        fft_window_size=256,
        frequency_max=4000,
        truncation="rand_trunc",
    ).save_pretrained(folder / "audio")
    config = SiglipClapConfig(features=features, frames=4)
    (folder / "config.json").write_text(config.model_dump_json(indent=2) + "\n", encoding="utf-8")
    return folder
