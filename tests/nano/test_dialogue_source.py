"""The small world's dialogues as examples, and what the stages draw."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from nextgpt.train.align_miniworld import AlignmentTrainer, example_of, join, remembered_targets
from torch import Tensor

from nextgpt.config import LoraConfig, OutputProjectionConfig
from nextgpt.errors import ConfigError
from nextgpt.message import Image, Text
from nextgpt.miniworld.language import Dialogue, DialogueTurn, MediaPart, canonical_caption, parse_caption
from nextgpt.miniworld.specs import MediaSpec, ObjectSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.splits import is_held_out
from nextgpt.model.safetensors_io import read_safetensors
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder
from nextgpt.model.trained_weights import WEIGHTS_FILE
from nextgpt.nano.self_generated import SelfGeneratedMedia
from nextgpt.testing.model import fake_model, write_tiny_model
from nextgpt.testing.scripted_model import tiny_image
from nextgpt.train.alignment_recipe import AlignmentRecipe

CAT = SceneSpec((ObjectSpec("cat"),), "grass")
RED_CAT = SceneSpec((ObjectSpec("cat", "red"),), "grass")
FLUTE = SoundSpec("flute", "high", "rising", "fast")
PROJECTION = OutputProjectionConfig(
    queries=6, condition_width=16, width=16, layers=1, heads=2, feedforward_width=32
)


def recipe(model: Path, **settings: object) -> AlignmentRecipe:
    values = {
        "kind": "alignment",
        "stage": "encoding-alignment",
        "model": model,
        "work": model / "work",
        "fit": {"max_steps": 1, "batch_size": 4},
        "input_projection": {"encoder_width": 16, "soft_tokens": 2},
        "output_projections": dict.fromkeys(("image", "audio", "video"), PROJECTION.model_dump()),
        "lora": LoraConfig(rank=2).model_dump(),
    }
    return AlignmentRecipe.model_validate(values | settings)


def trainer(stage_recipe: AlignmentRecipe) -> AlignmentTrainer:
    def targets(modality: str, captions: Sequence[str]) -> Tensor:
        return torch.zeros(len(captions), 6, 16)

    return AlignmentTrainer(fake_model(), stage_recipe, targets)


class Counting(PromptEncoder):
    """Says the length of each caption, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def encode(self, captions: Sequence[str]) -> Tensor:
        self.asked.extend(captions)
        return torch.stack([torch.full((2, 3), float(len(caption))) for caption in captions])


def test_a_dialogue_becomes_messages_with_media_in_place_captions_and_edits() -> None:
    turns = (
        DialogueTurn("question", ("What is this?", MediaPart(CAT)), ("A cat.",)),
        DialogueTurn("text_to_audio", ("Play a flute",), ("Here.", MediaPart(FLUTE), "Nice?")),
        DialogueTurn("edit_image", ("Make it red",), (MediaPart(RED_CAT, is_edit=True),)),
    )
    example = example_of(Dialogue(turns))
    told = [(message.role, [part.modality for part in message.parts]) for message in example.conversation]
    assert told == [
        ("user", ["text", "image"]), ("assistant", ["text"]),
        ("user", ["text"]), ("assistant", ["text", "audio", "text"]),
        ("user", ["text"]), ("assistant", ["image"]),
    ]  # fmt: skip
    assert example.conversation.messages[3].parts[2] == Text("Nice?")
    assert example.captions == (canonical_caption(FLUTE), canonical_caption(RED_CAT))
    assert example.edits == {1}


def test_stand_ins_of_the_same_modality_are_told_apart() -> None:
    turn = DialogueTurn("edit_image", ("Draw",), (MediaPart(CAT), MediaPart(RED_CAT, is_edit=True)))
    first, second = example_of(Dialogue((turn,))).conversation.media
    assert isinstance(first, Image) and first is not second


@pytest.mark.parametrize("tasks", [None, {"image_to_text": 1.0, "text_to_audio": 2.0}], ids=["any", "chosen"])
def test_nothing_that_an_alignment_draws_is_held_out(
    tasks: dict[str, float] | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[MediaSpec] = []
    # Nothing is made before, so every given content comes here.
    monkeypatch.setattr(
        SelfGeneratedMedia, "medium", lambda _, rng, content: (given.append(content), tiny_image())[1]
    )
    drawing = trainer(recipe(tmp_path, tasks=tasks))
    rng = np.random.default_rng(0)
    batches = [drawing.draw_batch(rng, 12) for _ in range(20)]
    made = [
        parse_caption(caption)
        for batch in batches
        for example in batch.examples
        for caption in example.captions
    ]
    assert len(given) > 20 and len(made) > 20
    assert not [content for content in given + made if is_held_out(content)]


def test_a_batch_holds_as_many_turns_as_asked_and_features_for_all_that_users_give(tmp_path: Path) -> None:
    drawing = trainer(recipe(tmp_path))
    for seed in range(5):
        batch = drawing.draw_batch(np.random.default_rng(seed), 8)
        conversations = [example.conversation for example in batch.examples]
        sizes = [len(conversation) // 2 for conversation in conversations]
        assert sum(sizes[:-1]) < 8 <= sum(sizes)
        given = [m for c in conversations for message in c if message.role == "user" for m in message.media]
        assert len(batch.features) == len(given)


def test_the_same_generator_draws_the_same_batch(tmp_path: Path) -> None:
    drawing = trainer(recipe(tmp_path))
    one, other = (drawing.draw_batch(np.random.default_rng(3), 8) for _ in range(2))
    assert [e.captions for e in one.examples] == [e.captions for e in other.examples]
    assert [m.text for e in one.examples for m in e.conversation] == [
        m.text for e in other.examples for m in e.conversation
    ]


def test_only_the_named_tasks_are_drawn(tmp_path: Path) -> None:
    drawing = trainer(recipe(tmp_path, tasks={"text_to_audio": 1.0}))
    batch = drawing.draw_batch(np.random.default_rng(0), 16)
    made = {
        medium.modality for example in batch.examples for medium in example.conversation.messages[-1].media
    }
    assert made == {"audio"}


def test_every_caption_is_encoded_once() -> None:
    conditioner = Counting()
    targets = remembered_targets({"image": conditioner})
    first = targets("image", ["cat", "dog", "cat"])
    again = targets("image", ["zebra", "cat"])
    assert conditioner.asked == ["cat", "dog", "zebra"]
    assert first[:, 0, 0].tolist() == [3, 3, 3] and again[:, 0, 0].tolist() == [5, 3]


def test_an_encoder_of_another_width_is_refused(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    with pytest.raises(ConfigError, match=r"encoder_width is 8; the encoder in .* gives vectors of 16"):
        join(recipe(tmp_path, input_projection={"encoder_width": 8}))


def test_a_later_stage_goes_on_from_what_was_trained_and_the_first_starts_anew(tmp_path: Path) -> None:
    """The tiny model's folder stands for one that an earlier stage wrote."""
    write_tiny_model(tmp_path, seed=1)
    saved = read_safetensors(tmp_path / WEIGHTS_FILE)["input_projection.layers.shared.weight"]
    later = join(recipe(tmp_path, stage="decoding-alignment"))
    first = join(recipe(tmp_path, stage="encoding-alignment"))
    assert torch.equal(later.input_projection.layers["shared"].weight, saved)
    assert not torch.equal(first.input_projection.layers["shared"].weight, saved)
