from __future__ import annotations

import numpy as np
import PIL.Image
import pytest

from nextgpt.evaluate.metrics import compute_metric
from nextgpt.media.types import Image


def test_changes_are_measured_inside_and_outside_of_the_mask():
    source = np.zeros((8, 8, 3), np.uint8)
    mask = np.zeros((8, 8, 3), np.uint8)
    mask[:4] = 255
    output = source.copy()
    output[:4] = 255
    output[4:, 0] = 51
    images = {"output_images": [output, source], "source_images": [source, source], "masks": [mask, mask * 0]}
    inside, outside = compute_metric("edit_regions", {name: list(map(Image, rows)) for name, rows in images.items()})
    assert (inside.value, inside.n, dict(inside.left_out)) == (1.0, 1, {"empty region": 1})
    assert outside.item_values == pytest.approx((51 / 255 / 8, 0.0))


def test_sources_and_masks_of_other_sizes_are_resized():
    large = Image(PIL.Image.new("RGB", (32, 16), (10, 20, 30)))
    small = Image(PIL.Image.new("RGB", (8, 4), (10, 20, 30)))
    white = Image(PIL.Image.new("RGB", (5, 5), (255, 255, 255)))
    inside, _ = compute_metric("edit_regions", {"output_images": [small], "source_images": [large], "masks": [white]})
    assert inside.value == 0
