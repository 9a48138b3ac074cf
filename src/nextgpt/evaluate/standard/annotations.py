"""Captioned media of corpora as their publishers annotate them: COCO, Karpathy's split, AudioCaps, MSR-VTT.

Each reader takes the annotation file and yields one :class:`Annotation` per medium; media stay on disk. The folder of
the Debian package tuxpaint-stamps is read too. Readers count what they leave out, by reason.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nextgpt.errors import ConfigError
from nextgpt.text_files import open_text, read_text


@dataclass(frozen=True)
class Annotation:
    """A medium with its captions."""

    key: str
    names: tuple[str, ...]
    """File names that the medium may have, without folder; without suffix if the annotation has none."""
    captions: tuple[str, ...]
    canonical_caption: str = ""
    """Caption in the form that the synthesizers were trained on, from the optional field ``canonical_caption``."""
    licence: str = ""


@dataclass
class AnnotationFile:
    """Annotations of one file, and what was left out."""

    path: Path
    rows: list[Annotation] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Corpus:
    """Where a corpus keeps annotations and media, relative to its root folder."""

    name: str
    modality: str
    root: str
    """Folder of the corpus, if the data folder holds several."""
    files: tuple[str, ...]
    """Annotation files, the first that exists is read."""
    read: Callable[[Path], AnnotationFile]
    media_folders: tuple[str, ...]
    suffixes: tuple[str, ...] = ("",)
    """Suffixes that are tried for names without one."""

    def find_annotations(self, data: Path) -> Path | None:
        """Return the annotation file in ``data``; ``None`` if there is none."""
        return next((path for root in self._roots(data) for name in self.files if (path := root / name).exists()), None)

    def find_medium(self, data: Path, names: Iterable[str]) -> str | None:
        """Return the path of the first existing file, relative to ``data``."""
        for root in self._roots(data):
            for folder in self.media_folders:
                for name in names:
                    for suffix in self.suffixes:
                        if (path := root / folder / f"{name}{suffix}").is_file():
                            return path.relative_to(data).as_posix()
        return None

    def _roots(self, data: Path) -> tuple[Path, Path]:
        return data, data / self.root


def read_coco(path: Path) -> AnnotationFile:
    """Read ``captions_val2014.json``: ``images``, ``annotations`` and ``licenses``."""
    content = _json_object(path, ("images", "annotations"))
    result, captions = AnnotationFile(path), {}
    for row in content["annotations"]:
        captions.setdefault(row["image_id"], []).append(row["caption"])
    licences = {row["id"]: row.get("name", "") for row in content.get("licenses", ())}
    for row in content["images"]:
        _add(
            result,
            str(row["id"]),
            (row["file_name"],),
            captions.pop(row["id"], []),
            row.get("canonical_caption", ""),
            licences.get(row.get("license"), ""),
        )
    result.left_out["captions of an image that is not listed"] += sum(map(len, captions.values()))
    return result


def read_karpathy(path: Path) -> AnnotationFile:
    """Read the test split of ``dataset_coco.json``."""
    result = AnnotationFile(path)
    for row in _json_object(path, ("images",))["images"]:
        if row.get("split") == "test":
            captions = [sentence["raw"] for sentence in row["sentences"]]
            key = str(row.get("cocoid", row["filename"]))
            names = (f"{row['filepath']}/{row['filename']}" if row.get("filepath") else row["filename"],)
            _add(result, key, (*names, row["filename"]), captions, row.get("canonical_caption", ""))
    return result


def read_audiocaps(path: Path) -> AnnotationFile:
    """Read ``test.csv``: ``audiocap_id,youtube_id,start_time,caption``, a row per caption.

    Copies of the corpus name files by the YouTube id, with a leading Y, the start time, or by the caption id.
    """
    result, clips = AnnotationFile(path), {}
    with open_text(path, newline="") as lines:
        for row in csv.DictReader(lines):
            if not row.get("youtube_id") or not row.get("caption"):
                result.left_out["row without youtube_id or caption"] += 1
                continue
            clips.setdefault(row["youtube_id"], []).append(row)
    for name, rows in clips.items():
        start = rows[0].get("start_time", "")
        names = (f"{name}_{start}", name, f"Y{name}", *(row.get("audiocap_id", "") or name for row in rows))
        _add(result, name, names, [row["caption"] for row in rows], rows[0].get("canonical_caption") or "")
    return result


def read_msrvtt(path: Path) -> AnnotationFile:
    """Read ``test_videodatainfo.json`` or ``videodatainfo_2017.json``; of a file of all splits, the test split."""
    content = _json_object(path, ("videos", "sentences"))
    result, captions = AnnotationFile(path), {}
    for row in content["sentences"]:
        captions.setdefault(row["video_id"], []).append(row["caption"])
    for row in content["videos"]:
        sentences = captions.pop(row["video_id"], [])
        if row.get("split", "test") == "test":
            _add(result, row["video_id"], (row["video_id"],), sentences, row.get("canonical_caption", ""))
    result.left_out["captions of a video that is not listed"] += sum(map(len, captions.values()))
    return result


def read_stamps(suffixes: Sequence[str]) -> Callable[[Path], AnnotationFile]:
    """Return a reader of the stamps folder: each medium has a text file of its name, first line in English."""

    def read(path: Path) -> AnnotationFile:
        result = AnnotationFile(path)
        for text in sorted(path.rglob("*.txt")):
            medium = next((file for suffix in suffixes if (file := text.with_suffix(suffix)).is_file()), None)
            if medium is not None:
                name = medium.relative_to(path).as_posix()
                first_line = _first_line(text)
                _add(result, name, (name,), [first_line] if first_line else [], licence="GPL-2")
        return result

    return read


def _first_line(path: Path) -> str:
    with open_text(path, errors="replace") as file:
        return file.readline().strip()


STAMP_FOLDERS = ("usr/share/tuxpaint/stamps", "tuxpaint/stamps", "")
VIDEO_SUFFIXES, AUDIO_SUFFIXES = (".mp4", ".avi", ".webm", ".mkv"), (".wav", ".flac", ".mp3", ".m4a", ".ogg")
COCO_FOLDERS = ("val2014", "val2017", "", "images", "images/val2014", "train2014")

COCO = Corpus(
    "COCO", "image", "coco",
    ("annotations/captions_val2014.json", "captions_val2014.json", "annotations/captions_val2017.json"),
    read_coco, COCO_FOLDERS,
)  # fmt: skip
KARPATHY = Corpus("COCO, Karpathy test split", "image", "coco", ("dataset_coco.json",), read_karpathy, COCO_FOLDERS)
AUDIOCAPS = Corpus(
    "AudioCaps", "audio", "audiocaps", ("test.csv", "dataset/test.csv"), read_audiocaps,
    ("audio", "test", "", "audio/test", "wavs"), AUDIO_SUFFIXES,
)  # fmt: skip
MSRVTT = Corpus(
    "MSR-VTT", "video", "msrvtt",
    ("test_videodatainfo.json", "videodatainfo_2017.json", "MSRVTT_data.json", "annotation/MSR_VTT.json"),
    read_msrvtt, ("TestVideo", "videos", "", "videos/all", "MSRVTT_Videos"), VIDEO_SUFFIXES,
)  # fmt: skip
_STAMPS_DIRS = ("usr/share/tuxpaint/stamps", "tuxpaint/stamps", "animals/..")
STAMP_IMAGES = Corpus("tuxpaint-stamps", "image", "", _STAMPS_DIRS, read_stamps((".png",)), STAMP_FOLDERS)
STAMP_SOUNDS = Corpus("tuxpaint-stamps", "audio", "", _STAMPS_DIRS, read_stamps((".wav", ".ogg")), STAMP_FOLDERS)


def open_annotations(data: Path, corpora: Sequence[Corpus]) -> tuple[Corpus, AnnotationFile]:
    """Read the annotations of the first of ``corpora`` that ``data`` has. Raises :class:`ConfigError`."""
    for corpus in corpora:
        if path := corpus.find_annotations(data):
            try:
                return corpus, corpus.read(path.resolve() if path.is_dir() else path)
            except (KeyError, TypeError, AttributeError) as error:
                raise ConfigError(
                    f"{path} is no annotation file of {corpus.name} ({type(error).__name__}: {error}); expected the "
                    "published form. Fetch the file again."
                ) from None
    files = "; ".join(f"{corpus.name}: {', '.join(corpus.files[:2])}" for corpus in corpora)
    raise ConfigError(f"{data} has no annotations; expected one of: {files}. Name the folder with --data DIR.")


def _add(
    result: AnnotationFile,
    key: str,
    names: Sequence[str],
    captions: Sequence[str],
    canonical_caption: str = "",
    licence: str = "",
) -> None:
    captions = tuple(text for caption in captions if (text := " ".join(caption.split())))
    if not captions:
        result.left_out["medium without a caption"] += 1
        return
    result.rows.append(Annotation(key, tuple(dict.fromkeys(names)), captions, canonical_caption, licence))


def _json_object(path: Path, keys: Sequence[str]) -> dict[str, Any]:
    try:
        content = json.loads(read_text(path))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ConfigError(f"{path} is no JSON ({error}); expected annotations. Fetch the file again.") from None
    missing = [key for key in keys if not isinstance(content, dict) or key not in content]
    if missing:
        raise ConfigError(
            f"{path} has no {' and '.join(missing)}; expected an object with {', '.join(keys)}. Fetch the file again."
        )
    return content


def iterate_jsonl(path: Path) -> Iterator[tuple[int, Any]]:
    """Yield line number and value of each line. Raises :class:`ConfigError`."""
    for number, line in enumerate(read_text(path).split("\n"), start=1):
        if line.strip():
            try:
                yield number, json.loads(line)
            except json.JSONDecodeError as error:
                raise ConfigError(f"{path}, line {number}: no JSON ({error}). Correct the line.") from None
