"""Traced denoisers: the same numbers, for any batch, and never those of another denoiser."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from nextgpt.model.synthesis.cogvideox import CogVideoX
from nextgpt.model.synthesis.denoisers import DENOISERS
from nextgpt.model.synthesis.tracing import TracedDenoiser

KIND = DENOISERS["CogVideoXTransformer3DModel"]


CONFIG = {
    "num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16, "time_embed_dim": 16, "in_channels": 4,
    "out_channels": 4, "patch_size": 1, "patch_bias": True, "text_embed_dim": 8, "attention_bias": True,
    "norm_elementwise_affine": True, "norm_eps": 1e-5, "flip_sin_to_cos": True, "freq_shift": 0,
    "spatial_interpolation_scale": 1.875, "temporal_interpolation_scale": 1.0,
}  # fmt: skip


def denoiser(seed: int) -> CogVideoX:
    torch.manual_seed(seed)
    return CogVideoX(CONFIG).eval()


def given(batch: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor, Tensor]:
    torch.manual_seed(batch)
    return (torch.randn(batch, 2, 4, 4, 4, dtype=dtype), torch.tensor(500.0), torch.randn(batch, 3, 8, dtype=dtype))


def rounding(dtype: torch.dtype) -> float:
    """In float32 there is none; in bfloat16 GELU is computed otherwise."""
    return 0.0 if dtype == torch.float32 else 2 * torch.finfo(dtype).eps


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_every_batch_gets_what_the_denoiser_itself_says(dtype: torch.dtype) -> None:
    ours, tracer = denoiser(0).to(dtype), TracedDenoiser(KIND.predict, plain_calls=0)
    for batch in (2, 1, 5, 2):
        latents, time, conditions = given(batch, dtype)
        for step in (time, time / 3):
            exact = KIND.predict(ours, latents, step, conditions)
            said = tracer(ours, latents, step, conditions)
            torch.testing.assert_close(said, exact, rtol=rounding(dtype), atol=rounding(dtype))


@torch.no_grad()
def test_in_bfloat16_the_faster_gelu_is_as_near_to_the_truth_and_the_denoiser_is_left_as_it_was() -> None:
    plain, tracer = denoiser(0), TracedDenoiser(KIND.predict, plain_calls=0)
    coarse = denoiser(0).to(torch.bfloat16)
    latents, time, conditions = given(8)
    truth = KIND.predict(plain, latents, time, conditions)
    some = latents.bfloat16(), time, conditions.bfloat16()
    traced, usual = (predict(coarse, *some).float() for predict in (tracer, KIND.predict))
    assert (traced - truth).square().mean() <= 1.1 * (usual - truth).square().mean()
    assert all(block.ff.net["0"].approximate == "tanh" for block in coarse.transformer_blocks)


@torch.no_grad()
def test_another_denoiser_and_another_type_are_traced_anew() -> None:
    tracer = TracedDenoiser(KIND.predict, plain_calls=0)
    for ours in (denoiser(0), denoiser(1), denoiser(1).to(torch.bfloat16)):
        dtype = next(ours.parameters()).dtype
        some = given(2, dtype)
        said, exact = tracer(ours, *some), KIND.predict(ours, *some)
        torch.testing.assert_close(said, exact, rtol=rounding(dtype), atol=rounding(dtype))


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_first_calls_are_plain_and_give_the_same(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    ours, tracer, traces = denoiser(0).to(dtype), TracedDenoiser(KIND.predict, plain_calls=2), []
    trace = torch.jit.trace
    monkeypatch.setattr(torch.jit, "trace", lambda *args, **options: traces.append(1) or trace(*args, **options))
    said = [tracer(ours, *given(2, dtype)) for _ in range(4)]
    assert len(traces) == 1
    for traced in said[2:]:
        torch.testing.assert_close(traced, said[0], rtol=rounding(dtype), atol=rounding(dtype))
    tracer(denoiser(1).to(dtype), *given(2, dtype))
    assert len(traces) == 1, "another denoiser begins anew"
