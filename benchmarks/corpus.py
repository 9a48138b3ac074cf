"""A corpus of the small world on disk, in the project's own form: pairs of each modality, and dialogues."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nextgpt.data.record import Dialogue, MediaFile, Pair, Record, Turn
from nextgpt.data.writing import write_lines
from nextgpt.miniworld.language import Say, canonical_caption, caption, sample_dialogue
from nextgpt.miniworld.render import render
from nextgpt.miniworld.sampling import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.scene import Content

SUFFIXES = {"image": "jpg", "audio": "wav", "video": "mp4"}
DRAW = {"image": sample_scene, "audio": sample_sound, "video": sample_clip}


def write_corpus(folder: Path, *, pairs: int, dialogues: int, seed: int = 0) -> None:
    """Write ``image.jsonl``, ``audio.jsonl`` and ``video.jsonl`` with so many pairs, and ``dialogues.jsonl``."""
    (folder / "media").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for modality in DRAW:
        write_lines(_pairs(modality, pairs, rng, folder / "media"), folder / f"{modality}.jsonl")
    write_lines(_dialogues(dialogues, rng, folder / "media"), folder / "dialogues.jsonl")


def _pairs(modality: str, count: int, rng: np.random.Generator, folder: Path) -> Iterator[Record]:
    for number in range(count):
        content = DRAW[modality](rng, "train")
        yield Pair(f"{modality}-{number}", _saved(content, modality, folder / str(number), caption(content, rng)))


def _dialogues(count: int, rng: np.random.Generator, folder: Path) -> Iterator[Record]:
    for number in range(count):
        turns: list[Turn] = []
        for turn in sample_dialogue(rng, "train").turns:
            start = folder / f"dialogue-{number}-{len(turns)}"
            turns.append(Turn("user", tuple(_given(say, start) for say in turn.user)))
            turns.append(Turn("assistant", tuple(_made(say, start) for say in turn.assistant)))
        yield Dialogue(f"dialogue-{number}", tuple(turns))


def _given(say: Say, start: Path) -> str | MediaFile:
    return say if isinstance(say, str) else _saved(say.content, say.modality, start, "")


def _made(say: Say, start: Path) -> str | MediaFile:
    """What the assistant makes needs no file: its caption says what to learn."""
    if isinstance(say, str):
        return say
    path = start.with_suffix(f".made.{SUFFIXES[say.modality]}")
    return MediaFile(say.modality, path, caption=canonical_caption(say.content), is_edit=say.is_edit)


def _saved(content: Content, modality: str, start: Path, words: str) -> MediaFile:
    path = start.with_suffix(f".{SUFFIXES[modality]}")
    render(content).save(path)
    return MediaFile(modality, path, caption=words)
