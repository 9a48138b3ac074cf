"""The small world as a data source: messages, media, captions and edits of its dialogues."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nextgpt.errors import ConfigError
from nextgpt.message import Image, Text
from nextgpt.miniworld.language import parse_caption
from nextgpt.miniworld.language.out_of_domain import unknown_fact_answer
from nextgpt.miniworld.specs import MediaSpec
from nextgpt.miniworld.splits import is_held_out
from nextgpt.model.llm.prompt import Prompt
from nextgpt.model.nextgpt import NextGPT
from nextgpt.nano.dialogue_source import MiniworldSource
from nextgpt.nano.self_generated import SelfGeneratedMedia
from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.scripted_model import tiny_image
from nextgpt.train.align import build_example_prompt
from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.dataset import BatchSampler, example_of
from nextgpt.train.feature_cache import build_cache


def sampler(source: MiniworldSource, **settings: Any) -> BatchSampler:
    values = {"batch_size": 8, "seed": 0, "build_prompt": lambda example: Prompt(())} | settings
    return BatchSampler((source,), **values)


def test_a_dialogue_becomes_messages_with_media_in_place_captions_and_edits() -> None:
    source = MiniworldSource({"edit_image": 1.0})
    for index in range(20):
        dialogue = source.dialogue(index)
        example = example_of(dialogue, [medium.open() for medium in dialogue.input_media])
        assert [message.role for message in example.conversation] == ["user", "assistant"] * (len(dialogue.turns) // 2)
        made = [m for message in example.conversation if message.role == "assistant" for m in message.media]
        assert len(made) == len(example.captions) == len(dialogue.output_media)
        assert len(made) - 1 in example.edit_indices and isinstance(made[-1], Image)
        words = [part for turn in dialogue.turns for part in turn.parts if isinstance(part, str)]
        texts = [part.text for message in example.conversation for part in message.parts if isinstance(part, Text)]
        assert texts == words
        for turn, message in zip(dialogue.turns, example.conversation, strict=True):
            assert [m.modality for m in message.media] == [m.modality for m in turn.media]


def test_placeholders_of_one_modality_are_different_objects() -> None:
    source = MiniworldSource({"text_to_several": 1.0})
    dialogues = [source.dialogue(index) for index in range(50)]
    media = [example_of(dialogue, None).conversation.media for dialogue in dialogues]
    assert all(len({id(medium) for medium in of_one}) == len(of_one) for of_one in media)


@pytest.mark.parametrize(
    "tasks",
    [None, {"image_to_text": 1.0, "text_to_audio": 2.0}, {"any": 1.0, "phrased": 1.0}],
    ids=["any", "two", "phrased"],
)
def test_nothing_in_its_dialogues_is_held_out(tasks: dict[str, float] | None, monkeypatch: pytest.MonkeyPatch) -> None:
    inputs: list[MediaSpec] = []
    monkeypatch.setattr(SelfGeneratedMedia, "medium", lambda _, rng, spec: (inputs.append(spec), tiny_image())[1])
    dialogues = [MiniworldSource(tasks).dialogue(index) for index in range(200)]
    for dialogue in dialogues:
        for medium in dialogue.input_media:
            medium.open()
    outputs = [parse_caption(medium.caption) for dialogue in dialogues for medium in dialogue.output_media]
    assert len(inputs) > 20 and len(outputs) > 20
    assert not [spec for spec in inputs + outputs if is_held_out(spec)]


def test_a_batch_holds_as_many_turns_as_its_size() -> None:
    batches = [sampler(MiniworldSource(), batch_unit="turn").global_batch(step) for step in range(24)]
    turns = [sum(len(dialogue.turns) // 2 for dialogue in batch) for batch in batches]
    assert 6 < np.mean(turns) < 10 and max(turns) < 8 + 7
    examples = [len(sampler(MiniworldSource()).global_batch(step)) for step in range(4)]
    assert examples == [8] * 4


def test_the_same_seed_and_step_draw_the_same_batch_with_the_same_media() -> None:
    source = MiniworldSource({"question": 1.0})
    one, other = (sampler(source).local_batch(3) for _ in range(2))
    assert one.keys == other.keys
    digests = [[m.digest for item in batch.items for m in item.input_media] for batch in (one, other)]
    assert digests[0] == digests[1] and digests[0]
    assert sampler(source, seed=1).local_batch(3).keys != one.keys


def test_only_the_named_tasks_are_drawn() -> None:
    dialogues = sampler(MiniworldSource({"text_to_audio": 1.0}), batch_size=16).global_batch(0)
    assert {medium.modality for dialogue in dialogues for medium in dialogue.turns[-1].media} == {"audio"}


def test_its_dialogues_cannot_be_cached(tmp_path: Path) -> None:
    recipe = AlignmentRecipe.model_validate({
        "kind": "alignment", "stage": "encoding-alignment", "data": {"miniworld": {}},
        "init_from": str(write_tiny_model(tmp_path / "tiny")), "model": tmp_path / "model", "work": tmp_path / "work",
        "cache": tmp_path / "cache", "fit": {"max_steps": 1, "batch_size": 2},
    })  # fmt: skip
    with pytest.raises(ConfigError, match="cache is set with data.miniworld"):
        build_cache(recipe)


def test_dialogues_with_excluded_tasks_are_drawn_again() -> None:
    def texts(source: MiniworldSource) -> list[str]:
        return [source.dialogue(index).text for index in range(150)]

    every = texts(MiniworldSource({"phrased": 1.0}))
    remaining = texts(MiniworldSource({"phrased": 1.0}, exclude_tasks=("general",)))
    answer = unknown_fact_answer()
    assert any(answer in text for text in every)
    assert not any(answer in text for text in remaining)


def test_batches_of_similar_length_need_little_padding() -> None:
    model = NextGPT.from_pretrained("nano")
    sampled = sampler(
        MiniworldSource(),
        batch_size=24,
        build_prompt=partial(build_example_prompt, model, None),
        length_pool_batches=24,
    )
    lengths = [
        [item.prompt.length(model.llm.soft_tokens) for item in sampled.local_batch(step).items] for step in range(8)
    ]
    padded = sum(max(batch) * len(batch) for batch in lengths)
    # Batches that are drawn at random, or from dialogues sorted by their text alone, need more.
    assert padded < 1.2 * sum(map(sum, lengths))
