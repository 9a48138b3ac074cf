"""Write a corpus of the small world in the project's own form: caption pairs of each modality, and dialogues.

The alignment stages use ``captioning`` and ``generation``: pairs as dialogues in the language of nano's LLM, because a
frozen LLM cannot adapt to other text.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from nextgpt.data.record import CaptionPair, Dialogue, MediaFile, Record, Turn
from nextgpt.data.writers import write_jsonl
from nextgpt.miniworld.language import MediaPart, TurnPart, canonical_caption, caption, sample_dialogue
from nextgpt.miniworld.language.descriptions import describe
from nextgpt.miniworld.render import render
from nextgpt.miniworld.sample_specs import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.specs import MediaSpec

SUFFIXES = {"image": "jpg", "audio": "wav", "video": "mp4"}
ASK = {"image": "Draw", "audio": "Play me", "video": "Show me a clip of"}
DRAW = {"image": sample_scene, "audio": sample_sound, "video": sample_clip}


def write_corpus(folder: Path, *, pairs: int, dialogues: int, seed: int = 0) -> None:
    """Write ``<modality>.jsonl`` with caption pairs, ``captioning-<modality>.jsonl`` and
    ``generation-<modality>.jsonl`` with one request per dialogue, and ``dialogues.jsonl``.

    Args:
        pairs: Records per file of one modality.
        dialogues: Records of ``dialogues.jsonl``.
    """
    (folder / "media").mkdir(parents=True)
    rng = np.random.default_rng(seed)
    for modality in DRAW:
        write_jsonl(_pairs(modality, pairs, rng, folder / "media"), folder / f"{modality}.jsonl")
        described = _dialogues(f"captioning-{modality}", pairs, rng, folder / "media", f"{modality}_to_text")
        write_jsonl(described, folder / f"captioning-{modality}.jsonl")
        write_jsonl(_drawn(modality, pairs, rng, folder / "media"), folder / f"generation-{modality}.jsonl")
    write_jsonl(_dialogues("dialogue", dialogues, rng, folder / "media"), folder / "dialogues.jsonl")


def _pairs(modality: str, count: int, rng: np.random.Generator, folder: Path) -> Iterator[Record]:
    for number in range(count):
        content = DRAW[modality](rng, "train")
        yield CaptionPair(
            f"{modality}-{number}", _saved(content, modality, folder / str(number), caption(content, rng))
        )


def _drawn(modality: str, count: int, rng: np.random.Generator, folder: Path) -> Iterator[Record]:
    """Yield requests for a medium whose answers repeat the description, as in the published training."""
    for number in range(count):
        content = DRAW[modality](rng, "train")
        phrase = describe(content)
        verb = "is" if phrase.startswith(("a ", "an ", "the ")) else "are"
        made = _made(MediaPart(content), folder / f"generation-{modality}-{number}")
        asked, answer = Turn("user", (f"{ASK[modality]} {phrase}.",)), f"Here {verb} {phrase}."
        yield Dialogue(f"generation-{modality}-{number}", (asked, Turn("assistant", (answer, made))))


def _dialogues(
    name: str, count: int, rng: np.random.Generator, folder: Path, task: str | None = None
) -> Iterator[Record]:
    """Yield dialogues of any task, or dialogues of one turn of a given task."""
    for number in range(count):
        drawn = sample_dialogue(rng, "train", task=task)
        while task and len(drawn.turns) > 1:
            drawn = sample_dialogue(rng, "train", task=task)
        turns: list[Turn] = []
        for turn in drawn.turns:
            start = folder / f"{name}-{number}-{len(turns)}"
            turns.append(Turn("user", tuple(_given(say, start) for say in turn.user)))
            turns.append(Turn("assistant", tuple(_made(say, start) for say in turn.assistant)))
        yield Dialogue(f"{name}-{number}", tuple(turns))


def _given(say: TurnPart, start: Path) -> str | MediaFile:
    return say if isinstance(say, str) else _saved(say.spec, say.modality, start, "")


def _made(say: TurnPart, start: Path) -> str | MediaFile:
    """Return an output medium without a file; its caption is the training target."""
    if isinstance(say, str):
        return say
    path = start.with_suffix(f".made.{SUFFIXES[say.modality]}")
    return MediaFile(say.modality, path, caption=canonical_caption(say.spec), is_edit=say.is_edit)


def _saved(content: MediaSpec, modality: str, start: Path, words: str) -> MediaFile:
    path = start.with_suffix(f".{SUFFIXES[modality]}")
    render(content).save(path)
    return MediaFile(modality, path, caption=words)
