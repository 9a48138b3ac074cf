"""What soft tokens learn first: to say attributes in the LLM's own words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from nextgpt.config import read_config
from nextgpt.errors import ConfigError
from nextgpt.message import Medium
from nextgpt.miniworld.specs import SOURCES, ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.splits import is_held_out
from nextgpt.nano import attribute_pretraining, self_generated
from nextgpt.nano.attribute_pretraining import SLOTS, AttributeEmbeddings, AttributeObjective, Config, run
from nextgpt.nano.attributes import ATTRIBUTE_VALUES, attributes_of
from nextgpt.nano.component_training import DrawnBatch
from nextgpt.testing.language_model import tiny_language_model
from nextgpt.testing.model import fake_model, write_tiny_model
from nextgpt.testing.scripted_model import tiny_image
from nextgpt.train.initial_model import load_initial_model

CONTENTS: dict[str, list[MediaSpec]] = {
    "image": [
        SceneSpec((ObjectSpec("dog", "red", "left", "small"), ObjectSpec("cat", "blue", "right", "small")), "grass"),
        SceneSpec((ObjectSpec("owl", "natural", "top", "large"),), "sea"),
    ],
    "audio": [SoundSpec("flute", "high", "rising", "fast"), SoundSpec("piano", "low", "single")],
    "video": [ClipSpec("dog", "red", "grass", "left"), ClipSpec("cat", "natural", "sea", "spin")],
}


@pytest.fixture(scope="module")
def llm():
    return tiny_language_model()


def said(llm, modality: str, content: MediaSpec, words: dict[str, str]) -> torch.Tensor:
    """Soft tokens that say the words of each attribute, and nothing where there are none."""
    rows = []
    for attributes in SLOTS[modality]:
        means = [
            llm.embed_ids(llm.tokenizer.encode(f" {words[name]}")).mean(dim=0) for name in attributes if name in words
        ]
        rows.append(sum(means) if means else torch.zeros(llm.hidden_size))
    return torch.stack(rows)


@pytest.mark.parametrize("modality", SLOTS)
def test_soft_tokens_that_say_the_right_words_are_right_and_others_are_not(llm, modality: str) -> None:
    motion = {"left": "moving left", "spin": "spinning"}
    soft = []
    for content in CONTENTS[modality]:
        words = {name: value for name, value in attributes_of(content).items() if value not in ("natural", "nothing")}
        if "motion" in words:
            words["motion"] = motion[words["motion"]]
        soft.append(said(llm, modality, content, words))
    soft = torch.stack(soft)
    names = AttributeEmbeddings(llm)
    loss, right = names.loss(modality, soft, CONTENTS[modality])
    other, wrong = names.loss(modality, soft.flip(0), CONTENTS[modality])
    assert right == 1 and wrong == 0 and other > loss + 1


def test_what_is_held_out_is_no_wrong_choice(llm, monkeypatch: pytest.MonkeyPatch) -> None:
    content = next(
        sound
        for source in SOURCES
        for sound in [SoundSpec(source, "high", "rising")]
        if not is_held_out(sound) and is_held_out(SoundSpec(source, "high", "falling"))
    )
    words = attributes_of(content) | {"pattern": "falling"}
    soft, names = said(llm, "audio", content, words)[None], AttributeEmbeddings(llm)
    attribute_pretraining._held_out_values.cache_clear()
    loss, right = names.loss("audio", soft, [content])
    attribute_pretraining._held_out_values.cache_clear()
    monkeypatch.setattr(attribute_pretraining, "is_held_out", lambda _: False)
    assert right == 0 and loss < names.loss("audio", soft, [content])[0] - 0.5
    attribute_pretraining._held_out_values.cache_clear()


def test_what_a_content_lacks_may_be_said_in_any_way(llm) -> None:
    names, content = AttributeEmbeddings(llm), [CONTENTS["image"][1]]
    soft = torch.randn(1, 8, llm.hidden_size, generator=torch.Generator().manual_seed(0))
    loss, _ = names.loss("image", soft, content)
    soft[:, [3, 5, 7]] += 1.0  # tint and place of second and third objects that are not there, and a spare token
    assert torch.equal(names.loss("image", soft, content)[0], loss)
    soft[:, 6] += 1.0  # the background
    assert not torch.equal(names.loss("image", soft, content)[0], loss)


def test_every_slot_asks_for_attributes_that_there_are() -> None:
    for modality, slots in SLOTS.items():
        asked = [name for attributes in slots for name in attributes]
        assert set(asked) <= set(ATTRIBUTE_VALUES[modality]) and len(asked) == len(set(asked))


def test_nothing_that_is_named_is_held_out(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[MediaSpec] = []

    def render(content: MediaSpec) -> Medium:
        seen.append(content)
        return tiny_image()

    monkeypatch.setattr(self_generated, "render", render)
    monkeypatch.setattr(self_generated, "_render_audio_cached", render)
    monkeypatch.setattr(attribute_pretraining, "preprocess_media", lambda encoder, media: torch.zeros(len(media), 1))
    model = fake_model()
    drawing = AttributeObjective.__new__(AttributeObjective)
    torch.nn.Module.__init__(drawing)
    drawing.encoder, drawing.media, drawing.tune_encoder = (model.encoder, self_generated.SelfGeneratedMedia(), False)
    for seed in range(5):
        batch = drawing.draw_batch(np.random.default_rng(seed), 100)
        assert {name: len(part.specs) for name, part in batch.items()} == {"image": 60, "audio": 20, "video": 20}
    assert len(seen) == 500 and not [spec for spec in seen if is_held_out(spec)]


def test_soft_tokens_that_follow_the_loss_come_to_say_the_right_words(llm) -> None:
    names, sounds = AttributeEmbeddings(llm), CONTENTS["audio"]
    soft = torch.nn.Parameter(torch.zeros(2, 4, llm.hidden_size))
    optimizer = torch.optim.Adam([soft], lr=0.01)
    for _ in range(200):
        loss, right = names.loss("audio", soft, sounds)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert right == 1


def recipe(folder: Path, soft_tokens: int, **settings: object) -> Config:
    """A recipe for a new model from the components of a tiny one."""
    write_tiny_model(folder)
    architecture = read_config(folder).model_dump(exclude_none=True)
    architecture["input_projection"] = {"encoder_width": 16, "soft_tokens": soft_tokens}
    return Config.model_validate(
        {
            "kind": "attribute_pretraining", "model": folder, "work": folder.parent / "work",
            "architecture": architecture, "reset_trained": True, "fit": {"max_steps": 2, "batch_size": 10},
        }
        | settings
    )  # fmt: skip


@pytest.mark.parametrize("tunes", [False, True])
def test_the_encoder_is_trained_along_if_it_is_tuned(tmp_path: Path, tunes: bool) -> None:
    model = load_initial_model(recipe(tmp_path / "tiny", 8))
    objective = AttributeObjective(model, tune_encoder=tunes)
    batch = objective.draw_batch(np.random.default_rng(0), 10)
    losses = objective(DrawnBatch(batch, ("0",)))
    sum(losses[name] for name in objective.loss_weights).backward()
    for part, learns in ((model.encoder, tunes), (model.input_projection, True)):
        assert any(p.grad is not None and p.grad.any() for p in part.parameters()) == learns


def test_a_new_model_is_written(tmp_path: Path) -> None:
    settings = recipe(tmp_path / "tiny", 8, tune_encoder=True)
    before = (settings.model / "encoder" / "model.safetensors").read_bytes()
    assert run(settings)
    assert read_config(settings.model).input_projection.soft_tokens == 8
    assert (settings.model / "encoder" / "model.safetensors").read_bytes() != before


def test_too_few_soft_tokens_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"has 2 soft tokens; expected at least 7"):
        run(recipe(tmp_path / "tiny", 2))


def test_an_encoder_of_another_width_is_refused(tmp_path: Path) -> None:
    settings = recipe(tmp_path / "tiny", 8)
    wrong = settings.architecture.input_projection.model_copy(update={"encoder_width": 8})
    architecture = settings.architecture.model_copy(update={"input_projection": wrong})
    with pytest.raises(ConfigError, match=r"encoder_width is 8; the encoder returns vectors of width 16"):
        load_initial_model(settings.model_copy(update={"architecture": architecture}))


def test_trained_weights_are_kept_unless_they_are_reset(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "tiny", seed=1)
    values = {"kind": "attribute_pretraining", "model": tmp_path / "tiny", "work": tmp_path / "work",
              "fit": {"max_steps": 1, "batch_size": 2}}  # fmt: skip
    kept, again, reset = (
        load_initial_model(Config.model_validate(values | {"reset_trained": is_reset}))
        for is_reset in (False, False, True)
    )
    weight = kept.input_projection.layers["shared"].weight
    assert torch.equal(weight, again.input_projection.layers["shared"].weight)
    assert not torch.equal(weight, reset.input_projection.layers["shared"].weight)
