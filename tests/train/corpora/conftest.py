"""A tiny model, and a small corpus of every modality with a corrupt item, as recipes name them."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video
from nextgpt.train.recipe import CorporaRecipe

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
        media = {
            "image": (tiny_image(colour), "jpg"),
            "audio": (tiny_audio(), "wav"),
            "video": (tiny_video(), "mp4"),
        }
        for modality, (medium, suffix) in media.items():
            path = folder / f"{modality}-{name}.{suffix}"
            medium.save(path)
            pairs[modality].append(
                {
                    "id": f"{modality}-{index}",
                    "caption": "a " + "very " * index + name,
                    f"{modality}_name": path.name,
                }
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
def recipe(initial: Path, corpora: Path, tmp_path: Path) -> Callable[..., CorporaRecipe]:
    """Recipes on these corpora: ``recipe(stage, key=value)``; ``fit`` adds to what is short and exact."""

    def make(
        stage: str, fit: dict[str, Any] | None = None, name: str = "run", **settings: Any
    ) -> CorporaRecipe:
        short = {
            "steps": 4,
            "batch_size": 4,
            "learning_rate": 0.01,
            "warmup_steps": 1,
            "bf16": False,
            "log_every": 1,
        }
        values = {
            "kind": "corpora",
            "stage": stage,
            "initial": str(initial),
            "model": tmp_path / name / "model",
            "work": tmp_path / name / "work",
            "fit": short | {"save_every": 2} | (fit or {}),
            "sources": {
                name: {"path": corpora / f"{name}.json"} for name in ("image", "audio", "video", "llava")
            },
            "lora": {"rank": 2, "alpha": 4, "dropout": 0.0, "targets": ["q_proj", "v_proj"]},
            "engine": {"workers": 0},
        }
        return CorporaRecipe.model_validate(values | settings)

    return make


@pytest.fixture
def losses() -> Callable[[CorporaRecipe], list[float]]:
    """The loss of every step that a run logged."""

    def read(recipe: CorporaRecipe) -> list[float]:
        return [json.loads(line)["loss"] for line in (recipe.work / "metrics.jsonl").read_text().splitlines()]

    return read
