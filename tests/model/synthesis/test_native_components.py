"""Components of this package compute what those of diffusers do, from the same folders."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from tests.model.synthesis.families import Families, conditions_of, last_latents
from torch import Tensor

from nextgpt.model.model_dir import BUILTIN_MODELS
from nextgpt.model.synthesis import LatentDiffusion, load_synthesizer
from nextgpt.model.synthesis.cogvideox import CogVideoX
from nextgpt.model.synthesis.denoise import denoising_loop
from nextgpt.model.synthesis.flow_solver import FlowSolver, is_supported
from nextgpt.model.synthesis.patch_network import PatchNetwork
from nextgpt.model.synthesis.schedule import DenoisingSchedule
from nextgpt.train.losses import denoising_loss

FLOW = {"use_flow_sigmas": True, "prediction_type": "flow_prediction"}


def both(folder: Path, modality: str) -> tuple[LatentDiffusion, LatentDiffusion]:
    return load_synthesizer(folder, modality), load_synthesizer(folder, modality, allow_native=False)


@pytest.mark.parametrize("modality", ["image", "audio", "video"])
@torch.inference_mode()
def test_nano_computes_what_diffusers_computes(modality: str) -> None:
    ours, library = both(BUILTIN_MODELS["nano"] / modality, modality)
    assert isinstance(ours.components.denoiser, CogVideoX) and not isinstance(library.components.denoiser, CogVideoX)
    assert type(ours.components.autoencoder.autoencoder) is PatchNetwork
    generator = torch.Generator().manual_seed(0)
    latents = torch.randn(2, *ours.latent_shape, generator=generator)
    conditions = torch.randn(2, *ours.condition_shape, generator=generator)
    for time in (torch.tensor(998.0), torch.tensor([0.0, 501.0])):
        ours_predicted, predicted = (
            each.adapter.predict(each.components.denoiser, latents, time, conditions) for each in (ours, library)
        )
        torch.testing.assert_close(ours_predicted, predicted, rtol=1e-5, atol=1e-5)
    decoded = [each.components.autoencoder.decode(latents) for each in (ours, library)]
    torch.testing.assert_close(*decoded, rtol=1e-5, atol=1e-5)
    encoded = [each.components.autoencoder.encode(decoded[0].clamp(-1, 1)) for each in (ours, library)]
    torch.testing.assert_close(*encoded, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "settings",
    [
        {"patch_size": 2, "spatial_interpolation_scale": 1.875, "temporal_interpolation_scale": 2.0},
        {"flip_sin_to_cos": False, "freq_shift": 1, "attention_bias": False, "patch_bias": False},
        {"norm_elementwise_affine": False, "norm_eps": 1e-3},
    ],
)
@torch.inference_mode()
def test_other_configs_too(settings: dict[str, Any]) -> None:
    from diffusers import CogVideoXTransformer3DModel

    torch.manual_seed(0)
    library = CogVideoXTransformer3DModel(
        **{
            "num_layers": 2, "num_attention_heads": 2, "attention_head_dim": 16, "time_embed_dim": 16,
            "in_channels": 4, "out_channels": 4, "sample_frames": 5, "sample_height": 4, "sample_width": 6,
            "max_text_seq_length": 3, "text_embed_dim": 8, "patch_size": 1,
        }
        | settings
    ).eval()  # fmt: skip
    ours = CogVideoX(dict(library.config)).eval()
    ours.load_state_dict(library.state_dict())
    for shape in ((2, 2, 4, 4, 6), (1, 3, 4, 8, 4)):  # the size of its training, and another one
        latents, conditions = torch.randn(shape), torch.randn(shape[0], 3, 8)
        time = torch.full(shape[:1], 321.0)
        expected = library(latents, conditions, time, return_dict=False)[0]
        torch.testing.assert_close(ours(latents, conditions, time)[0], expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("shift", [1.0, 3.0])
@pytest.mark.parametrize("strength", [0.5, 1.0])
@pytest.mark.parametrize("steps", [1, 2, 6, 20])
def test_the_solver_takes_the_steps_of_diffusers(steps: int, strength: float, shift: float) -> None:
    from diffusers import DPMSolverMultistepScheduler

    library = DPMSolverMultistepScheduler(flow_shift=shift, **FLOW)
    assert is_supported("DPMSolverMultistepScheduler", library.config)
    generator = torch.Generator().manual_seed(0)
    noise, source = torch.randn(2, 2, 1, 4, 3, 3, generator=generator)

    def run(scheduler: Any) -> list[Tensor]:
        schedule = DenoisingSchedule.create(scheduler, steps, strength=strength)
        first = schedule.initial_latents(noise, None if strength == 1 else source)
        return [step.latents for step in denoising_loop(lambda x, time: (3 * x).sin() + time / 500, first, schedule)]

    torch.testing.assert_close(run(FlowSolver(FLOW | {"flow_shift": shift})), run(library), rtol=0, atol=0)


@pytest.mark.parametrize(
    "settings",
    [{"use_flow_sigmas": False}, {"prediction_type": "epsilon"}, {"solver_order": 3}, {"use_karras_sigmas": True}],
)
def test_other_solvers_are_left_to_diffusers(settings: dict[str, Any]) -> None:
    assert not is_supported("DPMSolverMultistepScheduler", FLOW | settings)
    assert not is_supported("UniPCMultistepScheduler", FLOW)


def test_a_config_that_is_not_implemented_is_left_to_diffusers(families: Families, tmp_path: Path) -> None:
    folder = families.copy("nano image", tmp_path)
    path = folder / "transformer" / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"activation_fn": "gelu"}))
    denoiser = load_synthesizer(folder, "image").components.denoiser
    assert type(denoiser).__module__.startswith("diffusers.")


def test_weights_are_those_of_the_folder_in_the_wanted_type(families: Families) -> None:
    folder = families.folder("nano image")
    stored = load_file(folder / "transformer" / "diffusion_pytorch_model.safetensors")
    denoiser = load_synthesizer(folder, "image", dtype=torch.bfloat16).components.denoiser
    assert denoiser.dtype == torch.bfloat16 and not denoiser.training
    for name, tensor in denoiser.state_dict().items():
        assert torch.equal(tensor, stored[name].bfloat16()) and not tensor.requires_grad


def test_answers_import_nothing_that_takes_seconds() -> None:
    program = """
import sys, nextgpt
reply = nextgpt.NextGPT.from_pretrained("nano").chat("Draw a cat.")
assert reply.images
slow = "diffusers", "scipy", "peft", "sympy", "torch._dynamo", "transformers.modeling_utils"
print([name for name in slow if name in sys.modules])
"""
    answer = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "[]"


def test_training_may_use_what_a_reply_loaded(families: Families) -> None:
    synthesizer = load_synthesizer(families.folder("nano image"), "image")
    latents = last_latents(synthesizer, conditions_of(synthesizer, 1), seeds=[1])
    conditions = torch.zeros(1, *synthesizer.condition_shape, requires_grad=True)
    denoising_loss(synthesizer, latents.clone(), conditions, [torch.Generator()]).backward()
    assert conditions.grad is not None
