"""Sizes of the encoder: what may be set, and what is refused."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from nextgpt.model.encoding import EncoderConfig, VisionTower, imagebind_huge


def test_the_defaults_are_three_published_towers():
    assert list(EncoderConfig().towers) == ["vision", "text", "audio"]


def test_the_published_model_has_six_towers_in_the_published_order():
    assert list(imagebind_huge().towers) == ["vision", "text", "audio", "depth", "thermal", "imu"]


def test_an_unknown_setting_is_refused():
    with pytest.raises(ValidationError, match="widht"):
        EncoderConfig.model_validate({"vision": {"widht": 64}})


def test_heads_that_do_not_divide_the_width_are_refused():
    with pytest.raises(ValidationError, match="width 64 is not divisible by 7 heads"):
        VisionTower(width=64, heads=7)


def test_patches_that_do_not_fill_a_clip_are_refused():
    with pytest.raises(ValidationError, match="clips of 3 frames x .* are not divisible"):
        VisionTower(frames=3)


def test_a_config_survives_json():
    config = EncoderConfig(width=32, vision=VisionTower(width=32, heads=4), audio=None)
    assert EncoderConfig.model_validate_json(config.model_dump_json()) == config
