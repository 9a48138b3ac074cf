"""Corpora of media with captions: CC3M, WebVid, AudioCaps, COCO, MSR-VTT, MiniGPT-4, and tars of such pairs."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace

from nextgpt.data.corpus_file import NOT_UTF8, CorpusFile, Row, has_invalid_bytes
from nextgpt.data.formats.base import Format, Read, row_key
from nextgpt.data.record import CaptionPair, InvalidRecord, MediaFile


def caption_text(caption: object) -> str:
    """Return a caption with single blanks. Raises ``ValueError`` if it is empty or no text."""
    if caption is None or (isinstance(caption, float) and math.isnan(caption)):  # pandas writes NaN
        raise ValueError("the caption is empty")
    if not isinstance(caption, str | int | float):
        raise ValueError(f"the caption is a {type(caption).__name__}; expected text")
    words = " ".join(str(caption).split())
    if not words:
        raise ValueError("the caption is empty")
    if has_invalid_bytes(words):
        raise ValueError(f"the caption {NOT_UTF8}")
    return words


def pair(
    document: CorpusFile,
    modality: str,
    key: object,
    caption: object,
    *names: object,
    source: object = None,
    licence: object = None,
) -> CaptionPair:
    """Build a pair whose medium has one of these names. Raises ``ValueError`` if the caption is empty or no text."""
    words = caption_text(caption)
    path = document.find_media(modality, *map(str, names))
    medium = MediaFile(modality, path, caption=words, source=str(source or ""), licence=str(licence or ""))
    return CaptionPair(str(key), medium)


def _named(modality: str, key: str, name: str) -> Read:
    """Rows that name their medium: the published project's own lists."""

    def read(row: Row, document: CorpusFile) -> Iterator[CaptionPair]:
        yield pair(document, modality, row.get(key, row[name]), row["caption"], row[name])

    return read


def _webvid_csv(row: Row, document: CorpusFile) -> Iterator[CaptionPair]:
    number = row["videoid"]
    name = f"{row.get('page_dir', '')}/{number}".lstrip("/")
    yield pair(document, "video", number, row["name"], name, number, source=row.get("contentUrl"))


def _audiocaps_csv(row: Row, document: CorpusFile) -> Iterator[CaptionPair]:
    start = row.get("start_time", "0")
    names = (row["audiocap_id"], row["youtube_id"], f"{row['youtube_id']}_{start}", f"Y{row['youtube_id']}")
    source = f"https://www.youtube.com/watch?v={row['youtube_id']}&t={start}"
    yield pair(document, "audio", row["audiocap_id"], row["caption"], *names, source=source)


def _coco_rows(document: CorpusFile) -> Iterator[Row | InvalidRecord]:
    images = {image["id"]: image for image in document.content["images"]}
    licences = {licence.get("id"): licence.get("name") for licence in document.content.get("licenses", ())}
    for annotation in document.content["annotations"]:
        image = images.get(annotation.get("image_id"), {})
        yield annotation | {
            "file_name": image.get("file_name"),
            "source": image.get("flickr_url") or image.get("coco_url"),
            "licence": licences.get(image.get("license")),
        }


def _coco(row: Row, document: CorpusFile) -> Iterator[CaptionPair]:
    if row["file_name"] is None:
        raise ValueError(f"image_id {row['image_id']} is not among the images")
    name = row["file_name"]
    folders = ("train2014", "val2014", "train2017", "val2017")
    names = (name, *(f"{folder}/{name}" for folder in folders))
    yield pair(document, "image", row["id"], row["caption"], *names, source=row["source"], licence=row["licence"])


def _msrvtt_rows(document: CorpusFile) -> Iterator[Row | InvalidRecord]:
    known = {video["video_id"] for video in document.content["videos"]}
    for sentence in document.content["sentences"]:
        yield sentence | {"is_known": sentence.get("video_id") in known}


def _msrvtt(row: Row, document: CorpusFile) -> Iterator[CaptionPair]:
    if not row["is_known"]:
        raise ValueError(f"video_id {row['video_id']} is not among the videos")
    video = row["video_id"]
    yield pair(document, "video", row["sen_id"], row["caption"], video, f"TrainValVideo/{video}")


def _minigpt4_rows(document: CorpusFile) -> Iterator[Row | InvalidRecord]:
    yield from document.content["annotations"]


def _minigpt4(row: Row, document: CorpusFile) -> Iterator[CaptionPair]:
    yield pair(document, "image", row["image_id"], row["caption"], row["image_id"])


def _tar(row: Row, document: CorpusFile) -> Iterator[CaptionPair]:
    about = json.loads(row.get("json") or "{}")
    caption = row.get("txt") or about.get("caption") or ""
    media = [part for part in row.values() if isinstance(part, MediaFile)]
    if not media:
        raise ValueError(f"no medium: {about.get('error_message') or 'only ' + ', '.join(row)}")
    words = caption_text(caption)
    texts = {"caption": words, "source": str(about.get("url") or ""), "licence": str(about.get("license") or "")}
    # A video may have its audio track beside it; a video or image is what the caption describes.
    medium = next((part for part in media if part.modality != "audio"), media[0])
    yield CaptionPair(row_key(row, "?"), replace(medium, **texts))


FORMATS = (
    Format("coco_captions", "COCO captions", ("json",), frozenset({"images", "annotations"}), _coco, _coco_rows),
    Format("msrvtt", "MSR-VTT", ("json",), frozenset({"videos", "sentences"}), _msrvtt, _msrvtt_rows),
    Format("minigpt4", "MiniGPT-4, second stage", ("json",), frozenset({"annotations"}), _minigpt4, _minigpt4_rows),
    Format(
        "cc3m_json", "CC3M, list of images", ("json",), frozenset({"image_name", "caption"}),
        _named("image", "id", "image_name"),
    ),
    Format(
        "webvid_json", "WebVid, list of videos", ("json",), frozenset({"video_name", "caption"}),
        _named("video", "id", "video_name"),
    ),
    Format(
        "audiocaps_json", "AudioCaps, list of sounds", ("json",), frozenset({"audio_name", "caption"}),
        _named("audio", "audio_id", "audio_name"),
    ),
    Format("webvid_csv", "WebVid, official CSV", ("csv",), frozenset({"videoid", "name"}), _webvid_csv),
    Format(
        "audiocaps_csv", "AudioCaps, official CSV", ("csv",), frozenset({"audiocap_id", "youtube_id", "caption"}),
        _audiocaps_csv,
    ),
    Format(
        "caption_tar", "img2dataset and video2dataset tars (CC3M, WebVid): medium, txt, json", ("tar",),
        frozenset({"__key__"}), _tar,
    ),
)  # fmt: skip
