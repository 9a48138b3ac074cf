"""Traced denoisers: the same numbers, for any batch, and never those of another denoiser."""

from __future__ import annotations

import pytest
import torch
from diffusers import CogVideoXTransformer3DModel
from torch import Tensor

from nextgpt.model.synthesis.denoisers import DENOISERS
from nextgpt.model.synthesis.tracing import Tracer

KIND = DENOISERS["CogVideoXTransformer3DModel"]


def denoiser(seed: int) -> CogVideoXTransformer3DModel:
    torch.manual_seed(seed)
    return CogVideoXTransformer3DModel(
        num_layers=2, num_attention_heads=2, attention_head_dim=16, time_embed_dim=16, in_channels=4, out_channels=4,
        sample_frames=2, sample_height=4, sample_width=4, patch_size=1, temporal_compression_ratio=1,
        max_text_seq_length=3, text_embed_dim=8, use_rotary_positional_embeddings=False,
    ).eval()  # fmt: skip


def given(batch: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(batch)
    return torch.randn(batch, 2, 4, 4, 4, dtype=dtype), torch.tensor(500.0), torch.randn(batch, 3, 8, dtype=dtype)


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_batch_gets_what_the_denoiser_itself_says(dtype: torch.dtype) -> None:
    ours, tracer = denoiser(0).to(dtype), Tracer(KIND.predict)
    for batch in (2, 1, 5, 2):
        latents, time, conditions = given(batch, dtype)
        for step in (time, time / 3):
            exact = KIND.predict(ours, latents, step, conditions)
            assert torch.equal(tracer(ours, latents, step, conditions), exact)


@torch.no_grad()
def test_another_denoiser_and_another_type_are_traced_anew() -> None:
    tracer = Tracer(KIND.predict)
    for ours in (denoiser(0), denoiser(1), denoiser(1).to(torch.bfloat16)):
        some = given(2, next(ours.parameters()).dtype)
        assert torch.equal(tracer(ours, *some), KIND.predict(ours, *some))
