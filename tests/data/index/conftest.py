"""A small corpus of every modality, and an index of it with a tiny model."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import PIL.Image
import pytest

from nextgpt.data.corpus import Corpus, read_corpus
from nextgpt.data.index import MediaIndex
from nextgpt.data.index.build import build_index
from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.scripted_model import tiny_audio, tiny_video

COLOURS = {
    "red": (255, 0, 0),
    "green": (0, 255, 0),
    "blue": (0, 0, 255),
    "white": (255, 255, 255),
    "grey": (99, 99, 99),
}


@pytest.fixture(scope="session")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def corpus_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five images, an audio clip, a video, a damaged image and one that is missing."""
    folder = tmp_path_factory.mktemp("corpus")
    rows = []
    for name, colour in COLOURS.items():
        pixels = np.full((16, 16, 3), colour, np.uint8)
        pixels[4:8, 4:8] = 128
        PIL.Image.fromarray(pixels).save(folder / f"{name}.png")
        rows.append({"type": "image", "path": f"{name}.png", "caption": f"a {name} square", "licence": "CC0"})
    tiny_audio().save(folder / "tone.wav")
    tiny_video().save(folder / "clip.mp4")
    (folder / "damaged.png").write_bytes(b"\x89PNG\r\n\x1a\n no picture")
    rows += [
        {"type": "audio", "path": "tone.wav", "caption": "a tone", "source": "a studio"},
        {"type": "video", "path": "clip.mp4", "caption": "a moving square"},
        {"type": "image", "path": "damaged.png", "caption": "a broken square"},
        {"type": "image", "path": "missing.png", "caption": "a missing square"},
    ]
    path = folder / "own.jsonl"
    path.write_text("".join(json.dumps({"id": str(n), "pair": row}) + "\n" for n, row in enumerate(rows)))
    return path


@pytest.fixture(scope="session")
def corpus(corpus_file: Path) -> Corpus:
    return read_corpus(corpus_file)


@pytest.fixture(scope="session")
def index_dir(corpus: Corpus, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("index")
    build_index([corpus], out, model=model_dir, source="the tests", licence="MIT")
    return out


@pytest.fixture
def index(index_dir: Path) -> MediaIndex:
    return MediaIndex.open(index_dir)
