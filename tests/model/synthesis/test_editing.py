"""Editing starts from the latents of a given medium."""

from __future__ import annotations

import numpy as np
import PIL.Image
import pytest
import torch
from tests.model.synthesis.families import Families, conditions_of, last_latents

from nextgpt.errors import ConfigError
from nextgpt.message import Audio, Image, Medium, Video


def a_medium(modality: str) -> Medium:
    rng = np.random.default_rng(0)
    return {
        "image": lambda: Image(PIL.Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))),
        "audio": lambda: Audio(rng.normal(0, 0.1, (1, 32_000)).astype(np.float32), 16_000),
        "video": lambda: Video(rng.integers(0, 256, (16, 64, 64, 3), dtype=np.uint8), 8.0),
    }[modality]()


def test_the_weaker_the_edit_the_nearer_the_source(families: Families, family: str):
    synthesizer = families.open(family)
    source = [a_medium(synthesizer.modality)]
    latents = synthesizer.encode(source)
    conditions = conditions_of(synthesizer, 1)
    distances = [
        (
            last_latents(
                synthesizer, conditions, seeds=[1], num_inference_steps=10, edit_source=source, strength=strength
            )
            - latents
        ).norm()
        for strength in (0.001, 0.3, 0.9)
    ]
    assert distances[0] < 0.15 * distances[2]
    assert distances[0] < distances[1] < distances[2]


def test_an_edit_takes_its_share_of_the_steps(families: Families):
    synthesizer = families.open("nano image")
    steps = list(
        synthesizer.denoise(
            conditions_of(synthesizer, 1),
            seeds=[1],
            num_inference_steps=10,
            edit_source=[a_medium("image")],
            strength=0.6,
        )
    )
    assert len(steps) == 6


def test_edits_in_a_batch_equal_single_ones(families: Families, family: str):
    synthesizer = families.open(family)
    first = a_medium(synthesizer.modality)
    second = synthesizer.decode(torch.zeros(1, *synthesizer.latent_shape))[0]
    conditions = conditions_of(synthesizer, 2)
    together = last_latents(synthesizer, conditions, seeds=[1, 2], edit_source=[first, second], strength=0.7)
    alone = [
        last_latents(synthesizer, conditions[i : i + 1], seeds=[1 + i], edit_source=[medium], strength=0.7)
        for i, medium in enumerate((first, second))
    ]
    torch.testing.assert_close(together, torch.cat(alone), atol=1e-4, rtol=1e-4)


def test_sources_of_any_size_fit(families: Families):
    wide = Image(PIL.Image.new("RGB", (200, 50), "red"))
    assert families.open("nano image").encode([wide]).shape == (1, 1, 4, 8, 8)
    short = Audio(np.zeros((2, 1000), dtype=np.float32), 44_100)
    assert families.open("nano audio").encode([short]).shape == (1, 1, 4, 8, 16)
    long = Video(np.zeros((50, 30, 40, 3), dtype=np.uint8), 25.0)
    assert families.open("nano video").encode([long]).shape == (1, 4, 4, 8, 8)


def test_a_source_of_another_modality_is_refused(families: Families):
    synthesizer = families.open("nano image")
    with pytest.raises(ConfigError, match="is audio; expected image"):
        synthesizer.denoise(conditions_of(synthesizer, 1), seeds=[1], edit_source=[a_medium("audio")])


@pytest.mark.parametrize("strength", [0.0, 1.5])
def test_a_strength_out_of_range_is_refused(families: Families, strength: float):
    synthesizer = families.open("nano image")
    with pytest.raises(ConfigError, match="expected above 0, up to 1"):
        synthesizer.denoise(
            conditions_of(synthesizer, 1), seeds=[1], edit_source=[a_medium("image")], strength=strength
        )
