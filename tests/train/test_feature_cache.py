"""The feature cache: the same losses, nothing loaded, stale ones refused, broken-off ones taken up."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from nextgpt.errors import ConfigError, ModelError
from nextgpt.model.encoding import ImageBind
from nextgpt.model.synthesis.latent_diffusion import LatentDiffusion
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder
from nextgpt.train import feature_cache as caching
from nextgpt.train.align import run
from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.feature_cache import build_cache, build_cache_in_processes

Make = Callable[..., AlignmentRecipe]
Losses = Callable[[AlignmentRecipe], list[float]]
STAGES = ("encoding-alignment", "decoding-alignment", "instruction-tuning")


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("a frozen part was asked while all is cached")


@pytest.mark.parametrize("stage", STAGES)
def test_cached_losses_are_the_uncached_and_no_frozen_part_is_asked(
    stage: str, recipe: Make, losses: Losses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = recipe(stage, name="plain")
    run(plain)
    cached = recipe(stage, name="cached", cache=tmp_path / "cache")
    build_cache(cached)
    monkeypatch.setattr(ImageBind, "encode", refuse)
    monkeypatch.setattr(PromptEncoder, "encode", refuse)
    run(cached)
    assert losses(cached) == pytest.approx(losses(plain), rel=1e-4)


def test_latents_are_cached_where_the_denoising_loss_needs_them(
    recipe: Make, losses: Losses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"cross_entropy": 1, "l2": 1, "denoising": 1}
    plain = recipe("decoding-alignment", name="plain", losses=told)
    run(plain)
    cached = recipe("decoding-alignment", name="cached", losses=told, cache=tmp_path / "cache")
    build_cache(cached)
    monkeypatch.setattr(LatentDiffusion, "encode", refuse)
    monkeypatch.setattr(PromptEncoder, "encode", refuse)
    run(cached)
    assert losses(cached) == pytest.approx(losses(plain), rel=1e-4)


def test_what_was_broken_when_the_cache_was_made_is_listed_and_replaced(recipe: Make, tmp_path: Path) -> None:
    settings = recipe("encoding-alignment", fit={"max_steps": 12}, cache=tmp_path / "cache")
    build_cache(settings)
    run(settings)
    listed = [json.loads(line) for line in (settings.work / "invalid-0.jsonl").read_text().splitlines()]
    assert [row["key"] for row in listed] == ["image-bad"]


def test_half_a_cache_goes_on_where_it_stopped(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "ITEMS_PER_SHARD", 3)
    settings = recipe("decoding-alignment", cache=tmp_path / "cache")
    told: list[tuple[str, int, int]] = []

    def stop(*what: object) -> None:
        told.append(what)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(settings, on_progress=stop)
    with pytest.raises(ConfigError, match="Run nextgpt data cache again"):
        run(settings)
    build_cache(settings, on_progress=lambda *what: told.append(what))
    assert len(set(told)) == len(told), "a shard was computed twice"
    run(settings)


def test_processes_share_the_shards(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "ITEMS_PER_SHARD", 2)
    settings = recipe("encoding-alignment", cache=tmp_path / "cache")
    names = []
    for rank in range(2):
        build_cache(settings, rank=rank, world_size=2)
        names.append({path.name for path in settings.cache.glob("*.safetensors")})
    assert 0 < len(names[0]) < len(names[1])
    run(settings)


def test_processes_fill_a_cache_side_by_side(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "ITEMS_PER_SHARD", 2)
    settings = recipe("decoding-alignment", cache=tmp_path / "cache")
    build_cache_in_processes(3, settings, on_progress=lambda *_: None, start_method="fork")
    assert not list(settings.cache.glob("*.unfinished"))
    run(settings)


def test_a_process_that_fails_is_told(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "ITEMS_PER_SHARD", 2)
    settings = recipe("encoding-alignment", cache=tmp_path / "cache")
    plain = caching._save_shard

    def fail_elsewhere(path: Path, *rest: object) -> None:
        if os.getpid() != here:
            raise OSError("no space left")
        plain(path, *rest)

    here = os.getpid()
    monkeypatch.setattr(caching, "_save_shard", fail_elsewhere)
    with pytest.raises(ModelError, match="these failed: 1 with 1"):
        build_cache_in_processes(2, settings, on_progress=lambda *_: None, start_method="fork")


def test_a_cache_of_other_words_or_another_stage_is_refused(recipe: Make, corpora: Path, tmp_path: Path) -> None:
    settings = recipe("encoding-alignment", cache=tmp_path / "cache")
    build_cache(settings)
    fewer = recipe("encoding-alignment", cache=settings.cache, sources={"image": {"path": corpora / "image.json"}})
    for stale in (fewer, recipe("decoding-alignment", cache=settings.cache)):
        with pytest.raises(ConfigError, match="Delete the folder"):
            run(stale)


def test_a_cache_of_another_encoder_is_refused(recipe: Make, initial: Path, tmp_path: Path) -> None:
    import shutil

    copied = shutil.copytree(initial, tmp_path / "copied")
    settings = recipe("encoding-alignment", cache=tmp_path / "cache", init_from=str(copied))
    build_cache(settings)
    weights = copied / "encoder" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ConfigError, match="was built from other components than"):
        run(settings)


def test_no_cache_says_which_command_makes_one(recipe: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Run nextgpt data cache"):
        run(recipe("encoding-alignment", cache=tmp_path / "none"))
    with pytest.raises(ConfigError, match="names no cache"):
        build_cache(recipe("encoding-alignment"))
