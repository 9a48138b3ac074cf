"""Depth, thermal pictures and measurements go through ImageBind's own towers."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from nextgpt import Depth, Imu, Thermal
from nextgpt.errors import ModelError
from nextgpt.model.encoding import EncoderConfig, ImageBind, ImuTower, ThermalTower
from nextgpt.model.encoding.config import DepthTower
from nextgpt.model.encoding.preprocessing import preprocess_depth, preprocess_imu, preprocess_thermal

SIZE = {"width": 16, "blocks": 1, "heads": 2}
MEDIA = [
    Depth(np.random.default_rng(0).uniform(0.5, 5, (40, 60)).astype(np.float32)),
    Thermal(np.random.default_rng(1).uniform(0, 1, (60, 40)).astype(np.float32)),
    Imu(np.random.default_rng(2).normal(size=(6, 300)).astype(np.float32), 100.0),
]


@pytest.fixture
def encoder() -> ImageBind:
    torch.manual_seed(0)
    towers = {"depth": DepthTower(**SIZE, size_px=32), "thermal": ThermalTower(**SIZE, size_px=32),
              "imu": ImuTower(**SIZE, samples=64)}  # fmt: skip
    return ImageBind(EncoderConfig(width=8, vision=None, text=None, audio=None, **towers)).eval()


def test_each_is_one_vector_in_order(encoder):
    features = encoder.encode(MEDIA)
    assert [item.vectors.shape for item in features] == [(1, 8)] * 3
    torch.testing.assert_close(encoder.encode(MEDIA[1:2])[0].vectors, features[1].vectors)


def test_the_published_lengths_are_5_10_and_5(encoder):
    towers = ("depth", "thermal", "imu")
    vectors = [
        encoder.forward_modality(tower, encoder.preprocess(medium)) for tower, medium in zip(towers, MEDIA, strict=True)
    ]
    assert [row.norm().item() for row in vectors] == pytest.approx([5, 10, 5], rel=1e-4)


def test_depth_is_disparity_relative_to_the_nearest_point():
    metres = np.full((32, 32), 4.0, np.float32)
    metres[:, :16], metres[:, 24:] = 2.0, 0.0
    seen = preprocess_depth(Depth(metres), DepthTower(size_px=32))
    assert seen.shape == (1, 1, 32, 32)
    torch.testing.assert_close(seen[0, 0, 5, [3, 20, 29]], torch.tensor([1.0, 0.5, 0.0]))


def test_thermal_pictures_are_scaled_and_cut_but_not_normalised():
    seen = preprocess_thermal(Thermal(np.full((50, 100), 0.25, np.float32)), ThermalTower(size_px=32))
    torch.testing.assert_close(seen, torch.full((1, 1, 32, 32), 0.25))


def test_a_thermal_image_is_cut_at_the_column_of_torchvision():
    """By hand: 32 x 35 has 3 columns too many; CenterCrop begins at round(1.5) = 2, not at 1."""
    columns = np.broadcast_to(np.linspace(0, 1, 35, dtype=np.float32), (32, 35)).copy()
    seen = preprocess_thermal(Thermal(columns), ThermalTower(size_px=32))
    torch.testing.assert_close(seen[0, 0], torch.from_numpy(columns[:, 2:34]), atol=1e-5, rtol=0)


def test_the_long_side_of_a_thermal_image_is_rounded_down_as_torchvision_does():
    """By hand: 20 x 31 becomes 32 x int(32 * 31 / 20) = 49, not 50; the crop begins at round(8.5) = 8."""
    values = np.random.default_rng(0).random((20, 31), dtype=np.float32)
    scaled = torch.nn.functional.interpolate(
        torch.from_numpy(values)[None, None], size=(32, 49), mode="bicubic", antialias=True
    ).clamp(0, 1)
    seen = preprocess_thermal(Thermal(values), ThermalTower(size_px=32))
    torch.testing.assert_close(seen, scaled[..., 8:40])


def test_measurements_are_the_middle_five_seconds_and_short_ones_end_in_zeros():
    tower = ImuTower(samples=50)
    ramp = np.broadcast_to(np.arange(2000, dtype=np.float32), (6, 2000))
    long = preprocess_imu(Imu(ramp, 100.0), tower)  # 20 s
    assert long.shape == (1, 6, 50)
    assert long[0, 0, 0].item() == pytest.approx(750, abs=10) and long[0, 0, -1].item() == pytest.approx(1250, abs=10)
    short = preprocess_imu(Imu(ramp[:, :100], 100.0), tower)  # 1 s
    assert short[0, 0, 9] == 99 and not short[0, :, 10:].any()


def test_an_encoder_without_the_tower_says_which_it_has(encoder):
    lacking = ImageBind(EncoderConfig(width=8, vision=None, text=None, audio=None, imu=ImuTower(**SIZE, samples=64)))
    with pytest.raises(ModelError, match="has no depth tower; it has imu"):
        lacking.encode(MEDIA[:1])


def test_a_single_unknown_map_is_all_zeros():
    seen = preprocess_depth(Depth(np.zeros((32, 40), np.float32)), DepthTower(size_px=32))
    assert not seen.any()
