"""Settings of the published demo: NExT-GPT's demo_app.py, and the schedulers of its diffusers repositories."""

from __future__ import annotations

import pytest
import torch
from tests.model.synthesis.families import Families, conditions_of

from nextgpt.cli.app import main
from nextgpt.errors import ConfigError
from nextgpt.model.synthesis import load_synthesizer
from nextgpt.model.synthesis.components import SynthesizerComponents
from nextgpt.model.synthesis.spec import read_spec
from nextgpt.presets import PRESETS

SCHEDULERS = {
    ("paper", "image"): "PNDMScheduler",
    ("paper", "audio"): "DDIMScheduler",
    ("paper", "video"): "DDIMScheduler",
    ("paper-v2", "image"): "DDIMScheduler",
}


@pytest.mark.parametrize(("preset", "modality"), SCHEDULERS)
def test_published_sampling_takes_50_steps_of_the_folders_own_scheduler(preset: str, modality: str) -> None:
    spec = read_spec(PRESETS[preset] / modality, sampling="published")
    assert (spec.settings.num_inference_steps, spec.settings.guidance_scale) == (50, 7.5)
    components = SynthesizerComponents(
        spec.folder, spec.index, scheduler_name=spec.settings.scheduler, dtype=torch.float32, device="cpu"
    )
    assert type(components.scheduler).__name__ == SCHEDULERS[preset, modality]
    by_default = read_spec(PRESETS[preset] / modality).settings
    assert by_default.scheduler == "DPMSolverMultistepScheduler"
    assert by_default.num_inference_steps < 50


def test_published_audio_is_9_s_and_published_video_24_frames() -> None:
    """AudioLDM: 100 frames per second, 4 per latent row; the demo's video is 320 x 576, 8 pixels per cell."""
    audio = read_spec(PRESETS["paper"] / "audio", sampling="published")
    assert audio.latent_shape == (1, 8, 225, 16)
    assert audio.settings.mel.samples == 9 * 16_000
    assert read_spec(PRESETS["paper"] / "video", sampling="published").latent_shape == (24, 4, 40, 72)


def test_audio_of_published_length_is_made(families: Families) -> None:
    """225 rows of latents, each 2 frames of 40 samples in this tiny AudioLDM."""
    synthesizer = load_synthesizer(families.folder("audioldm"), "audio", sampling="published")
    steps = synthesizer.denoise(conditions_of(synthesizer, 1), seeds=[0], num_inference_steps=1, guidance_scale=1)
    (medium,) = synthesizer.decode(next(steps).latents)
    assert medium.samples.shape[1] == 225 * 2 * 40


def test_a_model_without_published_settings_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ConfigError, match="which the published NExT-GPT does not use. Leave sampling out"):
        read_spec(PRESETS["open"] / "image", sampling="published")
    assert main(["chat", "nano", "--once", "Draw a cat.", "--sampling", "published"]) == 2
    assert "Leave sampling out" in capsys.readouterr().err
    assert main(["chat", "nano", "--once", "Draw a cat.", "--sampling", "fast"]) == 2
