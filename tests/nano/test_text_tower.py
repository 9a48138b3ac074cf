"""The data and the loss of the text tower."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import pytest
import torch
from tests.nano.test_smoke import SMOKE

from nextgpt.miniworld.language.phrasings import load_authors
from nextgpt.miniworld.splits import is_held_out
from nextgpt.model.encoding import load_encoder
from nextgpt.nano import text_tower
from nextgpt.nano.component_training import DrawnBatch
from nextgpt.testing.model import write_tiny_model
from nextgpt.train.recipe import read_recipe, run_recipe

TINY = [f"data.{name}={{num_media: 6, num_phrases: 12, batch_share: 0.3}}" for name in ("image", "audio", "video")]
RECIPE = next(path for path in SMOKE if path.stem == "9-text-tower")


def make_recipe(folder: Path, *overrides: str) -> text_tower.Config:
    settings = [f"model={folder / 'model'}", f"work={folder / 'work'}", "fit.max_steps=2", *TINY, *overrides]
    recipe = read_recipe(RECIPE, settings)
    assert isinstance(recipe, text_tower.Config)
    return recipe


@pytest.mark.parametrize("modality", ["image", "audio", "video"])
def test_captions_are_of_the_training_split_and_partly_in_the_words_of_authors(modality: str) -> None:
    settings = text_tower.TextData(num_media=30, num_phrases=60, batch_share=1.0)
    drawn = text_tower.draw_captions(np.random.default_rng(0), modality, settings, load_authors("train"))
    assert 15 < len(drawn) <= 30
    assert not any(is_held_out(spec) for spec in drawn)
    templates = 1 + text_tower.TEMPLATE_CAPTIONS
    counts = [len(captions) for captions in drawn.values()]
    assert min(counts) == templates
    assert sum(counts) >= len(drawn) * templates + 15  # phrases


def test_the_tower_is_trained_beside_an_encoder_that_stays_as_it_is(tmp_path: Path, monkeypatch) -> None:
    encoder_dir = write_tiny_model(tmp_path / "model") / "encoder"
    before = hashlib.sha256((encoder_dir / "model.safetensors").read_bytes()).digest()
    recipe = make_recipe(tmp_path)
    assert run_recipe(recipe)
    assert hashlib.sha256((encoder_dir / "model.safetensors").read_bytes()).digest() == before
    encoder = load_encoder(encoder_dir)
    assert encoder.modalities[0] == "text"
    words, other_case, others = encoder.embed_text(["a red cat", "A red CAT", "a blue dog moving left"])
    assert torch.equal(words, other_case)
    assert not torch.allclose(words, others)
    # With the same data, a second run renders nothing.
    monkeypatch.setattr(text_tower, "render", None)
    text_tower.run(recipe)
    with pytest.raises(TypeError):
        text_tower.run(make_recipe(tmp_path, "data.image.num_media=7"))


def test_the_loss_counts_other_captions_of_a_medium_as_no_mistake() -> None:
    class Fixed:
        def forward_modality(self, name: str, captions: torch.Tensor) -> torch.Tensor:
            return 20 * torch.eye(3)[captions[:, 0] - 1]

    data = text_tower.CaptionedVectors(torch.eye(3), torch.tensor([[1], [1], [2], [3]]), torch.tensor([0, 0, 1, 2]))
    objective = text_tower.TextTowerObjective.__new__(text_tower.TextTowerObjective)
    torch.nn.Module.__init__(objective)
    objective.__dict__ |= {"encoder": Fixed(), "data": {"image": data}}
    losses = objective(DrawnBatch({"image": np.arange(4)}, ("seed",)))
    assert float(losses["contrast"]) < 1e-6
    assert float(losses["image_hits"]) == 1.0
    data.media[2:] = torch.tensor([2, 1])
    assert float(objective(DrawnBatch({"image": np.arange(4)}, ("seed",)))["contrast"]) > 5
