"""Attributes that the encoder's vectors are asked for."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nextgpt.miniworld.sampling import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.scene import Placed, Scene
from nextgpt.train.pretrain.attributes import (
    CHOICES,
    NOTHING,
    UNKNOWN,
    AttributeReadout,
    attributes_of,
    labels_of,
)

DRAWS = {"image": sample_scene, "audio": sample_sound, "video": sample_clip}


def test_objects_are_numbered_as_one_reads():
    scene = Scene((Placed("dog", "red", "right", "small"), Placed("cat", "blue", "top", "small")), "grass")
    found = attributes_of(scene)
    assert (found["object 0"], found["object 1"], found["object 2"]) == ("cat", "dog", NOTHING)
    assert found["place 0"] == "top" and found["tint 1"] == "red" and "tint 2" not in found


@pytest.mark.parametrize("modality", CHOICES)
def test_every_content_has_values_that_are_among_the_choices(modality: str) -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        for name, value in attributes_of(DRAWS[modality](rng)).items():
            assert value in CHOICES[modality][name]


@pytest.mark.parametrize("modality", CHOICES)
def test_a_layer_that_names_the_right_values_loses_nothing(modality: str) -> None:
    rng = np.random.default_rng(1)
    contents = [DRAWS[modality](rng) for _ in range(8)]
    readout = AttributeReadout(8)
    labels = labels_of(modality, contents)
    layer = readout.layers[modality]
    starts = np.cumsum([0, *map(len, CHOICES[modality].values())])
    with torch.no_grad():
        layer.weight.zero_(), layer.bias.zero_()
        for row, of_row in enumerate(labels):
            for start, label in zip(starts[:-1], of_row, strict=True):
                if label != UNKNOWN:
                    layer.weight[start + label, row] = 50.0
    loss, right = readout(modality, torch.eye(8), labels)
    assert loss < 1e-6 and right == 1
    loss, right = readout(modality, torch.eye(8).flip(0), labels)
    assert loss > 1 and right < 1
