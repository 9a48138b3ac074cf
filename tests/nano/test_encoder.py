"""What the parts learn from: nothing that is held out, and the same for the same generator."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from nextgpt.train.fit import TrainerConfig
from nextgpt.train.pretrain import autoencoder, encoder, language_model
from nextgpt.train.pretrain.diffusion import DiffusionTrainer
from nextgpt.train.pretrain.pixels import PIXELS
from torch import Tensor

from nextgpt.miniworld import sample_specs as sampling
from nextgpt.miniworld.language import parse_caption, sample_dialogue
from nextgpt.miniworld.specs import MediaSpec
from nextgpt.miniworld.splits import is_held_out

FIT = TrainerConfig(max_steps=1, batch_size=8)


def held_out(contents: list[MediaSpec]) -> list[MediaSpec]:
    return [content for content in contents if is_held_out(content)]


@pytest.mark.parametrize("modality", PIXELS)
def test_autoencoders_never_see_what_is_held_out(
    modality: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[MediaSpec] = []
    draw, _ = PIXELS[modality]

    def pixels(contents: list[MediaSpec]) -> Tensor:
        seen.extend(contents)
        return torch.zeros(len(contents), 1, 3, 16, 16)

    def fit(
        modules: dict, draw_batch: Callable, loss: Callable, config: TrainerConfig, *_: object, **__: object
    ) -> None:
        for step in range(40):
            draw_batch(np.random.default_rng([config.seed, step]), config.batch_size)

    monkeypatch.setattr(autoencoder, "PIXELS", {modality: (draw, pixels)})
    monkeypatch.setattr(autoencoder, "fit", fit)
    tiny = {"widths": (8, 8), "encoder_layers": (1, 1), "decoder_layers": (1, 1)}
    autoencoder.pretrain_autoencoder(
        modality, architecture=tiny, config=FIT, folder=tmp_path / "vae", work_folder=tmp_path / "work"
    )
    assert (
        len(seen) == 40 * 8 + autoencoder.STATISTICS_CASES
    )  # the statistics are taken from the training split too
    assert not held_out(seen)


@pytest.mark.parametrize("modality", PIXELS)
def test_diffusion_models_never_see_what_is_held_out_and_read_its_own_caption(modality: str) -> None:
    seen: list[MediaSpec] = []
    trainer = DiffusionTrainer.__new__(DiffusionTrainer)  # nothing but what draws
    trainer.draw, _ = PIXELS[modality]
    trainer.pixels = lambda contents: (seen.extend(contents), torch.zeros(len(contents), 1, 1, 1, 1))[1]
    captions = trainer.draw_batch(np.random.default_rng(0), 400).captions
    assert not held_out(seen)
    read = [parse_caption(caption) for caption in captions if caption]
    assert not held_out(read)
    assert 10 < captions.count("") < 80  # a tenth is left out, for guidance


def test_the_encoder_never_sees_what_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[MediaSpec] = []
    monkeypatch.setattr(
        encoder, "clip_of", lambda _, content: (seen.append(content), torch.zeros(1, 16, 16))[1]
    )
    trainer = encoder.ContrastiveTrainer.__new__(encoder.ContrastiveTrainer)
    trainer.own = SimpleNamespace(medium=lambda rng, content: content)  # nothing is rendered
    trainer.encoder = SimpleNamespace(tokenize=lambda texts: torch.zeros(len(texts), 1, dtype=torch.long))
    for seed in range(5):
        trainer.draw_batch(np.random.default_rng(seed), 128)
    assert len(seen) >= 5 * 128
    assert not held_out(seen)


def test_relatives_differ_from_the_first_in_little_and_are_not_held_out() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        first = sampling.sample_sound(rng, "train")
        family = encoder.hard_negatives(first, lambda: sampling.sample_sound(rng, "train"), rng)
        assert len(family) == encoder.GROUP_SIZE and family[0] == first
        assert not held_out(family)
        for other in family[1:]:
            names = ("source", "pitch", "pattern", "speed")
            assert sum(getattr(first, name) != getattr(other, name) for name in names) <= 1


def test_the_language_model_reads_dialogues_of_the_training_split_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    splits: list[str] = []
    shown: list[MediaSpec] = []

    tasks: list[str | None] = []

    def sample(rng: np.random.Generator, split: str, task: str | None = None) -> object:
        dialogue = sample_dialogue(rng, split, task=task)
        splits.append(split)
        tasks.append(task)
        shown.extend(say.spec for turn in dialogue.turns for say in (*turn.input_media, *turn.target_media))
        return dialogue

    monkeypatch.setattr(language_model, "sample_dialogue", sample)
    monkeypatch.setattr(language_model, "TOKENIZER_DIALOGUES", 40)
    monkeypatch.setattr(language_model, "fit", lambda *_, **__: None)
    tiny = {
        "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1,
        "num_key_value_heads": 1, "max_position_embeddings": 1024,
    }  # fmt: skip
    language_model.pretrain_language_model(
        vocabulary=300, dialogues=60, architecture=tiny, tasks={"any": 1, "question": 1}, config=FIT, folder=tmp_path,
        work_folder=tmp_path / "work",
    )  # fmt: skip
    assert set(tasks[40:]) == {None, "question"}
    assert len(splits) == 100 and set(splits) == {"train"}
    assert shown and not held_out(shown)
