"""Attributes that the encoder's vectors are asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nextgpt.miniworld.sample_specs import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.specs import ObjectSpec, SceneSpec
from nextgpt.nano.attributes import (
    ATTRIBUTE_VALUES,
    IGNORE_INDEX,
    NO_OBJECT,
    AttributeClassifier,
    TokenAttributeClassifier,
    attribute_labels,
    attributes_of,
)

DRAWS = {"image": sample_scene, "audio": sample_sound, "video": sample_clip}


def test_objects_are_numbered_as_one_reads():
    scene = SceneSpec((ObjectSpec("dog", "red", "right", "small"), ObjectSpec("cat", "blue", "top", "small")), "grass")
    found = attributes_of(scene)
    assert (found["object 0"], found["object 1"], found["object 2"]) == ("cat", "dog", NO_OBJECT)
    assert found["place 0"] == "top" and found["tint 1"] == "red" and "tint 2" not in found


@pytest.mark.parametrize("modality", ATTRIBUTE_VALUES)
def test_every_content_has_values_that_are_among_the_choices(modality: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        for name, value in attributes_of(DRAWS[modality](rng)).items():
            assert value in ATTRIBUTE_VALUES[modality][name]


@pytest.mark.parametrize("modality", ATTRIBUTE_VALUES)
def test_a_layer_that_names_the_right_values_loses_nothing(modality: str) -> None:
    rng = np.random.default_rng(1)
    contents = [DRAWS[modality](rng) for _ in range(8)]
    readout = AttributeClassifier(8)
    labels = attribute_labels(modality, contents)
    layer = readout.layers[modality]
    starts = np.cumsum([0, *map(len, ATTRIBUTE_VALUES[modality].values())])
    with torch.no_grad():
        layer.weight.zero_(), layer.bias.zero_()
        for row, of_row in enumerate(labels):
            for start, label in zip(starts[:-1], of_row, strict=True):
                if label != IGNORE_INDEX:
                    layer.weight[start + label, row] = 50.0
    loss, right = readout(modality, torch.eye(8), labels)
    assert loss < 1e-6 and right == 1
    loss, right = readout(modality, torch.eye(8).flip(0), labels)
    assert loss > 1 and right < 1


def test_a_token_readout_finds_what_one_of_many_tokens_says() -> None:
    """Of 9 tokens one, anywhere, says the pitch: a readout of their mean would hear it no louder than noise."""
    torch.manual_seed(0)
    readout, labels = (TokenAttributeClassifier(16), torch.full((64, len(ATTRIBUTE_VALUES["audio"])), IGNORE_INDEX))
    labels[:, 1] = torch.arange(64) % 3
    signs = 4 * torch.eye(16)[:3]

    def tokens() -> torch.Tensor:
        noise = torch.randn(64, 9, 16)
        noise[torch.arange(64), torch.randint(9, (64,))] = signs[labels[:, 1]]
        return torch.nn.functional.normalize(noise, dim=-1)

    optimizer = torch.optim.Adam(readout.parameters(), lr=3e-3)
    for _ in range(150):
        loss, right = readout("audio", tokens(), labels)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert right > 0.9
