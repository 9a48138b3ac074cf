"""What soft tokens learn first: to say attributes in the LLM's own words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from nextgpt.train.align_miniworld import join
from tests.train.test_align_miniworld import recipe

from nextgpt.errors import ConfigError
from nextgpt.message import Medium
from nextgpt.miniworld.specs import SOURCES, ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.splits import is_held_out
from nextgpt.nano.attribute_pretraining import SLOTS, AttributeEmbeddings, AttributeObjective
from nextgpt.nano.attributes import ATTRIBUTE_VALUES, attributes_of
from nextgpt.testing.language_model import tiny_language_model
from nextgpt.testing.model import fake_model, write_tiny_model
from nextgpt.testing.scripted_model import tiny_image
from nextgpt.train import naming, own_media

CONTENTS: dict[str, list[MediaSpec]] = {
    "image": [
        SceneSpec(
            (ObjectSpec("dog", "red", "left", "small"), ObjectSpec("cat", "blue", "right", "small")), "grass"
        ),
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
            llm.embed_ids(llm.tokenizer.encode(f" {words[name]}")).mean(dim=0)
            for name in attributes
            if name in words
        ]
        rows.append(sum(means) if means else torch.zeros(llm.hidden_size))
    return torch.stack(rows)


@pytest.mark.parametrize("modality", SLOTS)
def test_soft_tokens_that_say_the_right_words_are_right_and_others_are_not(llm, modality: str) -> None:
    motion = {"left": "moving left", "spin": "spinning"}
    soft = []
    for content in CONTENTS[modality]:
        words = {
            name: value
            for name, value in attributes_of(content).items()
            if value not in ("natural", "nothing")
        }
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
    naming._held_out_values.cache_clear()
    loss, right = names.loss("audio", soft, [content])
    naming._held_out_values.cache_clear()
    monkeypatch.setattr(naming, "is_held_out", lambda _: False)
    assert right == 0 and loss < names.loss("audio", soft, [content])[0] - 0.5
    naming._held_out_values.cache_clear()


def test_what_a_content_lacks_may_be_said_in_any_way(llm) -> None:
    names, content = AttributeEmbeddings(llm), [CONTENTS["image"][1]]
    soft = torch.randn(1, 8, llm.hidden_size, generator=torch.Generator().manual_seed(0))
    loss, _ = names.loss("image", soft, content)
    soft[:, [3, 5, 7]] += (
        1.0  # tint and place of second and third objects that are not there, and a spare token
    )
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

    monkeypatch.setattr(own_media, "render", render)
    monkeypatch.setattr(own_media, "_true_sound", render)
    model = fake_model()
    monkeypatch.setattr(naming, "clip_of", lambda encoder, medium: torch.zeros(1))
    trainer = AttributeObjective(model)
    for seed in range(5):
        batch = trainer.draw_batch(np.random.default_rng(seed), 100)
        assert {name: len(named.contents) for name, named in batch.items()} == {
            "image": 60,
            "audio": 20,
            "video": 20,
        }
    assert len(seen) == 500 and not [content for content in seen if is_held_out(content)]


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


@pytest.mark.parametrize("tunes", [False, True])
def test_the_encoder_learns_along_where_it_is_tuned(tmp_path: Path, tunes: bool) -> None:
    write_tiny_model(tmp_path)
    model = join(recipe(tmp_path, input_projection={"encoder_width": 16, "soft_tokens": 8}))
    trainer = AttributeObjective(model, tunes_encoder=tunes)
    batch = trainer.draw_batch(np.random.default_rng(0), 10)
    trainer.loss(batch, torch.Generator())["loss"].backward()
    for part, learns in ((model.encoder, tunes), (model.input_projection, True)):
        assert any(p.grad is not None and p.grad.any() for p in part.parameters()) == learns


@pytest.mark.parametrize(
    "settings",
    [{"stage": "instruction-tuning"}, {"input_projection": {"encoder_width": 16, "soft_tokens": 2}}],
    ids=["later stage", "too few soft tokens"],
)
def test_naming_where_it_cannot_be_is_refused(tmp_path: Path, settings: dict) -> None:
    write_tiny_model(tmp_path)
    enough = {"input_projection": {"encoder_width": 16, "soft_tokens": 8}}
    with pytest.raises(ConfigError, match=r"expected it in a fresh encoding-alignment with at least 7"):
        join(recipe(tmp_path, **enough | {"naming": {"max_steps": 1, "batch_size": 4}} | settings))
