"""What holds for every synthesizer: steps, seeds, batches, guidance, cancelling, previews."""

from __future__ import annotations

import pytest
import torch
from tests.model.synthesis.families import FAMILIES, Families, conditions_of, last_latents
from torch import Tensor

from nextgpt.errors import ConfigError, ModelError
from nextgpt.model.synthesis import LatentDiffusion, Synthesizer


class Calls:
    """Counts the denoiser's calls and remembers the size of each batch."""

    def __init__(self, synthesizer: LatentDiffusion) -> None:
        self.batches: list[int] = []
        self._synthesizer, self._predict = synthesizer, synthesizer.predict

    def __enter__(self) -> Calls:
        self._synthesizer.predict = self._tally
        return self

    def __exit__(self, *error: object) -> None:
        del self._synthesizer.predict

    def _tally(self, latents: Tensor, *given: Tensor) -> Tensor:
        self.batches.append(len(latents))
        return self._predict(latents, *given)


def test_every_family_makes_its_medium(families: Families, family: str):
    synthesizer = families.open(family)
    assert isinstance(synthesizer, Synthesizer)
    steps = list(synthesizer.denoise(conditions_of(synthesizer), seeds=[1, 2]))
    assert [(step.index, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    media = synthesizer.decode(steps[-1].latents)
    assert [medium.modality for medium in media] == [FAMILIES[family][0]] * 2
    previews = synthesizer.preview(steps[0].predicted_original)
    assert [medium.modality for medium in previews] == [FAMILIES[family][0]] * 2


@pytest.mark.parametrize(
    ("family", "size"),
    [
        ("nano image", lambda image: image.image.size == (64, 64)),
        ("nano audio", lambda audio: (audio.samples.shape, audio.sample_rate_hz) == ((1, 32_000), 16_000)),
        ("nano video", lambda video: (video.frames.shape, video.fps) == ((16, 64, 64, 3), 8.0)),
        ("zeroscope", lambda video: video.frames.shape == (3, 16, 16, 3)),
    ],
)
def test_media_have_the_size_of_their_family(families: Families, family: str, size):
    synthesizer = families.open(family)
    latents = torch.zeros(1, *synthesizer.latent_shape)
    assert size(synthesizer.decode(latents)[0])


def test_a_batch_gives_the_same_media_as_singles(families: Families, family: str):
    synthesizer = families.open(family)
    conditions = conditions_of(synthesizer, 3)
    together = last_latents(synthesizer, conditions, seeds=[5, 6, 7])
    alone = [last_latents(synthesizer, conditions[i : i + 1], seeds=[seed]) for i, seed in enumerate((5, 6, 7))]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_a_batch_gives_the_same_media_as_singles_where_the_solver_adds_noise(families: Families):
    settings = families.open("stable diffusion").settings
    synthesizer = families.load(
        families.folder("stable diffusion"),
        settings=settings.model_copy(update={"solver": "EulerAncestralDiscreteScheduler"}),
    )
    conditions = conditions_of(synthesizer)
    together = last_latents(synthesizer, conditions, seeds=[5, 6])
    alone = [last_latents(synthesizer, conditions[i : i + 1], seeds=[5 + i]) for i in range(2)]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_the_seed_alone_decides_the_noise(families: Families):
    synthesizer = families.open("nano image")
    conditions = conditions_of(synthesizer, 1)
    first = last_latents(synthesizer, conditions, seeds=[1])
    torch.manual_seed(99)
    assert torch.equal(first, last_latents(synthesizer, conditions, seeds=[1]))
    assert not torch.allclose(first, last_latents(synthesizer, conditions, seeds=[2]), atol=0.1)


def test_the_condition_decides_too(families: Families, family: str):
    synthesizer = families.open(family)
    one, other = (last_latents(synthesizer, conditions_of(synthesizer, 1, seed), seeds=[1]) for seed in (0, 1))
    assert not torch.allclose(one, other, atol=1e-6)


def test_two_runs_at_once_do_not_disturb_each_other(families: Families):
    synthesizer = families.open("nano image")
    conditions = conditions_of(synthesizer, 1)
    expected = [last_latents(synthesizer, conditions, seeds=[seed]) for seed in (1, 2)]
    runs = [synthesizer.denoise(conditions, seeds=[seed]) for seed in (1, 2)]
    *_, last = zip(*runs, strict=True)
    assert torch.equal(last[0].latents, expected[0]) and torch.equal(last[1].latents, expected[1])


def test_guidance_takes_one_call_of_twice_the_batch_and_no_guidance_half_of_it(families: Families):
    synthesizer = families.open("nano image")
    conditions = conditions_of(synthesizer)
    with Calls(synthesizer) as with_guidance:
        last_latents(synthesizer, conditions, seeds=[1, 2], guidance_scale=2.0)
    with Calls(synthesizer) as unguided:
        last_latents(synthesizer, conditions, seeds=[1, 2], guidance_scale=1.0)
    assert with_guidance.batches == [4, 4, 4]
    assert unguided.batches == [2, 2, 2]


def test_guidance_leads_away_from_the_negative_condition(families: Families):
    synthesizer = families.open("nano image")
    negative = synthesizer.components.negative_condition[None]
    plain = last_latents(synthesizer, negative, seeds=[1], guidance_scale=1.0)
    torch.testing.assert_close(last_latents(synthesizer, negative, seeds=[1], guidance_scale=5.0), plain)
    other = conditions_of(synthesizer, 1)
    distances = [
        (last_latents(synthesizer, other, seeds=[1], guidance_scale=scale) - plain).norm() for scale in (1.0, 3.0, 9.0)
    ]
    assert distances[0] < distances[1] < distances[2]


def test_closing_the_steps_stops_the_work(families: Families):
    synthesizer = families.open("nano image")
    with Calls(synthesizer) as calls:
        steps = synthesizer.denoise(conditions_of(synthesizer, 1), seeds=[1], num_inference_steps=8)
        next(steps)
        next(steps)
        steps.close()
        assert len(calls.batches) == 2
        assert next(steps, None) is None
    assert len(calls.batches) == 2


def test_between_steps_gradients_work_as_ever(families: Families):
    synthesizer = families.open("nano image")
    for _ in synthesizer.denoise(conditions_of(synthesizer, 1), seeds=[1]):
        assert not torch.is_inference_mode_enabled()
        assert torch.ones(1, requires_grad=True).sum().requires_grad


def test_the_last_guess_is_near_the_result(families: Families, family: str):
    synthesizer = families.open(family)
    *_, last = synthesizer.denoise(conditions_of(synthesizer, 1), seeds=[1], num_inference_steps=30, guidance_scale=1.0)
    assert (last.predicted_original - last.latents).abs().mean() < 0.1 * last.latents.abs().mean() + 0.05


def test_half_precision_of_the_denoiser_stays_near_full(families: Families):
    folder = families.folder("nano image")
    half = families.load(folder, dtype=torch.bfloat16)
    conditions = conditions_of(half, 1)
    full = last_latents(families.open("nano image"), conditions, seeds=[1])
    rough = last_latents(half, conditions, seeds=[1])
    assert rough.dtype == torch.float32
    assert (rough - full).abs().max() < 0.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_inference_steps": 0}, "num_inference_steps is 0"),
        ({"num_inference_steps": 1001}, "expected 1 to 1000"),
        ({"guidance_scale": 0.5}, "expected 1"),
    ],
)
def test_settings_out_of_range_are_refused_before_any_work(families: Families, options: dict, message: str):
    synthesizer = families.open("nano image")
    with Calls(synthesizer) as calls, pytest.raises(ConfigError, match=message):
        synthesizer.denoise(conditions_of(synthesizer, 1), seeds=[1], **options)
    assert calls.batches == []


def test_conditions_of_another_model_are_refused(families: Families):
    synthesizer = families.open("nano image")
    with pytest.raises(ModelError, match=r"\(6, 15\).*takes \(6, 16\)"):
        synthesizer.denoise(torch.zeros(1, 6, 15), seeds=[1])
