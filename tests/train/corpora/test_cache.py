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
from nextgpt.train import cache as caching
from nextgpt.train.align_corpora import align_on_corpora
from nextgpt.train.cache import build_cache, build_cache_by
from nextgpt.train.recipe import CorporaRecipe

Make = Callable[..., CorporaRecipe]
Losses = Callable[[CorporaRecipe], list[float]]
STAGES = ("encoding-alignment", "decoding-alignment", "instruction-tuning")


def refuse(*_: object, **__: object) -> None:
    raise AssertionError("a frozen part was asked while all is cached")


@pytest.mark.parametrize("stage", STAGES)
def test_cached_losses_are_the_uncached_and_no_frozen_part_is_asked(
    stage: str, recipe: Make, losses: Losses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = recipe(stage, name="plain")
    align_on_corpora(plain)
    cached = recipe(stage, name="cached", cache=tmp_path / "cache")
    build_cache(cached)
    monkeypatch.setattr(ImageBind, "encode", refuse)
    monkeypatch.setattr(PromptEncoder, "encode", refuse)
    align_on_corpora(cached)
    assert losses(cached) == pytest.approx(losses(plain), rel=1e-4)


def test_latents_are_cached_where_the_denoising_loss_needs_them(
    recipe: Make, losses: Losses, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told = {"words": 1, "l2": 1, "denoising": 1}
    plain = recipe("decoding-alignment", name="plain", losses=told)
    align_on_corpora(plain)
    cached = recipe("decoding-alignment", name="cached", losses=told, cache=tmp_path / "cache")
    build_cache(cached)
    monkeypatch.setattr(LatentDiffusion, "encode", refuse)
    monkeypatch.setattr(PromptEncoder, "encode", refuse)
    align_on_corpora(cached)
    assert losses(cached) == pytest.approx(losses(plain), rel=1e-4)


def test_what_was_broken_when_the_cache_was_made_is_listed_and_replaced(recipe: Make, tmp_path: Path) -> None:
    settings = recipe("encoding-alignment", fit={"steps": 12}, cache=tmp_path / "cache")
    build_cache(settings)
    align_on_corpora(settings)
    listed = [json.loads(line) for line in (settings.work / "broken-0.jsonl").read_text().splitlines()]
    assert [row["key"] for row in listed] == ["image-bad"]


def test_half_a_cache_goes_on_where_it_stopped(
    recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "SHARD", 3)
    settings = recipe("decoding-alignment", cache=tmp_path / "cache")
    told: list[tuple[str, int, int]] = []

    def stop(*what: object) -> None:
        told.append(what)
        if len(told) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build_cache(settings, tell=stop)
    with pytest.raises(ConfigError, match="Run nextgpt data cache again"):
        align_on_corpora(settings)
    build_cache(settings, tell=lambda *what: told.append(what))
    assert len(set(told)) == len(told), "a shard was computed twice"
    align_on_corpora(settings)


def test_processes_share_the_shards(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "SHARD", 2)
    settings = recipe("encoding-alignment", cache=tmp_path / "cache")
    names = []
    for rank in range(2):
        build_cache(settings, rank=rank, world=2)
        names.append({path.name for path in settings.cache.glob("*.safetensors")})
    assert 0 < len(names[0]) < len(names[1])
    align_on_corpora(settings)


def test_processes_fill_a_cache_side_by_side(
    recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caching, "SHARD", 2)
    settings = recipe("decoding-alignment", cache=tmp_path / "cache")
    build_cache_by(3, settings, tell=lambda *_: None, start_method="fork")
    assert not list(settings.cache.glob("*.unfinished"))
    align_on_corpora(settings)


def test_a_process_that_fails_is_told(recipe: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(caching, "SHARD", 2)
    settings = recipe("encoding-alignment", cache=tmp_path / "cache")
    plain = caching._save

    def fail_elsewhere(path: Path, *rest: object) -> None:
        if os.getpid() != here:
            raise OSError("no space left")
        plain(path, *rest)

    here = os.getpid()
    monkeypatch.setattr(caching, "_save", fail_elsewhere)
    with pytest.raises(ModelError, match="these failed: 1 with 1"):
        build_cache_by(2, settings, tell=lambda *_: None, start_method="fork")


def test_a_cache_of_other_words_or_another_stage_is_refused(
    recipe: Make, corpora: Path, tmp_path: Path
) -> None:
    settings = recipe("encoding-alignment", cache=tmp_path / "cache")
    build_cache(settings)
    fewer = recipe(
        "encoding-alignment", cache=settings.cache, sources={"image": {"path": corpora / "image.json"}}
    )
    for stale in (fewer, recipe("decoding-alignment", cache=settings.cache)):
        with pytest.raises(ConfigError, match="Delete the folder"):
            align_on_corpora(stale)


def test_a_cache_of_another_encoder_is_refused(recipe: Make, initial: Path, tmp_path: Path) -> None:
    import shutil

    copied = shutil.copytree(initial, tmp_path / "copied")
    settings = recipe("encoding-alignment", cache=tmp_path / "cache", initial=str(copied))
    build_cache(settings)
    weights = copied / "encoder" / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[-1] ^= 1
    weights.write_bytes(content)
    with pytest.raises(ConfigError, match="is of other parts than"):
        align_on_corpora(settings)


def test_no_cache_says_which_command_makes_one(recipe: Make, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="Run nextgpt data cache"):
        align_on_corpora(recipe("encoding-alignment", cache=tmp_path / "none"))
    with pytest.raises(ConfigError, match="names no cache"):
        build_cache(recipe("encoding-alignment"))
