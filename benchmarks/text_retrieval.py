"""Find held-out media of the small world by words: recall among all held-out media that were rendered.

    python benchmarks/text_retrieval.py [--model nano] [--cases 300] [--gallery 500] [--json]

No training of any component has seen these combinations of attributes. ``templates``: captions of the small world's
held-out templates, which may omit attributes. ``people``: noun phrases and whole requests of the development authors.
By the encoder's text tower, words are compared with media (``media``) and with the canonical captions of the media
(``captions``); by the text encoder of the synthesizer, which knows canonical captions only, with the same captions
(``conditions``).
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass

import numpy as np

from nextgpt.data.index.encoders import IndexEncoders, normalize
from nextgpt.evaluate.score import Score
from nextgpt.logging import silence_libraries
from nextgpt.miniworld.language import canonical_caption
from nextgpt.miniworld.language.captions import caption
from nextgpt.miniworld.language.dialogue_state import sample_spec
from nextgpt.miniworld.language.phrasings import Author, load_authors
from nextgpt.miniworld.language.phrasings.requests import sample_request
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import MediaSpec

RANKS = (1, 5)
MODALITIES = ("image", "audio", "video")
REQUEST_INTENTS = {"image": "image", "audio": "audio", "video": "video_ing"}
DRAWS_PER_MEDIUM = 20
"""Draws after which a gallery stays smaller than requested: there are few different sounds."""


@dataclass(frozen=True)
class Query:
    """Words that describe a medium."""

    words: str
    spec: MediaSpec


@dataclass(frozen=True)
class Row:
    """Recall of one kind of words, compared in one way."""

    modality: str
    words: str
    compared_with: str
    rank: int
    gallery: int
    recall: Score


def draw_queries(rng: np.random.Generator, modality: str, count: int) -> dict[str, list[Query]]:
    """Return queries for held-out media by the kind of their words."""
    specs = [sample_spec(rng, modality, "test") for _ in range(count)]
    people = _draw_phrases(rng, modality, load_authors("dev"))
    return {
        "templates": [Query(caption(spec, rng, "test"), spec) for spec in specs],
        "people": [next(people) for _ in range(count)],
    }


def _draw_phrases(rng: np.random.Generator, modality: str, authors: Sequence[Author]) -> Iterator[Query]:
    """Yield noun phrases, and requests that contain one."""
    while True:
        state = PhrasedState(rng, "test", author=authors[int(rng.integers(len(authors)))])
        request = sample_request(state, modality)
        if request is not None:
            is_request = state.bernoulli(0.5)
            intent = REQUEST_INTENTS[modality]
            words = state.phrase_request(intent, what=request.phrase) if is_request else request.phrase
            yield Query(words, request.spec)


def draw_gallery(rng: np.random.Generator, modality: str, wanted: Sequence[MediaSpec], size: int) -> list[MediaSpec]:
    """Return the different specs of all queries, and further held-out ones."""
    gallery = dict.fromkeys(wanted)
    for _ in range(DRAWS_PER_MEDIUM * size):
        if len(gallery) >= size:
            break
        gallery.setdefault(sample_spec(rng, modality, "test"))
    return list(gallery)


def measure(encoders: IndexEncoders, modality: str, cases: int, size: int, seed: int) -> Iterator[Row]:
    """Yield the recall of both kinds of words, compared in both ways."""
    rng = np.random.default_rng([seed, MODALITIES.index(modality)])
    queries = draw_queries(rng, modality, cases)
    gallery = draw_gallery(rng, modality, [query.spec for group in queries.values() for query in group], size)
    number = {spec: index for index, spec in enumerate(gallery)}
    captions = [canonical_caption(spec) for spec in gallery]
    conditions = encoders.embed_captions(captions, modality)
    mean = conditions.mean(axis=0)
    tables = {
        "media": encoders.embed_media([render(spec) for spec in gallery]),
        "captions": encoders.embed_words(captions),
        "conditions": normalize(conditions - mean),
    }
    for kind, group in queries.items():
        words = [query.words for query in group]
        vectors = encoders.embed_words(words)
        by_synthesizer = normalize(encoders.embed_captions(words, modality) - mean)
        embedded = {"media": vectors, "captions": vectors, "conditions": by_synthesizer}
        targets = np.array([number[query.spec] for query in group])
        for name, table in tables.items():
            scores = embedded[name] @ table.T  # (cases, gallery)
            better = (scores > scores[np.arange(len(targets)), targets][:, None]).sum(axis=1)
            for rank in RANKS:
                recall = Score.from_outcomes(f"{modality}.{kind}.{name}@{rank}", (better < rank).tolist())
                yield Row(modality, kind, name, rank, len(gallery), recall)


def main() -> None:
    """Print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--cases", type=int, default=300, help="Per modality and kind of words.")
    parser.add_argument("--gallery", type=int, default=500, help="Media per modality, or those of all queries.")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    silence_libraries()
    encoders = IndexEncoders(options.model)
    rows = [
        row
        for modality in MODALITIES
        for row in measure(encoders, modality, options.cases, options.gallery, options.seed)
    ]
    if options.json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    for row in rows:
        score = row.recall
        print(
            f"{row.modality:<6} {row.words:<10} {row.compared_with:<10} recall@{row.rank} of {row.gallery}: "
            f"{100 * score.value:.1f} % ({100 * score.low:.1f} - {100 * score.high:.1f}), {score.cases} cases"
        )


if __name__ == "__main__":
    main()
