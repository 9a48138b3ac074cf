"""The way into noise is the one that denoising goes back, whatever a denoiser predicts."""

from __future__ import annotations

import diffusers
import pytest
import torch

from nextgpt.errors import ModelError
from nextgpt.model.synthesis.schedule import DenoisingSchedule
from nextgpt.model.synthesis.training_noise import add_noise

BETAS = {"beta_schedule": "scaled_linear", "beta_start": 0.00085, "beta_end": 0.012}
SCHEDULERS = {
    "noise": diffusers.DDIMScheduler(**BETAS, prediction_type="epsilon"),
    "velocity": diffusers.DDIMScheduler(**BETAS, prediction_type="v_prediction"),
    "clean latents": diffusers.DDIMScheduler(**BETAS, prediction_type="sample"),
    "velocity, another solver": diffusers.DPMSolverMultistepScheduler(**BETAS, prediction_type="v_prediction"),
    "flow": diffusers.FlowMatchEulerDiscreteScheduler(),
    "flow, another solver": diffusers.DPMSolverMultistepScheduler(
        use_flow_sigmas=True, prediction_type="flow_prediction", flow_shift=1.0
    ),
}


def generators(count: int) -> list[torch.Generator]:
    return [torch.Generator().manual_seed(seed) for seed in range(count)]


def latents(count: int = 6) -> torch.Tensor:
    return torch.randn(count, 1, 2, 3, 4, generator=torch.Generator().manual_seed(7))


@pytest.mark.parametrize("name", SCHEDULERS)
def test_a_perfect_prediction_leads_back_to_the_clean_latents(name: str) -> None:
    noised = add_noise(SCHEDULERS[name], latents(), generators(6))
    schedule = DenoisingSchedule.create(SCHEDULERS[name], 4)
    for row, clean in enumerate(latents().split(1)):
        seen, said = noised.latents[row : row + 1], noised.target[row : row + 1]
        predicted_original = schedule.predicted_original(seen, said, noised.timesteps[row])
        torch.testing.assert_close(predicted_original, clean, rtol=1e-3, atol=2e-3)


@pytest.mark.parametrize("kind", ["noise", "velocity"])
def test_it_is_the_noise_of_diffusers(kind: str) -> None:
    scheduler = SCHEDULERS[kind]
    noised = add_noise(scheduler, latents(), generators(6))
    noise = add_noise(SCHEDULERS["noise"], latents(), generators(6)).target
    torch.testing.assert_close(noised.latents, scheduler.add_noise(latents(), noise, noised.timesteps))
    if kind == "velocity":
        torch.testing.assert_close(noised.target, scheduler.get_velocity(latents(), noise, noised.timesteps))


@pytest.mark.parametrize("name", ["noise", "flow"])
def test_noise_depends_on_a_mediums_own_generator_alone(name: str) -> None:
    together = add_noise(SCHEDULERS[name], latents(), generators(6))
    alone = add_noise(SCHEDULERS[name], latents()[2:3], generators(6)[2:3])
    assert torch.equal(together.latents[2], alone.latents[0]) and together.timesteps[2] == alone.timesteps[0]
    assert len(set(together.timesteps.tolist())) > 1


def test_a_prediction_that_is_not_known_is_refused() -> None:
    scheduler = diffusers.DDIMScheduler(**BETAS)
    scheduler.register_to_config(prediction_type="clean")
    with pytest.raises(ModelError, match="prediction_type 'clean' is unknown"):
        add_noise(scheduler, latents(), generators(6))
