"""What nano's components learn from: nothing that is held out, and the same for the same generator."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from nextgpt.errors import ConfigError
from nextgpt.miniworld import sample_specs
from nextgpt.miniworld.language import parse_caption, sample_dialogue
from nextgpt.miniworld.specs import MediaSpec
from nextgpt.miniworld.splits import is_held_out
from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder
from nextgpt.nano import autoencoder, diffusion, encoder, language_model
from nextgpt.nano.media_tensors import MODALITY_TENSORS, spec_sampler
from nextgpt.nano.self_generated import SelfGeneratedMedia
from nextgpt.train.recipe import BaseRecipe

FIT = {"max_steps": 1, "batch_size": 8}


def held_out(specs: list[MediaSpec]) -> list[MediaSpec]:
    return [spec for spec in specs if is_held_out(spec)]


def draw_forty(recipe: BaseRecipe, objective: object, draw_batch: Callable[..., Any], *_: object) -> bool:
    """Draw the batches of forty steps in place of a training."""
    for step in range(40):
        draw_batch(np.random.default_rng([0, step]), recipe.fit.batch_size)
    return True


def test_motions_with_larger_weights_are_sampled_more_often_and_nothing_held_out() -> None:
    sample = spec_sampler("video", {"spin": 4.0, "left": 0.5})
    rng = np.random.default_rng(0)
    clips = [sample(rng, "train") for _ in range(2000)]
    counts = Counter(clip.motion for clip in clips)
    assert not held_out(clips)
    # Eight motions of weight 1, one of 4 and one of 0.5.
    assert abs(counts["spin"] / 2000 - 4 / 12.5) < 0.05
    assert abs(counts["left"] / 2000 - 0.5 / 12.5) < 0.02


@pytest.mark.parametrize(
    ("modality", "weights", "message"),
    [
        ("video", {"spn": 2.0}, "spin"),
        ("video", {"spin": 0.0}, "motion_weights.spin: got 0.0; expected a positive number"),
        ("image", {"spin": 2.0}, "expected video"),
    ],
)
def test_motion_weights_that_cannot_apply_are_an_error(modality: str, weights: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        spec_sampler(modality, weights)


def test_an_autoencoder_starts_from_a_trained_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: dict[str, Any] = {"widths": (8, 8), "encoder_layers": (1, 1), "decoder_layers": (1, 1)}
    trained = PatchAutoencoder(**sizes)
    trained.save_pretrained(tmp_path / "trained")
    monkeypatch.setattr(autoencoder, "train_component", lambda *_: True)
    settings = {
        "kind": "autoencoder", "modality": "image", "model": tmp_path / "model", "work": tmp_path / "work",
        "architecture": sizes, "start_from": tmp_path / "trained", "fit": FIT,
    }  # fmt: skip
    assert autoencoder.run(autoencoder.Config.model_validate(settings))
    weights = PatchAutoencoder.from_pretrained(tmp_path / "model" / "image" / "vae").float().state_dict()
    for name, value in trained.state_dict().items():
        assert torch.equal(weights[name], value.bfloat16().float()), name


@pytest.mark.parametrize("modality", MODALITY_TENSORS)
def test_autoencoders_never_see_what_is_held_out(
    modality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[MediaSpec] = []
    sample, _ = MODALITY_TENSORS[modality]

    def to_tensor(specs: list[MediaSpec]) -> Tensor:
        seen.extend(specs)
        return torch.zeros(len(specs), 1, 3, 16, 16)

    monkeypatch.setattr(autoencoder, "MODALITY_TENSORS", {modality: (sample, to_tensor)})
    monkeypatch.setattr(autoencoder, "train_component", draw_forty)
    recipe = autoencoder.Config.model_validate({
        "kind": "autoencoder", "modality": modality, "model": tmp_path / "model", "work": tmp_path / "work",
        "architecture": {"widths": (8, 8), "encoder_layers": (1, 1), "decoder_layers": (1, 1)}, "fit": FIT,
    })  # fmt: skip
    assert autoencoder.run(recipe)
    # The latent statistics come from the training split too.
    assert len(seen) == 40 * 8 + autoencoder.STATISTICS_BATCHES * autoencoder.STATISTICS_BATCH_SIZE
    assert not held_out(seen)


@pytest.mark.parametrize("modality", MODALITY_TENSORS)
def test_diffusion_models_never_see_what_is_held_out_and_read_its_own_caption(modality: str) -> None:
    seen: list[MediaSpec] = []
    sample, _ = MODALITY_TENSORS[modality]

    def to_tensor(specs: list[MediaSpec]) -> Tensor:
        seen.extend(specs)
        return torch.zeros(len(specs), 1, 1, 1, 1)

    drawing = SimpleNamespace(sample_spec=sample, to_tensor=to_tensor)
    draw_batch = diffusion.DiffusionObjective.draw_batch
    captions = draw_batch(drawing, np.random.default_rng(0), 400).captions
    assert not held_out(seen)
    assert not held_out([parse_caption(caption) for caption in captions if caption])
    assert 10 < captions.count("") < 80  # a tenth is empty, for guidance


def test_the_encoder_never_sees_what_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[MediaSpec] = []

    def render(self: SelfGeneratedMedia, rng: np.random.Generator, spec: MediaSpec) -> MediaSpec:
        seen.append(spec)
        return spec

    monkeypatch.setattr(SelfGeneratedMedia, "medium", render)
    monkeypatch.setattr(encoder, "preprocess_media", lambda _, media: torch.zeros(len(media), 1, 16, 16))
    drawing = encoder.EncoderObjective.__new__(encoder.EncoderObjective)
    torch.nn.Module.__init__(drawing)
    drawing.media, drawing.is_contrastive, drawing.encoder = SelfGeneratedMedia(), True, None
    drawing._tokenize_captions = lambda specs, rng: torch.zeros(len(specs), 1, dtype=torch.long)
    for seed in range(5):
        drawing.draw_batch(np.random.default_rng(seed), 128)
    assert len(seen) >= 5 * 128
    assert not held_out(seen)


def test_hard_negatives_differ_from_the_first_in_one_attribute_and_are_not_held_out() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        first = sample_specs.sample_sound(rng, "train")
        group = encoder.hard_negatives(first, lambda: sample_specs.sample_sound(rng, "train"), rng)
        assert len(group) == encoder.GROUP_SIZE and group[0] == first
        assert not held_out(group)
        for other in group[1:]:
            names = ("source", "pitch", "pattern", "speed")
            assert sum(getattr(first, name) != getattr(other, name) for name in names) <= 1


def test_the_language_model_reads_dialogues_of_the_training_split_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits: list[str] = []
    tasks: list[str | None] = []
    shown: list[MediaSpec] = []

    def sample(rng: np.random.Generator, split: str, task: str | None = None) -> object:
        dialogue = sample_dialogue(rng, split, task=task)
        splits.append(split)
        tasks.append(task)
        parts = [part for turn in dialogue.turns for part in (*turn.user, *turn.assistant)]
        shown.extend(part.spec for part in parts if not isinstance(part, str))
        return dialogue

    monkeypatch.setattr(language_model, "sample_dialogue", sample)
    monkeypatch.setattr(language_model, "TOKENIZER_DIALOGUES", 40)
    monkeypatch.setattr(language_model, "train_component", lambda *_: True)
    recipe = language_model.Config.model_validate({
        "kind": "language_model", "model": tmp_path, "work": tmp_path / "work", "vocabulary": 300, "dialogues": 60,
        "tasks": {"any": 1, "question": 1}, "context_length": 1024, "fit": FIT,
        "architecture": {
            "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
            "num_key_value_heads": 1,
        },
    })  # fmt: skip
    assert language_model.run(recipe)
    assert set(tasks[40:]) == {"any", "question"}
    assert len(splits) == 100 and set(splits) == {"train"}
    assert shown and not held_out(shown)
