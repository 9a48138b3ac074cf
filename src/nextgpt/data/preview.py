"""A page that shows and plays samples of a corpus, in any browser and without a network."""

from __future__ import annotations

import html
import random
from collections.abc import Iterable
from pathlib import Path

from nextgpt.data.corpus import Corpus
from nextgpt.data.record import MediaFile, Part, Record, dialogue_of, media_of
from nextgpt.errors import MediaError
from nextgpt.media.save_media import wrap_write_errors

PAGE = "index.html"
_TAGS = {
    "image": '<img src="{0}" alt="{1}">',
    "audio": '<audio controls src="{0}"></audio>',
    "video": '<video controls src="{0}"></video>',
}
_HEAD = """<!doctype html>
<html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>{title}</title>
<style>
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 46rem; margin: 2rem auto; padding: 0 1rem }}
article {{ border-top: 1px solid #ccc; padding: 1rem 0 }}
img, video {{ max-width: 100%; max-height: 20rem; display: block }}
.assistant {{ margin-left: 3rem }}
small, figcaption {{ color: #666 }}
figure {{ margin: .5rem 0 }}
.broken {{ color: #a00 }}
</style>
<h1>{title}</h1>
<p>{about}</p>
"""


def write_preview(corpus: Corpus, folder: Path, *, samples: int = 20, seed: int = 0) -> Path:
    """Write a page with random samples and their media into ``folder``; return the page's path."""
    chosen = random.Random(seed).sample(range(len(corpus.records)), min(samples, len(corpus.records)))
    about = f"{len(corpus.records):,} records of the format {corpus.format}; {len(corpus.invalid):,} rows are broken."
    with wrap_write_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        page = _HEAD.format(title=html.escape(corpus.name), about=about)
        page += "".join(_article(corpus.records[index], index, folder) for index in sorted(chosen))
        (folder / PAGE).write_text(page + "</html>\n", encoding="utf-8")
    return folder / PAGE


def _article(record: Record, index: int, folder: Path) -> str:
    names = {id(m): f"{index:06d}-{position}{Path(m.name).suffix}" for position, m in enumerate(media_of(record))}
    turns = dialogue_of(record, "captioning").turns
    turns_html = (
        f'<div class="{turn.role}"><b>{turn.role}</b> {_parts(turn.parts, names, folder)}</div>\n' for turn in turns
    )
    return f"<article><small>{html.escape(record.key)}</small>\n{''.join(turns_html)}</article>\n"


def _parts(parts: Iterable[Part], names: dict[int, str], folder: Path) -> str:
    return "".join(
        html.escape(part).replace("\n", "<br>") if isinstance(part, str) else _figure(part, names[id(part)], folder)
        for part in parts
    )


def _figure(medium: MediaFile, name: str, folder: Path) -> str:
    caption = html.escape(medium.caption)
    if medium.is_missing:
        return f"<figure class=broken>[{medium.modality}: {html.escape(medium.name)} is not there] {caption}</figure>"
    try:
        medium.open()
        (folder / name).write_bytes(medium.read())
    except MediaError as error:
        return f"<figure class=broken>[{medium.modality}: {html.escape(str(error))}] {caption}</figure>"
    tag = _TAGS[medium.modality].format(html.escape(name, quote=True), html.escape(medium.caption, quote=True))
    return f"<figure>{tag}<figcaption>{caption}</figcaption></figure>"
