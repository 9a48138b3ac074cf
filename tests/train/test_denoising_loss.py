"""The denoising loss: its gradient reaches conditions and nothing else, for every family of synthesizers."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.model.synthesis.families import FAMILIES, Families, conditions_of, write_tiny_stable_diffusion

from nextgpt.model.synthesis import load_synthesizer
from nextgpt.train.losses import denoising_loss, seeded_generator


@pytest.fixture(scope="module")
def families(tmp_path_factory: pytest.TempPathFactory) -> Families:
    return Families(tmp_path_factory.mktemp("families"))


@pytest.mark.parametrize("family", FAMILIES)
def test_a_gradient_reaches_the_conditions_alone(family: str, families: Families) -> None:
    synthesizer = families.open(family)
    conditions = conditions_of(synthesizer).requires_grad_()
    latents = torch.randn(2, *synthesizer.latent_shape, generator=torch.Generator().manual_seed(0))
    denoising_loss(synthesizer, latents, conditions, [seeded_generator([0]), seeded_generator([1])]).backward()
    assert conditions.grad.abs().sum() > 0
    assert all(parameter.grad is None for parameter in synthesizer.components.denoiser.parameters())


@pytest.mark.parametrize("kind", ["epsilon", "v_prediction"])
def test_a_denoiser_is_judged_by_what_it_was_trained_to_predict(kind: str, tmp_path: Path) -> None:
    synthesizer = load_synthesizer(write_tiny_stable_diffusion(tmp_path, prediction_type=kind), "image")
    latents = torch.randn(2, *synthesizer.latent_shape, generator=torch.Generator().manual_seed(0))
    scheduler = synthesizer.components.scheduler

    def perfect(noisy: torch.Tensor, timesteps: torch.Tensor, conditions: torch.Tensor) -> torch.Tensor:
        kept = scheduler.alphas_cumprod[timesteps].view(-1, 1, 1, 1, 1)
        noise = (noisy - kept.sqrt() * latents) / (1 - kept).sqrt()
        return noise if kind == "epsilon" else kept.sqrt() * noise - (1 - kept).sqrt() * latents

    conditions = conditions_of(synthesizer)
    generators = [seeded_generator([5]), seeded_generator([6])]
    assert float(denoising_loss(synthesizer, latents, conditions, generators)) > 0.1
    synthesizer.predict = perfect
    generators = [seeded_generator([5]), seeded_generator([6])]
    assert float(denoising_loss(synthesizer, latents, conditions, generators)) == pytest.approx(0, abs=1e-6)
