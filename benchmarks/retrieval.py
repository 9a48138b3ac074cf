"""Retrieve always, generate always, or choose: how often a reply's medium is what was requested.

    python benchmarks/retrieval.py miniworld --work out/retrieval [--items 1500] [--cases 60]
    python benchmarks/retrieval.py stamps --work out/stamps --package FOLDER

``miniworld``: an index of rendered media of the training split. Requests for contents of the index, and for held-out
contents, which no index item has. A medium is correct if the judge reads every attribute of the request in it.

``stamps``: an index of the photographs and drawings of Debian's tuxpaint-stamps-default, unpacked into FOLDER with
``dpkg -x``. Requests name the objects of the small world that some caption names. A retrieved image is correct if its
caption names the object, a generated one if the judge recognizes the object.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from nextgpt.data.corpus import read_corpus
from nextgpt.data.index import MediaIndex
from nextgpt.data.index.build import build_index
from nextgpt.data.index.calibration import calibrate
from nextgpt.data.record import CaptionPair, MediaFile
from nextgpt.data.writers import write_jsonl
from nextgpt.evaluate.score import Score
from nextgpt.logging import silence_libraries
from nextgpt.message import Conversation, Medium, Reply, Sampling, Via
from nextgpt.miniworld.judge.media_judge import recognize_media
from nextgpt.miniworld.language import canonical_caption
from nextgpt.miniworld.language.descriptions import describe, in_reading_order
from nextgpt.miniworld.language.lexicon import indefinite, noun
from nextgpt.miniworld.language.types import attributes
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.render import render
from nextgpt.miniworld.sample_specs import sample_clip, sample_scene, sample_sound
from nextgpt.miniworld.specs import MediaSpec
from nextgpt.model.nextgpt import NextGPT

ASK = {"image": "Draw", "audio": "Play me", "video": "Show me a clip of"}
DRAW: dict[str, Callable[..., MediaSpec]] = {
    "image": sample_scene,
    "audio": sample_sound,
    "video": lambda rng, split: sample_clip(rng, split, with_sound=False),
}
SUFFIXES = {"image": "png", "audio": "wav", "video": "mp4"}
VIAS: tuple[Via, ...] = ("retrieve", "generate", "auto")
BATCH_SIZE = 32


@dataclass(frozen=True)
class Case:
    """A request, and the check of a medium that answers it."""

    name: str
    """Row of the table."""
    modality: str
    request: str
    is_correct: Callable[[Medium, str | None], bool]
    """Takes the medium, and the caption of a retrieved one."""


@dataclass(frozen=True)
class Row:
    """A score of one way to answer."""

    via: str
    retrieved: float
    """Share of the media that were retrieved."""
    score: Score


def evaluate(model: NextGPT, index: MediaIndex, cases: Sequence[Case]) -> list[Row]:
    """Answer all cases in every way."""
    rows = []
    for via in VIAS:
        outcomes: dict[str, list[tuple[bool, bool]]] = {}
        for start in range(0, len(cases), BATCH_SIZE):
            batch = cases[start : start + BATCH_SIZE]
            conversations = [Conversation().with_message(case.request) for case in batch]
            samplings = [Sampling(seed=start + n, modalities=("text", case.modality)) for n, case in enumerate(batch)]
            replies = model.chat_batch(conversations, samplings, via=via, index=index)
            for case, reply in zip(batch, replies, strict=True):
                outcomes.setdefault(case.name, []).append(_outcome(case, reply))
            print(f"{via}: {start + len(batch)} of {len(cases)}", file=sys.stderr)
        for name, results in outcomes.items():
            score = Score.from_outcomes(name, [is_correct for is_correct, _ in results])
            rows.append(Row(via, sum(is_retrieved for _, is_retrieved in results) / len(results), score))
    return rows


def _outcome(case: Case, reply: Reply) -> tuple[bool, bool]:
    """Return whether the first medium is correct, and whether it was retrieved."""
    for position, part in enumerate(reply.parts):
        if part.modality == case.modality:
            attribution = reply.attributions.get(position)
            return case.is_correct(part, attribution.caption if attribution else None), attribution is not None
    return False, False


def miniworld_index(work: Path, items: int) -> tuple[MediaIndex, dict[str, list[MediaSpec]]]:
    """Render a corpus of the training split and index it; continues what was interrupted."""
    corpora, specs = [], {}
    for modality, draw in DRAW.items():
        rng = np.random.default_rng([0, len(modality)])
        drawn = {canonical_caption(spec): spec for spec in (draw(rng, "train") for _ in range(items))}
        specs[modality] = list(drawn.values())
        path = work / f"{modality}.jsonl"
        if not path.is_file():
            folder = work / modality
            folder.mkdir(parents=True, exist_ok=True)
            write_jsonl(_rendered(specs[modality], modality, folder), path)
        corpora.append(read_corpus(path))
    return _index(corpora, work / "index", source="the small world", licence="Apache-2.0"), specs


def _rendered(specs: Sequence[MediaSpec], modality: str, folder: Path) -> Iterator[CaptionPair]:
    for number, spec in enumerate(specs):
        path = render(spec).save(folder / f"{number}.{SUFFIXES[modality]}")
        yield CaptionPair(str(number), MediaFile(modality, path, caption=canonical_caption(spec)))


def _index(corpora: list, out: Path, **texts: str) -> MediaIndex:
    build_index(corpora, out, on_progress=lambda *counts: print(*counts, file=sys.stderr), **texts)
    return MediaIndex.open(out)


def miniworld_cases(specs: dict[str, list[MediaSpec]], count: int) -> list[Case]:
    """Return requests for contents of the index, and for held-out contents."""
    cases = []
    for modality, draw in DRAW.items():
        rng = np.random.default_rng([1, len(modality)])
        indexed = [specs[modality][int(n)] for n in rng.permutation(len(specs[modality]))[:count]]
        held_out = [draw(rng, "test") for _ in range(count)]
        for group, drawn in (("indexed", indexed), ("held out", held_out)):
            cases += [_miniworld_case(f"{modality}, {group}", modality, spec) for spec in drawn]
    return cases


def _miniworld_case(name: str, modality: str, spec: MediaSpec) -> Case:
    wanted = attributes(in_reading_order(spec))

    def is_correct(medium: Medium, _: str | None) -> bool:
        return attributes(recognize_media([medium])[0]) == wanted

    return Case(name, modality, f"{ASK[modality]} {describe(spec)}.", is_correct)


def stamps_index(package: Path, work: Path) -> MediaIndex:
    """Index the images of the unpacked package; the text file beside an image begins with its English caption."""
    path = work / "stamps.jsonl"
    if not path.is_file():
        work.mkdir(parents=True, exist_ok=True)
        write_jsonl(_stamps(package), path)
    return _index([read_corpus(path)], work / "index", source="tuxpaint-stamps-default", licence="GPL-2+")


def _stamps(package: Path) -> Iterator[CaptionPair]:
    for image in sorted(package.rglob("stamps/**/*.png")):
        text = image.with_suffix(".txt")
        caption = text.read_text(encoding="utf-8", errors="replace").splitlines()[0].strip() if text.is_file() else ""
        if caption:
            yield CaptionPair(image.relative_to(package).as_posix(), MediaFile("image", image, caption=caption))


def stamps_cases(index: MediaIndex) -> list[Case]:
    """Return a request per object of the small world that some caption names."""
    captions = [index.item(number)[1].caption for number in index.numbers("image")]
    named = [name for name in OBJECTS if any(names(caption, name) for caption in captions)]
    return [Case("stamps", "image", f"Draw {indefinite(noun(name))}.", _stamp_check(name)) for name in named]


def _stamp_check(name: str) -> Callable[[Medium, str | None], bool]:
    def is_correct(medium: Medium, caption: str | None) -> bool:
        if caption is not None:
            return names(caption, name)
        return any(placed.object == name for placed in recognize_media([medium])[0].objects)

    return is_correct


def names(caption: str, name: str) -> bool:
    """Return whether a caption contains a name as words, in singular or plural."""
    return re.search(rf"\b{re.escape(noun(name))}s?\b", caption, flags=re.I) is not None


def main() -> None:
    """Print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("suite", choices=("miniworld", "stamps"))
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--package", type=Path)
    parser.add_argument("--items", type=int, default=1500)
    parser.add_argument("--cases", type=int, default=60)
    parser.add_argument("--calibration-cases", type=int, default=40)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    silence_libraries()
    model = NextGPT.from_pretrained("nano")
    if options.suite == "miniworld":
        index, specs = miniworld_index(options.work, options.items)
        cases = miniworld_cases(specs, options.cases)
    else:
        index = stamps_index(options.package, options.work)
        cases = stamps_cases(index)
    if not index.thresholds:
        calibrate(
            index, model, limit=options.calibration_cases, on_progress=lambda *counts: print(*counts, file=sys.stderr)
        )
        index = MediaIndex.open(index.folder)
    rows = evaluate(model, index, cases)
    if options.json:
        found = {"items": len(index), "thresholds": index.thresholds, "rows": [asdict(row) for row in rows]}
        json.dump(found, sys.stdout)
        return
    print(f"{len(index)} items; thresholds of auto: {index.thresholds}")
    for row in sorted(rows, key=lambda row: row.score.name):
        score = row.score
        print(
            f"{score.name:<18}{row.via:<10}{100 * score.value:.1f} % ({100 * score.low:.1f} - {100 * score.high:.1f}), "
            f"{score.cases} cases, retrieved {100 * row.retrieved:.0f} %"
        )


if __name__ == "__main__":
    main()
