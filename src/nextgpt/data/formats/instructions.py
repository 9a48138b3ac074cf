"""Corpora of dialogues: LLaVA-Instruct, VideoChat, Alpaca, and the published project's T2M and MosIT.

Markers of media in words, ``<image>`` or ``<Image>name</Image>``, become the media themselves.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from nextgpt.data.corpus_file import CorpusFile, Row
from nextgpt.data.formats.base import Format, row_key
from nextgpt.data.record import Dialogue, MediaFile, Part, Turn
from nextgpt.message import Role
from nextgpt.modality import MODALITIES

ROLES: dict[str, Role] = {
    "human": "user", "user": "user", "gpt": "assistant", "assistant": "assistant", "system": "system",
}  # fmt: skip
_JSON = ("json", "jsonl")
"""Published files are JSON lists; people also keep them as one row per line."""
_MARKER = re.compile(r"<(image|audio|video)>")
_NAMED = re.compile(r"<(Image|Audio|Video)>(.*?)</\1>", re.DOTALL)


def _role(turn: Mapping) -> Role:
    """Return the role of a turn, whose spelling may have capitals. Raises ``ValueError`` if it is unknown."""
    name = turn["from"]
    role = ROLES.get(name.lower()) if isinstance(name, str) else None
    if role is None:
        raise ValueError(f"a turn is from {name!r}; expected one of {', '.join(ROLES)}")
    return role


def splice_media(text: str, media: list[MediaFile], *, rest_first: bool) -> tuple[Part, ...]:
    """Replace markers in ``text`` by items of ``media``; remaining media go before or after the text."""
    parts: list[Part] = []
    position = 0
    for marker in _MARKER.finditer(text):
        medium = next((medium for medium in media if medium.modality == marker[1]), None)
        if medium is None:
            raise ValueError(f"a marker <{marker[1]}> has no medium")
        media.remove(medium)
        parts += [text[position : marker.start()].strip(), medium]
        position = marker.end()
    parts.append(text[position:].strip())
    rest = list(media)
    media.clear()
    together = [*rest, *parts] if rest_first else [*parts, *rest]
    return tuple(part for part in together if part != "")


def _take_media_for_markers(text: str, media: list[MediaFile]) -> list[MediaFile]:
    """Take from ``media`` as many as the text has markers."""
    matches = []
    for marker in _MARKER.finditer(text):
        medium = next((medium for medium in media if medium.modality == marker[1]), None)
        if medium is not None:
            media.remove(medium)
            matches.append(medium)
    return matches


def parse_sharegpt(
    key: str, messages: Sequence[Mapping], inputs: list[MediaFile], outputs: list[MediaFile], name: str = "value"
) -> Dialogue:
    """Parse turns ``{"from", "value"}``; media without marker go first in user turns, last in assistant turns.

    Raises:
        ValueError: A marker has no medium, or there is no assistant turn.
    """
    inputs, outputs, turns = list(inputs), list(outputs), []
    has_markers = any(_MARKER.search(turn[name]) for turn in messages if _role(turn) == "assistant")
    for index, turn in enumerate(messages):
        role, text = _role(turn), turn[name]
        if role != "assistant":
            matches = _take_media_for_markers(text, inputs)
            matches = [*inputs, *matches] if index == 0 and not _MARKER.search(text) else matches
            turns.append(Turn(role, splice_media(text, matches, rest_first=True)))
        else:
            is_last = index == len(messages) - 1
            matches = _take_media_for_markers(text, outputs) if has_markers else (outputs if is_last else [])
            turns.append(Turn(role, splice_media(text, matches, rest_first=False)))
    if not any(turn.role == "assistant" and turn.parts for turn in turns):
        raise ValueError("no assistant turn")
    return Dialogue(key, tuple(turn for turn in turns if turn.parts))


def _list(value: object) -> list:
    return list(value) if isinstance(value, list) else [] if value in (None, "") else [value]


def _parse_llava(row: Row, document: CorpusFile) -> Iterator[Dialogue]:
    inputs = [
        MediaFile(modality, document.find_media(modality, name))
        for modality in MODALITIES
        for name in _list(row.get(modality))
    ]
    yield parse_sharegpt(row_key(row, str(row.get("image", "?"))), row["conversations"], inputs, [])


def _parse_published(row: Row, document: CorpusFile) -> Iterator[Dialogue]:
    """Comprehension, generation and tuning files: ``input_image``, ``output_image``, ``image_captions``, ..."""
    inputs, outputs = [], []
    for modality in MODALITIES:
        inputs += [MediaFile(modality, document.find_media(modality, n)) for n in _list(row.get(f"input_{modality}"))]
        captions = _list(row.get(f"{modality}_captions"))
        embeddings = [Path(name).name.removesuffix(".npy") for name in _list(row.get(f"{modality}_caption_embeddings"))]
        names = _list(row.get(f"output_{modality}")) or embeddings or [f"{modality}-{i}" for i in range(len(captions))]
        if len(captions) < len(names):
            raise ValueError(f"{len(names)} {modality} files have {len(captions)} captions")
        outputs += [
            MediaFile(modality, document.find_media(modality, name), caption=caption)
            for name, caption in zip(names, captions, strict=False)
        ]
    first = next((medium.name for medium in (*outputs, *inputs)), "?")
    yield parse_sharegpt(row_key(row, first), row["conversations"], inputs, outputs)


def _parse_legacy(row: Row, document: CorpusFile) -> Iterator[Dialogue]:
    """Parse the older form: turns name the input or output modality and hold the caption."""
    name = row.get("mm_name") or row.get("image_name") or row.get("video_name") or row.get("audio_name")
    turns = []
    for turn in row["conversation"]:
        role = _role(turn)
        words: list[Part] = [turn["value"].strip()] if turn["value"].strip() else []
        modality = turn.get("output_modality" if role == "assistant" else "input_modality", "text")
        if modality in MODALITIES and name:
            medium = MediaFile(modality, document.find_media(modality, name), caption=turn.get("caption", ""))
            words = [*words, medium] if role == "assistant" else [medium, *words]
        turns.append(Turn(role, tuple(words)))
    if not any(turn.role == "assistant" and turn.parts for turn in turns):
        raise ValueError("no assistant turn")
    yield Dialogue(str(name or row_key(row, "?")), tuple(turn for turn in turns if turn.parts))


def _parse_mosit(row: Row, document: CorpusFile) -> Iterator[Dialogue]:
    """Parse the published MosIT: ``<Image>name</Image>`` in the text, captions in separate lists."""
    captions = {
        item[f"{modality}_name"]: item.get("caption", "")
        for modality in MODALITIES
        for item in row.get(f"{modality}_list", [])
    }
    turns = []
    for turn in row["conversation"]:
        parts: list[Part] = []
        position, text = 0, turn["value"]
        for marker in _NAMED.finditer(text):
            name, modality = marker[2].strip(), marker[1].lower()
            if name not in captions:
                raise ValueError(f"<{marker[1]}>{name}</{marker[1]}> is not in {modality}_list")
            medium = MediaFile(modality, document.find_media(modality, name), caption=captions[name])
            parts += [text[position : marker.start()].strip(), medium]
            position = marker.end()
        parts.append(text[position:].strip())
        turns.append(Turn(_role(turn), tuple(part for part in parts if part != "")))
    first = next(iter(captions), "?")
    yield Dialogue(row_key(row, Path(first).stem), tuple(turn for turn in turns if turn.parts))


def _parse_videochat(row: Row, document: CorpusFile) -> Iterator[Dialogue]:
    video = MediaFile("video", document.find_media("video", row["video"]))
    turns = []
    for index, pair in enumerate(row["QA"]):
        asked = " ".join(piece for piece in (pair.get("i", "") if index == 0 else "", pair["q"]) if piece)
        turns += [Turn("user", (video, asked) if index == 0 else (asked,)), Turn("assistant", (pair["a"],))]
    if not turns:
        raise ValueError("no question")
    yield Dialogue(str(row["video"]), tuple(turns))


def _parse_alpaca(row: Row, document: CorpusFile) -> Iterator[Dialogue]:
    if not row["output"].strip():
        raise ValueError("the output is empty")
    asked = "\n".join(piece for piece in (row["instruction"], row.get("input", "")) if piece)
    yield Dialogue(row_key(row, asked[:40]), (Turn("user", (asked,)), Turn("assistant", (row["output"],))))


_PUBLISHED = frozenset(f"{side}_{modality}" for side in ("input", "output") for modality in MODALITIES) | frozenset(
    f"{modality}_captions" for modality in MODALITIES
)
FORMATS = (
    Format(
        "mosit", "MosIT as published: media names in the text", _JSON, frozenset({"conversation"}), _parse_mosit,
        any_of=frozenset(f"{modality}_list" for modality in MODALITIES),
    ),
    Format("t2m_legacy", "T2M, LLaVA and Alpaca in the older form of the published NExT-GPT", _JSON,
           frozenset({"conversation"}), _parse_legacy),
    Format(
        "nextgpt", "T2M, MosIT, comprehension and generation in the newer form of the published NExT-GPT", _JSON,
        frozenset({"conversations"}), _parse_published, any_of=_PUBLISHED,
    ),
    Format("videochat", "VideoChat", _JSON, frozenset({"video", "QA"}), _parse_videochat),
    Format("alpaca", "Alpaca", _JSON, frozenset({"instruction", "output"}), _parse_alpaca),
    Format("llava", "LLaVA-Instruct, official keys", _JSON, frozenset({"conversations"}), _parse_llava),
)  # fmt: skip
