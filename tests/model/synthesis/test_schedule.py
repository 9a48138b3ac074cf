"""Schedules hide what schedulers differ in."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from tests.model.synthesis.families import Families

from nextgpt.errors import ModelError
from nextgpt.model.synthesis import SynthesisSettings
from nextgpt.model.synthesis.denoise import denoising_loop
from nextgpt.model.synthesis.schedule import DenoisingSchedule

TARGET = torch.linspace(-1, 1, 16).reshape(1, 1, 4, 2, 2)


def flow(name: str, **settings: Any) -> Any:
    import diffusers

    return getattr(diffusers, name)(**settings)


FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}


@pytest.mark.parametrize(
    ("name", "settings"),
    [("FlowMatchEulerDiscreteScheduler", {}), ("DPMSolverMultistepScheduler", FLOW), ("UniPCMultistepScheduler", FLOW)],
)
@pytest.mark.parametrize("num_inference_steps", [1, 2, 8])
def test_a_perfect_velocity_gives_the_target_in_any_number_of_steps(
    name: str, settings: dict, num_inference_steps: int
):
    schedule = DenoisingSchedule.create(flow(name, **settings), num_inference_steps)
    noise = torch.randn(1, 1, 4, 2, 2, generator=torch.Generator().manual_seed(0))

    def velocity(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        return (latents - TARGET) / (timestep / 1000)

    steps = list(denoising_loop(velocity, schedule.initial_latents(noise), schedule))
    assert len(steps) == num_inference_steps
    torch.testing.assert_close(steps[-1].latents, TARGET, atol=2e-2, rtol=0)
    for step in steps:
        torch.testing.assert_close(step.predicted_original, TARGET, atol=1e-4, rtol=0)


@pytest.mark.parametrize("name", ["DDIMScheduler", "PNDMScheduler", "EulerDiscreteScheduler", "HeunDiscreteScheduler"])
def test_a_perfect_noise_prediction_gives_the_target(name: str):
    scheduler = flow(name, beta_schedule="scaled_linear")
    schedule = DenoisingSchedule.create(scheduler, 6)
    noise = torch.randn(1, 1, 4, 2, 2, generator=torch.Generator().manual_seed(0))

    def epsilon(latents: torch.Tensor, timestep: torch.Tensor) -> torch.Tensor:
        signal = scheduler.alphas_cumprod[timestep.long()]
        return (latents - signal**0.5 * TARGET) / (1 - signal) ** 0.5

    *_, last = denoising_loop(epsilon, schedule.initial_latents(noise), schedule)
    torch.testing.assert_close(last.predicted_original, TARGET, atol=1e-3, rtol=0)
    torch.testing.assert_close(last.latents, TARGET, atol=0.1, rtol=0)


@pytest.mark.parametrize("strength", [0.2, 0.5, 0.77, 1.0])
def test_an_edit_begins_where_its_share_of_the_noise_is_left(strength: float):
    schedule = DenoisingSchedule.create(flow("DPMSolverMultistepScheduler", **FLOW), 8, strength=strength)
    assert len(schedule.timesteps) == round(8 * strength)
    assert schedule.timesteps[0].item() / 1000 == pytest.approx(strength, abs=0.06)
    source, noise = torch.ones(1, 1, 4, 2, 2), torch.zeros(1, 1, 4, 2, 2)
    left = schedule.initial_latents(noise, source).mean().item()
    assert 1 - left == pytest.approx(schedule.timesteps[0].item() / 1000, abs=2e-3)


def test_a_run_leaves_its_scheduler_untouched():
    scheduler = flow("DPMSolverMultistepScheduler", **FLOW)
    before = scheduler.timesteps.clone()
    DenoisingSchedule.create(scheduler, 4)
    assert torch.equal(scheduler.timesteps, before)


@pytest.mark.parametrize("solver", ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler"])
def test_a_fast_solver_follows_the_flow_of_the_folder(families: Families, tmp_path, capfd, solver: str):
    from diffusers import FlowMatchEulerDiscreteScheduler

    from nextgpt.model.synthesis import write_pipeline_dir

    folder = families.copy("nano image", tmp_path)
    write_pipeline_dir(folder, {"scheduler": FlowMatchEulerDiscreteScheduler(shift=3.0)})
    capfd.readouterr()
    scheduler = families.load(folder, settings=SynthesisSettings(scheduler=solver)).components.scheduler
    DenoisingSchedule.create(scheduler, 4)
    assert capfd.readouterr().err == ""
    assert type(scheduler).__name__ == {"DPMSolverMultistepScheduler": "FlowSolver"}.get(solver, solver)
    assert (scheduler.config.prediction_type, scheduler.config.flow_shift) == ("flow_prediction", 3.0)
    assert families.load(folder, settings=SynthesisSettings(scheduler=None)).components.scheduler.config.shift == 3.0


def test_an_unknown_solver_is_named(families: Families):
    synthesizer = families.load(families.folder("nano image"), settings=SynthesisSettings(scheduler="Fastest"))
    with pytest.raises(ModelError, match="'Fastest'"):
        _ = synthesizer.components.scheduler
