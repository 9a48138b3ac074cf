"""Conversations of every modality, a tiny model, and a small corpus with a corrupt item, as recipes name them."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from nextgpt.message import Conversation
from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video
from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.dataset import Example

QUERIES, CONDITION_WIDTH = 6, 16
"""Of the conditions of :func:`nextgpt.testing.tiny_model`."""


@pytest.fixture
def targets() -> Callable[[str, Sequence[str]], Tensor]:
    """What text encoders would say: numbers that depend on modality and caption alone."""

    def say(modality: str, captions: Sequence[str]) -> Tensor:
        seeds = [sum(f"{modality}: {caption}".encode()) for caption in captions]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return torch.stack([torch.randn(QUERIES, CONDITION_WIDTH, generator=g) for g in generators])

    return say


@pytest.fixture
def examples() -> list[Example]:
    """Two conversations: questions about media, and requests for media, one of them an edit."""
    asked = (
        Conversation()
        .with_message(["What is this?", tiny_image(), "And this?", tiny_audio()])
        .with_message("A red square, and a tone.", role="assistant")
        .with_message([tiny_video(), "And this?"])
        .with_message("It is getting bright.", role="assistant")
    )
    made = (
        Conversation()
        .with_message("Draw a cat")
        .with_message(["Here it is.", tiny_image((0, 255, 0))], role="assistant")
        .with_message("Make it blue, with its sound and a film")
        .with_message([tiny_image((0, 0, 255)), "There.", tiny_audio(), tiny_video()], role="assistant")
    )
    captions = ("cat center", "blue cat center", "cat sound", "cat moving left")
    return [Example(asked), Example(made, captions, edit_indices=frozenset({1}))]


COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "white": (255, 255, 255)}


@pytest.fixture(scope="session")
def initial(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny model."""
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="session")
def corpora(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with pairs of each modality and with dialogues."""
    folder = tmp_path_factory.mktemp("corpora")
    pairs: dict[str, list[dict]] = {"image": [], "audio": [], "video": []}
    for index, (name, colour) in enumerate(COLOURS.items()):
        media = {"image": (tiny_image(colour), "jpg"), "audio": (tiny_audio(), "wav"), "video": (tiny_video(), "mp4")}
        for modality, (medium, suffix) in media.items():
            path = folder / f"{modality}-{name}.{suffix}"
            medium.save(path)
            pairs[modality].append(
                {"id": f"{modality}-{index}", "caption": "a " + "very " * index + name, f"{modality}_name": path.name}
            )
    (folder / "image-bad.jpg").write_bytes(b"\xff\xd8\xff")
    pairs["image"].append({"id": "image-bad", "caption": "broken", "image_name": "image-bad.jpg"})
    for modality, rows in pairs.items():
        (folder / f"{modality}.json").write_text(json.dumps(rows))
    dialogues = [
        {"id": "0", "image": "image-red.jpg", "conversations": [
            {"from": "human", "value": "<image>\nWhat is this?"}, {"from": "gpt", "value": "A red square."}]},
        {"id": "1", "conversations": [{"from": "human", "value": "Hello"}, {"from": "gpt", "value": "Hello!"}]},
    ]  # fmt: skip
    (folder / "llava.json").write_text(json.dumps(dialogues))
    return folder


@pytest.fixture
def recipe(initial: Path, corpora: Path, tmp_path: Path) -> Callable[..., AlignmentRecipe]:
    """Recipes on these corpora: ``recipe(stage, key=value)``; ``fit`` adds to what is short and exact."""

    def make(
        stage: str,
        fit: dict[str, Any] | None = None,
        name: str = "run",
        sources: dict[str, Any] | None = None,
        **settings: Any,
    ) -> AlignmentRecipe:
        every = {name: {"path": corpora / f"{name}.json"} for name in ("image", "audio", "video", "llava")}
        short = {
            "max_steps": 4,
            "batch_size": 4,
            "learning_rate": 0.01,
            "warmup_steps": 1,
            "bf16": False,
            "log_steps": 1,
        }
        values = {
            "kind": "alignment",
            "stage": stage,
            "init_from": str(initial),
            "model": tmp_path / name / "model",
            "work": tmp_path / name / "work",
            "fit": short | {"save_steps": 2} | (fit or {}),
            "data": {"corpora": every if sources is None else sources},
            "lora": {"rank": 2, "alpha": 4, "dropout": 0.0, "targets": ["q_proj", "v_proj"]},
            "engine": {"num_workers": 0},
        }
        return AlignmentRecipe.model_validate(values | settings)

    return make


@pytest.fixture
def losses() -> Callable[[AlignmentRecipe], list[float]]:
    """The loss of every step that a run logged."""

    def read(recipe: AlignmentRecipe) -> list[float]:
        return [json.loads(line)["loss"] for line in (recipe.work / "metrics.jsonl").read_text().splitlines()]

    return read
