"""Decoders of larger media: they start as an enlargement, and leave latents alone."""

import numpy as np
import pytest
import torch

from nextgpt.errors import ConfigError
from nextgpt.miniworld.render import render_clip, render_scene
from nextgpt.miniworld.sample_specs import sample_clip, sample_scene
from nextgpt.miniworld.specs import ObjectSpec, SceneSpec
from nextgpt.miniworld.sprites import Detail
from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder


def test_an_enlarged_decoder_repeats_pixels():
    small = PatchAutoencoder(widths=[8, 8], decoder_layers=[1, 1], encoder_layers=[1, 1])
    large = small.enlarged(2).enlarged(4)
    pixels = torch.rand(2, 3, 64, 64) * 2 - 1
    latents = small.encode(pixels)
    assert torch.equal(large.encode(pixels), latents)
    repeated = small.decode(latents).repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(large.decode(latents), repeated)


def test_an_enlarged_decoder_forgets_the_folder_it_came_from(tmp_path):
    PatchAutoencoder(widths=[8, 8], decoder_layers=[1, 1], encoder_layers=[1, 1]).save_pretrained(tmp_path)
    loaded = PatchAutoencoder.from_pretrained(tmp_path)
    loaded.enlarged(2).save_pretrained(tmp_path / "large")
    assert str(tmp_path) not in (tmp_path / "large" / "config.json").read_text()


@pytest.mark.parametrize("sample, render", [(sample_scene, render_scene), (sample_clip, render_clip)])
def test_large_renderings_reduce_to_the_small_ones(sample, render):
    rng = np.random.default_rng(0)
    for _ in range(4):
        spec = sample(rng, "train")
        small = render(spec).astype(float)
        large = render(spec, Detail(scale=3)).astype(float)
        assert large.shape == (*small.shape[:-3], 192, 192, 3)
        reduced = large.reshape(*small.shape[:-3], 64, 3, 64, 3, 3).mean((-2, -4))
        assert np.abs(reduced - small).mean() < 2.5, spec


def test_missing_sheets_are_named(tmp_path):
    with pytest.raises(ConfigError, match=r"make_miniworld_sprites.py --scale 3"):
        render_scene(SceneSpec((ObjectSpec("cat"),)), Detail(3, tmp_path))
