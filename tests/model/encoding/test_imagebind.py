"""The encoder: published counts and names, features of mixed media, clips, batches."""

from __future__ import annotations

import math
import re

import pytest
import torch

from nextgpt.errors import ModelError
from nextgpt.message import Video
from nextgpt.model.encoding import EncoderConfig, ImageBind, ImuTower, ThermalTower, imagebind_huge
from nextgpt.model.encoding.config import DepthTower
from nextgpt.model.encoding.preprocessing.text import clean_text

PUBLISHED_COUNTS = {
    "vision": 632_829_440,
    "text": 354_032_641,
    "audio": 86_235_648,
    "depth": 21_871_872,
    "thermal": 86_211_072,
    "imu": 19_600_384,
}
PREPROCESSORS = "modality_preprocessors"
# Names and shapes of imagebind_huge.pth that differ between towers; blocks are alike.
PUBLISHED_SHAPES = {
    f"{PREPROCESSORS}.vision.cls_token": (1, 1, 1280),
    f"{PREPROCESSORS}.vision.rgbt_stem.proj.1.weight": (1280, 3, 2, 14, 14),
    f"{PREPROCESSORS}.vision.pos_embedding_helper.pos_embed": (1, 257, 1280),
    f"{PREPROCESSORS}.text.token_embedding.weight": (49408, 1024),
    f"{PREPROCESSORS}.text.pos_embed": (1, 77, 1024),
    f"{PREPROCESSORS}.text.mask": (77, 77),
    f"{PREPROCESSORS}.audio.cls_token": (1, 1, 768),
    f"{PREPROCESSORS}.audio.rgbt_stem.proj.weight": (768, 1, 16, 16),
    f"{PREPROCESSORS}.audio.rgbt_stem.norm_layer.weight": (768,),
    f"{PREPROCESSORS}.audio.rgbt_stem.norm_layer.bias": (768,),
    f"{PREPROCESSORS}.audio.pos_embedding_helper.pos_embed": (1, 229, 768),
    f"{PREPROCESSORS}.depth.cls_token": (1, 1, 384),
    f"{PREPROCESSORS}.depth.depth_stem.proj.weight": (384, 1, 16, 16),
    f"{PREPROCESSORS}.depth.depth_stem.norm_layer.weight": (384,),
    f"{PREPROCESSORS}.depth.depth_stem.norm_layer.bias": (384,),
    f"{PREPROCESSORS}.depth.pos_embedding_helper.pos_embed": (1, 197, 384),
    f"{PREPROCESSORS}.thermal.cls_token": (1, 1, 768),
    f"{PREPROCESSORS}.thermal.rgbt_stem.proj.weight": (768, 1, 16, 16),
    f"{PREPROCESSORS}.thermal.rgbt_stem.norm_layer.weight": (768,),
    f"{PREPROCESSORS}.thermal.rgbt_stem.norm_layer.bias": (768,),
    f"{PREPROCESSORS}.thermal.pos_embedding_helper.pos_embed": (1, 197, 768),
    f"{PREPROCESSORS}.imu.cls_token": (1, 1, 512),
    f"{PREPROCESSORS}.imu.pos_embed": (1, 251, 512),
    f"{PREPROCESSORS}.imu.imu_stem.proj.weight": (512, 48),
    f"{PREPROCESSORS}.imu.imu_stem.norm_layer.weight": (512,),
    f"{PREPROCESSORS}.imu.imu_stem.norm_layer.bias": (512,),
    "modality_trunks.vision.pre_transformer_layer.0.weight": (1280,),
    "modality_trunks.vision.pre_transformer_layer.0.bias": (1280,),
    "modality_heads.vision.0.weight": (1280,),
    "modality_heads.vision.0.bias": (1280,),
    "modality_heads.vision.2.weight": (1024, 1280),
    "modality_heads.text.proj.0.weight": (1024,),
    "modality_heads.text.proj.0.bias": (1024,),
    "modality_heads.text.proj.1.weight": (1024, 1024),
    "modality_heads.audio.0.weight": (768,),
    "modality_heads.audio.0.bias": (768,),
    "modality_heads.audio.2.weight": (1024, 768),
    "modality_heads.depth.0.weight": (384,),
    "modality_heads.depth.0.bias": (384,),
    "modality_heads.depth.2.weight": (1024, 384),
    "modality_heads.thermal.0.weight": (768,),
    "modality_heads.thermal.0.bias": (768,),
    "modality_heads.thermal.2.weight": (1024, 768),
    "modality_heads.imu.0.weight": (512,),
    "modality_heads.imu.0.bias": (512,),
    "modality_heads.imu.3.weight": (1024, 512),
    **{f"modality_postprocessors.{name}.1.log_logit_scale": () for name in PUBLISHED_COUNTS if name != "vision"},
}
BLOCK = {
    "attn.in_proj_weight",
    "attn.in_proj_bias",
    "attn.out_proj.weight",
    "attn.out_proj.bias",
    *(f"{norm}.{part}" for norm in ("norm_1", "norm_2", "mlp.fc1", "mlp.fc2") for part in ("weight", "bias")),
}
BIAS_KV = {"attn.bias_k", "attn.bias_v"}


@pytest.fixture(scope="module")
def huge() -> ImageBind:
    with torch.device("meta"):
        return ImageBind(imagebind_huge())


def test_every_tower_has_as_many_parameters_as_published(huge):
    counts = dict.fromkeys(PUBLISHED_COUNTS, 0)
    for name, parameter in huge.named_parameters():
        counts[name.split(".")[1]] += parameter.numel()
    assert counts == PUBLISHED_COUNTS
    assert sum(counts.values()) == 1_200_781_057


def test_names_and_shapes_outside_the_blocks_are_the_published_ones(huge):
    shapes = {name: tuple(tensor.shape) for name, tensor in huge.state_dict().items() if ".blocks." not in name}
    assert shapes == PUBLISHED_SHAPES


def test_names_in_the_blocks_are_the_published_ones(huge):
    found: dict[str, set[str]] = {}
    for name in huge.state_dict():
        if match := re.fullmatch(r"modality_trunks\.(\w+)\.blocks\.\d+\.(.+)", name):
            found.setdefault(match[1], set()).add(match[2])
    plain = dict.fromkeys(("vision", "text"), BLOCK)
    assert found == plain | dict.fromkeys(("audio", "depth", "thermal", "imu"), BLOCK | BIAS_KV)


def test_mixed_media_give_one_vector_each_in_order(encoder, picture, sound, film):
    together = encoder.encode([film, picture, sound, picture])
    alone = [encoder.encode([medium])[0] for medium in (film, picture, sound, picture)]
    for one, other in zip(together, alone, strict=True):
        assert one.vectors.shape == (1, encoder.width)
        torch.testing.assert_close(one.vectors, other.vectors)


def test_no_media_give_no_features(encoder):
    assert encoder.encode([]) == []


def test_patches_give_one_vector_of_length_one_for_each(tiny_config, picture, sound, film):
    settings = {"features": "patches", "clip_reduction": "concatenate"}
    encoder = ImageBind(tiny_config.model_copy(update=settings)).eval()
    features = encoder.encode([picture, sound, film])
    per_clip = 2 * (32 // 8) ** 2  # two moments of 4 x 4 patches
    assert [len(item.vectors) for item in features] == [16, 3 * 2 * 5, 2 * 3 * per_clip]
    for item in features:
        torch.testing.assert_close(item.vectors.norm(dim=1), torch.ones(len(item.vectors)))


def test_patches_are_averaged_over_clips_and_crops_patch_by_patch(tiny_config, picture, sound, film):
    settings = {"features": "patches"}
    encoder = ImageBind(tiny_config.model_copy(update=settings)).eval()
    settings |= {"clip_reduction": "concatenate"}
    concatenated = ImageBind(tiny_config.model_copy(update=settings)).eval()
    concatenated.load_state_dict(encoder.state_dict())
    averaged, all_patches = encoder.encode([sound, film]), concatenated.encode([sound, film])
    assert [len(item.vectors) for item in averaged] == [2 * 5, 2 * (32 // 8) ** 2]
    for clips, one, many in zip((3, 2 * 3), averaged, all_patches, strict=True):
        torch.testing.assert_close(one.vectors, many.vectors.unflatten(0, (clips, -1)).mean(dim=0))
        assert (one.vectors.norm(dim=1) < 1).all()


def test_the_published_sizes_give_228_vectors_for_audio_and_256_for_video():
    """Counted on the 2024 code: 12 x 19 patches of 128 x 204 by 16 with stride 10, and (224 / 14)^2."""
    config = EncoderConfig(features="patches", text=None)
    with torch.device("meta"):
        encoder = ImageBind(config).eval()
        shapes = {"audio": (3, 1, 128, 204), "vision": (15, 3, 2, 224, 224)}
        clips = {tower: encoder.forward_clips(tower, torch.empty(shape)) for tower, shape in shapes.items()}
    assert {tower: tuple(vectors.mean(dim=0).shape) for tower, vectors in clips.items()} == {
        "audio": (228, 1024),
        "vision": (256, 1024),
    }


def test_tokens_are_the_pooled_vector_and_then_the_patches(tiny_config, picture, film):
    encoders = {
        name: ImageBind(tiny_config.model_copy(update={"features": name})).eval()
        for name in ("pooled", "patches", "tokens")
    }
    for encoder in encoders.values():
        encoder.load_state_dict(encoders["pooled"].state_dict())
    pooled, patches, tokens = (encoder.encode([picture])[0].vectors for encoder in encoders.values())
    torch.testing.assert_close(tokens[:1], pooled)
    torch.testing.assert_close(tokens[1:], patches * encoders["tokens"].width ** 0.5)
    assert len(encoders["tokens"].encode([film])[0].vectors) == 1 + 2 * (32 // 8) ** 2


@pytest.mark.parametrize("as_in_nextgpt", [True, False])
def test_features_of_all_modalities_have_norm_1_as_in_nextgpt_and_sqrt_width_otherwise(
    as_in_nextgpt, tiny_config, encoder, picture, sound
):
    """NExT-GPT's copy of ImageBind does not scale audio by 20: measured by running it (2023 and 2024)."""
    config = tiny_config.as_in_nextgpt() if as_in_nextgpt else tiny_config
    other = ImageBind(config).eval()
    short = type(sound)(sound.samples[:, :3000], sound.sample_rate_hz)
    lengths = [item.vectors.norm().item() for item in other.encode([picture, short])]
    assert lengths == pytest.approx([1.0 if as_in_nextgpt else encoder.width**0.5] * 2, rel=1e-5)


def test_imagebind_itself_scales_audio_by_20(encoder, picture, sound):
    media = {"vision": (picture, 1.0), "audio": (sound, 20.0)}
    for tower, (medium, norm) in media.items():
        vectors = encoder.forward_modality(tower, encoder.preprocess(medium))
        assert vectors.norm(dim=1).tolist() == pytest.approx([norm] * len(vectors), rel=1e-5)


def test_clips_are_averaged_after_they_got_their_length(encoder):
    clips = torch.randn(2, 3, 1, 32, 64)
    each = torch.stack([encoder.forward_modality("audio", clips[:, i]) for i in range(3)])
    torch.testing.assert_close(encoder.forward_modality("audio", clips), each.mean(dim=0))
    assert (encoder.forward_modality("audio", clips).norm(dim=1) < 20.0).all()


def test_a_still_is_seen_as_a_film_of_equal_frames_of_one_moment(encoder):
    still = torch.randn(2, 3, 1, 32, 32)
    torch.testing.assert_close(
        encoder.forward_modality("vision", still), encoder.forward_modality("vision", still.expand(-1, -1, 2, -1, -1))
    )


def test_texts_of_different_length_do_not_touch_each_other(encoder):
    together = encoder.embed_text(["a cat", "a red cat sings"])
    torch.testing.assert_close(together[:1], encoder.embed_text(["a cat"]))
    assert together.norm(dim=1).tolist() == pytest.approx([1 / 0.07] * 2, rel=1e-4)


def test_a_text_longer_than_the_positions_still_ends_with_the_end_token(encoder):
    ids = encoder.tokenize(["red " * 100_000])
    assert ids.tolist() == [[1, 5, 5, 5, 5, 2]]


def test_texts_are_cleaned_as_clips_tokenizer_does(encoder):
    """By hand from openai/CLIP: ftfy, then HTML entities twice, then single blanks."""
    assert clean_text(" caf\u00c3\u00a9 &amp;amp;  bar\n") == "caf\u00e9 & bar"
    assert encoder.tokenize(["&#114;ed&#32;c&#97;t"]).tolist() == encoder.tokenize(["red cat"]).tolist()


def test_a_text_that_spells_the_end_token_does_not_end_there(encoder):
    assert encoder.tokenize(["a <end> cat"]).tolist() == [[1, 4, 6, 2]]


def test_what_comes_after_the_end_token_changes_nothing(encoder):
    one, other = torch.tensor([[1, 4, 2, 0, 0]]), torch.tensor([[1, 4, 2, 7, 6]])
    torch.testing.assert_close(encoder.forward_modality("text", one), encoder.forward_modality("text", other))


def test_training_reaches_every_parameter(encoder, picture, sound, film):
    outputs = [
        encoder.forward_modality("vision", encoder.preprocess(film)[None]),
        encoder.forward_modality("vision", encoder.preprocess(picture)),
        encoder.forward_modality("audio", encoder.preprocess(sound)[None]),
        encoder.forward_modality("text", encoder.tokenize(["a red cat sings"])),
    ]
    torch.cat(outputs).pow(3).sum().backward()
    untouched = [name for name, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert untouched == []


def test_encoding_trains_nothing(encoder, picture):
    assert not encoder.encode([picture])[0].vectors.requires_grad


def test_paths_are_dropped_in_training_alone(encoder):
    for block in encoder.modality_trunks["audio"].blocks:
        block.drop_path.rate = 0.5
    batch = torch.randn(8, 1, 32, 64)
    torch.testing.assert_close(encoder.forward_modality("audio", batch), encoder.forward_modality("audio", batch))
    encoder.train()
    assert not torch.allclose(encoder.forward_modality("audio", batch), encoder.forward_modality("audio", batch))


def test_the_learned_scale_is_at_most_100(encoder):
    encoder.modality_postprocessors["text"][1].log_logit_scale.data.fill_(math.log(1e4))
    assert encoder.embed_text(["a cat"]).norm().item() == pytest.approx(100.0, rel=1e-4)


def test_a_tower_that_is_not_there_is_named(picture):
    encoder = ImageBind(EncoderConfig(width=8, vision=None, audio=None, text=None, imu=ImuTower(width=8, blocks=1)))
    with pytest.raises(ModelError, match="vision tower; it has imu"):
        encoder.encode([picture])


def test_texts_without_a_tokenizer_are_refused(tiny_config):
    with pytest.raises(ModelError, match="tokenizer.json"):
        ImageBind(tiny_config).embed_text(["a cat"])


@pytest.mark.parametrize(
    ("name", "tower", "shape"),
    [
        ("depth", DepthTower(width=8, blocks=1, heads=2, size_px=32), (1, 32, 32)),
        ("thermal", ThermalTower(width=8, blocks=1, heads=2, size_px=32), (1, 32, 32)),
        ("imu", ImuTower(width=8, blocks=1, heads=2, samples=80), (6, 80)),
    ],
)
def test_further_towers_run(name, tower, shape):
    config = EncoderConfig(width=12, vision=None, audio=None, text=None, **{name: tower})
    vectors = ImageBind(config).eval().forward_modality(name, torch.randn(3, *shape))
    torch.testing.assert_close(vectors.norm(dim=1), torch.full((3,), tower.scale))


def test_a_film_of_one_frame_is_encoded(encoder, film):
    assert encoder.encode([Video(film.frames[:1], film.fps)])[0].vectors.isfinite().all()
