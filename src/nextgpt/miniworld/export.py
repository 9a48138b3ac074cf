"""Write the held-out split of the small world in the formats of COCO, AudioCaps and MSR-VTT, and as edits and requests.

::

    coco/annotations/captions_val2014.json, coco/dataset_coco.json, coco/val2014/*.png
    audiocaps/test.csv, audiocaps/audio/*.wav
    msrvtt/test_videodatainfo.json, msrvtt/TestVideo/*.mp4
    edit-image/edits.jsonl, edit-audio/edits.jsonl, edit-video/edits.jsonl   with their media and masks
    modality-choice/requests.jsonl, unim/interleaved.jsonl                   with their media

A field is added to the official formats: ``canonical_caption``, the caption in the form that nano's
synthesizers were trained on. Captions and requests come from the test templates, which no training has seen.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from nextgpt.media.save_media import wrap_write_errors
from nextgpt.miniworld.language import MediaPart, canonical_caption, caption, sample_dialogue
from nextgpt.miniworld.language.descriptions import describe
from nextgpt.miniworld.language.dialogue_state import sample_spec
from nextgpt.miniworld.language.types import DialogueTurn
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import MediaSpec
from nextgpt.modality import SUFFIXES

CAPTIONS_PER_MEDIUM = 5
MASK_MARGIN_PX = 2
"""Margin around changed pixels that an edit's mask includes."""
CHOICE_TASKS = (
    "text_to_image", "text_to_audio", "text_to_video", "text_to_several", "image_to_text", "audio_to_text",
    "video_to_text", "question", "edit_image", "edit_audio", "edit_video", "link", "facts", "small_talk",
)  # fmt: skip
INTERLEAVED_TASKS = ("text_to_several", "link", "question", "edit_image", "edit_audio", "text_to_video")
LICENCE = "Apache-2.0; sprites SIL OFL 1.1, notes MIT"


def export_miniworld(folder: Path, *, count: int, seed: int = 0) -> None:
    """Write ``count`` items per suite. Raises :class:`~nextgpt.errors.MediaError` if the folder is not writable."""
    with wrap_write_errors(folder):
        _write_coco(folder / "coco", count, seed)
        _write_audiocaps(folder / "audiocaps", count, seed)
        _write_msrvtt(folder / "msrvtt", count, seed)
        for modality in ("image", "audio", "video"):
            _write_edits(folder / f"edit-{modality}", modality, count, seed)
        _write_requests(folder / "modality-choice", count, seed)
        _write_interleaved(folder / "unim", count, seed)


def _media(modality: str, count: int, seed: int) -> Iterator[tuple[MediaSpec, list[str]]]:
    """Yield specs of the held-out split with their captions."""
    rng = np.random.default_rng([seed, len(modality), ord(modality[0])])
    for _ in range(count):
        spec = sample_spec(rng, modality, "test")
        yield spec, [_sentence(caption(spec, rng, "test")) for _ in range(CAPTIONS_PER_MEDIUM)]


def _write_coco(folder: Path, count: int, seed: int) -> None:
    images, annotations, karpathy = [], [], []
    for number, (spec, captions) in enumerate(_media("image", count, seed), start=1):
        name = f"COCO_val2014_{number:012d}.png"
        _save(spec, folder / "val2014" / name)
        extra = {"canonical_caption": canonical_caption(spec)}
        images.append({"id": number, "file_name": name, "license": 1, **extra})
        for text in captions:
            annotations.append({"id": len(annotations) + 1, "image_id": number, "caption": text})
        sentences = [{"raw": text, "imgid": number} for text in captions]
        row = {"filepath": "val2014", "filename": name, "split": "test", "cocoid": number, "sentences": sentences}
        karpathy.append({**row, **extra})
    licences = [{"id": 1, "name": LICENCE}]
    _write_json(
        folder / "annotations" / "captions_val2014.json",
        {"images": images, "annotations": annotations, "licenses": licences},
    )
    _write_json(folder / "dataset_coco.json", {"images": karpathy, "dataset": "coco"})


def _write_audiocaps(folder: Path, count: int, seed: int) -> None:
    lines = io.StringIO()
    writer = csv.writer(lines, lineterminator="\n")
    writer.writerow(["audiocap_id", "youtube_id", "start_time", "caption", "canonical_caption"])
    for number, (spec, captions) in enumerate(_media("audio", count, seed)):
        _save(spec, folder / "audio" / f"small{number:06d}.wav")
        for text in captions:
            writer.writerow([number * 10, f"small{number:06d}", 0, text, canonical_caption(spec)])
    _write(folder / "test.csv", lines.getvalue())


def _write_msrvtt(folder: Path, count: int, seed: int) -> None:
    videos, sentences = [], []
    for number, (spec, captions) in enumerate(_media("video", count, seed)):
        name = f"video{number}"
        _save(spec, folder / "TestVideo" / f"{name}.mp4")
        videos.append({"video_id": name, "split": "test", "canonical_caption": canonical_caption(spec)})
        sentences += [{"video_id": name, "sen_id": len(sentences) + i, "caption": c} for i, c in enumerate(captions)]
    _write_json(folder / "test_videodatainfo.json", {"info": {}, "videos": videos, "sentences": sentences})


def _write_edits(folder: Path, modality: str, count: int, seed: int) -> None:
    rows = []
    for number, turn in enumerate(_single_turns((f"edit_{modality}",), count, seed)):
        (source,), (target,) = turn.input_media, turn.target_media
        name, suffix = f"{number:05d}", SUFFIXES[modality]
        _save(source.spec, folder / f"{name}-source{suffix}")
        _save(target.spec, folder / f"{name}-target{suffix}")
        row = {
            "id": name,
            "source": f"{name}-source{suffix}",
            "instruction": turn.user_text,
            "target_caption": _sentence(describe(target.spec)),
            "target": f"{name}-target{suffix}",
            "source_caption": canonical_caption(source.spec),
            "canonical_caption": canonical_caption(target.spec),
            "licence": LICENCE,
        }
        if modality == "image":
            row["mask"] = f"{name}-mask.png"
            _changed_pixels(source.spec, target.spec).save(folder / row["mask"])
        rows.append(row)
    _write_jsonl(folder / "edits.jsonl", rows)


def _changed_pixels(source: MediaSpec, target: MediaSpec) -> PIL.Image.Image:
    """Return a mask that is white where the renderings differ, with a margin."""
    before, after = (np.asarray(render(spec).image, dtype=np.int16) for spec in (source, target))
    mask = PIL.Image.fromarray(np.where((before != after).any(axis=-1), 255, 0).astype(np.uint8))
    from PIL import ImageFilter

    return mask.filter(ImageFilter.MaxFilter(2 * MASK_MARGIN_PX + 1))


def _write_requests(folder: Path, count: int, seed: int) -> None:
    rows = []
    for number, turn in enumerate(_single_turns(CHOICE_TASKS, count, seed)):
        name = f"{number:05d}"
        request = [
            {"type": "text", "text": part}
            if isinstance(part, str)
            else {"type": part.modality, "path": _save_part(part, folder, f"{name}-{index}")}
            for index, part in enumerate(turn.user)
        ]
        rows.append({"id": name, "request": request, "expected": list(turn.modalities)})
    _write_jsonl(folder / "requests.jsonl", rows)


def _write_interleaved(folder: Path, count: int, seed: int) -> None:
    rows = []
    for number, turn in enumerate(_single_turns(INTERLEAVED_TASKS, count, seed)):
        media: dict[str, str] = {}
        texts = [_with_placeholders(parts, media, folder, f"{number:05d}") for parts in (turn.user, turn.assistant)]
        rows.append({"id": f"{number:05d}", "input": texts[0], "output": texts[1], "media": media})
    _write_jsonl(folder / "interleaved.jsonl", rows)


def _with_placeholders(parts: Iterable[str | MediaPart], media: dict[str, str], folder: Path, name: str) -> str:
    """Return text with ``<<image1>>`` in place of media, which are saved and added to ``media``."""
    texts = []
    for part in parts:
        if isinstance(part, str):
            texts.append(part)
            continue
        placeholder = f"{part.modality}{1 + sum(key.startswith(part.modality) for key in media)}"
        media[placeholder] = _save_part(part, folder, f"{name}-{placeholder}")
        texts.append(f"<<{placeholder}>>")
    return " ".join(texts)


def _single_turns(tasks: tuple[str, ...], count: int, seed: int) -> Iterator[DialogueTurn]:
    """Yield turns of the held-out split, one per dialogue, cycling through the tasks."""
    rng = np.random.default_rng([seed, len(tasks), len(tasks[0])])
    produced = 0
    while produced < count:
        dialogue = sample_dialogue(rng, "test", task=tasks[produced % len(tasks)])
        if len(dialogue.turns) == 1:
            yield dialogue.turns[0]
            produced += 1


def _sentence(words: str) -> str:
    return f"{words[0].upper()}{words[1:]}."


def _save_part(part: MediaPart, folder: Path, stem: str) -> str:
    name = f"{stem}{SUFFIXES[part.modality]}"
    _save(part.spec, folder / name)
    return name


def _save(spec: MediaSpec, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    render(spec).save(path)


def _write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content, encoding="utf-8")


def _write_json(path: Path, content: dict[str, Any]) -> None:
    _write(path, json.dumps(content, indent=1))


def _write_jsonl(path: Path, rows: Iterable[dict[str, Any]]) -> None:
    _write(path, "".join(json.dumps(row) + "\n" for row in rows))
