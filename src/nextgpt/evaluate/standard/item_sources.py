"""Read evaluation items from a data folder: annotated media, edits, and requests with expected modalities.

A source lists all usable items; :func:`sample_items` takes a random subset by the seed. Items whose files are missing
are left out and counted.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from zlib import crc32

import numpy as np
from pydantic import Field, ValidationError

from nextgpt.errors import ConfigError
from nextgpt.evaluate.standard.annotations import Annotation, Corpus, iterate_jsonl, open_annotations
from nextgpt.evaluate.standard.items import (
    CAPTION_REQUESTS,
    EvalItem,
    Frozen,
    MediumEntry,
    TextEntry,
    medium,
    user_message,
)

Entry = TypeVar("Entry", bound=Frozen)

MISSING_FILE = "missing file"
_LEADING_WORD = re.compile(r"(A|An|The|Two|Three|Some|There|People|This)\b")
PLACEHOLDER = re.compile(r"<<(image|audio|video)\d+>>")


@dataclass
class Candidates:
    """Items of a data folder before sampling."""

    items: list[EvalItem] = field(default_factory=list)
    left_out: Counter[str] = field(default_factory=Counter)
    """Number of annotated items that cannot be used, by reason."""


ItemSource = Callable[[Path, str, int], Candidates]
"""``(data folder, name of the suite, seed) -> candidates``."""


def sample_items(candidates: Candidates, *, limit: int, seed: int) -> tuple[EvalItem, ...]:
    """Return at most ``limit`` items in random order by ``seed``."""
    order = np.random.default_rng([seed, 20]).permutation(len(candidates.items))[:limit]
    return tuple(candidates.items[index] for index in order)


def generation_source(corpora: Sequence[Corpus], request: str) -> ItemSource:
    """Return the source of text-to-media items: one caption per medium; ``request`` has the place ``{caption}``."""

    def items(data: Path, suite: str, seed: int) -> Candidates:
        def item(row: Annotation, path: str, corpus: Corpus, licence: str) -> EvalItem:
            caption = row.captions[crc32(f"{seed}/{row.key}".encode()) % len(row.captions)]
            return EvalItem(
                id=row.key,
                suite=suite,
                request=user_message(request.format(caption=inline_caption(caption))),
                target_caption=caption,
                canonical_caption=row.canonical_caption,
                reference_media=(medium(corpus.modality, path),),
                expected_modalities=(corpus.modality,),
                data_source=corpus.name,
                licence=licence,
            )

        return _annotated_items(data, corpora, item)

    return items


def captioning_source(corpora: Sequence[Corpus]) -> ItemSource:
    """Return the source of media-to-text items: all captions are references."""

    def items(data: Path, suite: str, seed: int) -> Candidates:
        def item(row: Annotation, path: str, corpus: Corpus, licence: str) -> EvalItem:
            source = medium(corpus.modality, path)
            instruction = CAPTION_REQUESTS[corpus.modality]
            return EvalItem(
                id=row.key,
                suite=suite,
                request=user_message(source, instruction),
                references=row.captions,
                source_medium=source,
                source_caption=row.canonical_caption or row.captions[0],
                instruction=instruction,
                data_source=corpus.name,
                licence=licence,
            )

        return _annotated_items(data, corpora, item)

    return items


MakeItem = Callable[[Annotation, str, Corpus, str], EvalItem]


def _annotated_items(data: Path, corpora: Sequence[Corpus], make: MakeItem) -> Candidates:
    corpus, annotations = open_annotations(data, corpora)
    result = Candidates(left_out=annotations.left_out)
    for row in annotations.rows:
        path = corpus.find_medium(data, row.names)
        if path is None:
            result.left_out[MISSING_FILE] += 1
        else:
            result.items.append(make(row, path, corpus, row.licence))
    if not result.items:
        names = ", ".join(annotations.rows[0].names[:2]) if annotations.rows else "any medium"
        raise ConfigError(
            f"{annotations.path} lists {len(annotations.rows)} media, of which 0 are in {data}; expected files such as "
            f"{names} in one of the folders {', '.join(folder or '.' for folder in corpus.media_folders)}."
        )
    return result


class EditEntry(Frozen):
    """A line of ``edits.jsonl``; paths are relative to the file."""

    id: str
    source: str
    """Medium that is edited."""
    instruction: str
    target_caption: str
    target: str = ""
    """True result, if there is one."""
    mask: str = ""
    """Image, white where the edit may change the source, if there is one."""
    source_caption: str = ""
    canonical_caption: str = ""
    licence: str = ""


def edit_source(modality: str) -> ItemSource:
    """Return the source of edits of one modality, read from ``edits.jsonl``."""

    def items(data: Path, suite: str, seed: int) -> Candidates:
        file = _find_file(data, suite, "edits.jsonl")
        result = Candidates()
        for row in _entries(file, EditEntry):
            source = medium(modality, _relative(file, row.source, data))
            target = (medium(modality, _relative(file, row.target, data)),) if row.target else ()
            item = EvalItem(
                id=row.id,
                suite=suite,
                request=user_message(source, row.instruction),
                target_caption=row.target_caption,
                canonical_caption=row.canonical_caption,
                reference_media=target,
                source_medium=source,
                source_caption=row.source_caption,
                instruction=row.instruction,
                mask=_relative(file, row.mask, data) if row.mask else "",
                expected_modalities=(modality,),
                data_source=file.parent.name,
                licence=row.licence,
            )
            _add_if_complete(result, item, data)
        return _require_items(result, file)

    return items


class RequestEntry(Frozen):
    """A line of ``requests.jsonl``; paths are relative to the file."""

    id: str
    request: tuple[TextEntry | MediumEntry, ...]
    expected: tuple[str, ...]
    """Modalities of a correct answer's media, in order; empty if it is text only."""


def request_source(data: Path, suite: str, seed: int) -> Candidates:
    """Read requests with expected modalities from ``requests.jsonl``."""
    file = _find_file(data, suite, "requests.jsonl")
    result = Candidates()
    for row in _entries(file, RequestEntry):
        parts = [
            part.text if isinstance(part, TextEntry) else medium(part.type, _relative(file, part.path, data))
            for part in row.request
        ]
        item = EvalItem(
            id=row.id,
            suite=suite,
            request=user_message(*parts),
            instruction="".join(part for part in parts if isinstance(part, str)),
            expected_modalities=row.expected,
            data_source=file.parent.name,
        )
        _add_if_complete(result, item, data)
    return _require_items(result, file)


class InterleavedEntry(Frozen):
    """A line of ``interleaved.jsonl``: text with placeholders such as ``<<image1>>``, and a file per placeholder."""

    id: str
    input: str
    output: str
    media: dict[str, str] = Field(default_factory=dict)
    """Path of each placeholder's medium, relative to the file; those of the output may be missing."""


def interleaved_source(data: Path, suite: str, seed: int) -> Candidates:
    """Read interleaved requests and answers from ``interleaved.jsonl``."""
    file = _find_file(data, suite, "interleaved.jsonl")
    result = Candidates()
    for row in _entries(file, InterleavedEntry):
        names = [match.group(0)[2:-2] for match in PLACEHOLDER.finditer(row.input)]
        if unknown := [name for name in names if name not in row.media]:
            result.left_out[f"placeholder without a file: {unknown[0]}"] += 1
            continue
        expected = tuple(match.group(1) for match in PLACEHOLDER.finditer(row.output))
        item = EvalItem(
            id=row.id,
            suite=suite,
            request=user_message(*_interleave(row, file, data)),
            instruction=PLACEHOLDER.sub("", row.input).strip(),
            expected_modalities=expected,
            data_source=file.parent.name,
        )
        _add_if_complete(result, item, data)
    return _require_items(result, file)


def _interleave(row: InterleavedEntry, file: Path, data: Path) -> Iterator[str | MediumEntry]:
    """Yield text and media of the input in order."""
    position = 0
    for match in PLACEHOLDER.finditer(row.input):
        if text := row.input[position : match.start()].strip():
            yield text
        yield medium(match.group(1), _relative(file, row.media[match.group(0)[2:-2]], data))
        position = match.end()
    if text := row.input[position:].strip():
        yield text


def inline_caption(caption: str) -> str:
    """Return a caption as part of a sentence: ``"A red cat."`` becomes ``"a red cat"``."""
    caption = caption.strip().rstrip(".").strip()
    return caption[:1].lower() + caption[1:] if _LEADING_WORD.match(caption) else caption


def _find_file(data: Path, suite: str, name: str) -> Path:
    candidates = [data / suite / name, data / name]
    for path in candidates:
        if path.is_file():
            return path
    raise ConfigError(f"{data} has no {suite}/{name}; expected one JSON object per line. See docs/evaluation.md.")


def _entries(file: Path, kind: type[Entry]) -> Iterator[Entry]:
    for number, value in iterate_jsonl(file):
        try:
            yield kind.model_validate(value)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(map(str, first["loc"])) or "the line"
            raise ConfigError(
                f"{file}, line {number}, {place}: {first['msg']}; expected the fields of {kind.__name__}. Correct it."
            ) from None


def _relative(file: Path, name: str, data: Path) -> str:
    return (file.parent / name).relative_to(data).as_posix()


def _add_if_complete(result: Candidates, item: EvalItem, data: Path) -> None:
    if all((data / path).is_file() for path in item.paths):
        result.items.append(item)
    else:
        result.left_out[MISSING_FILE] += 1


def _require_items(result: Candidates, file: Path) -> Candidates:
    if not result.items:
        reasons = ", ".join(f"{reason}: {count}" for reason, count in result.left_out.items()) or "it is empty"
        raise ConfigError(f"{file} has no usable item ({reasons}); expected media beside it. Fetch the files.")
    return result
