"""Statistics of a corpus from its text and file sizes alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nextgpt.data.corpus import Corpus
from nextgpt.data.record import CaptionPair, Dialogue, media_of


@dataclass(frozen=True)
class Statistics:
    """Numbers of a corpus."""

    format: str
    pairs: int
    dialogues: int
    invalid_rows: int
    turns_mean: float
    """Messages per dialogue."""
    words_mean: float
    """Words per record; for a pair, of its caption."""
    words_p95: int
    """95th percentile of the words per record."""
    input_media: dict[str, int]
    """Media of user messages, by modality."""
    output_media: dict[str, int]
    """Media of assistant messages, by modality."""
    caption_pairs: dict[str, int]
    """Media of pairs, by modality."""
    media_bytes: int
    missing: int
    """Media without a file."""


def compute_statistics(corpus: Corpus) -> Statistics:
    """Count the contents of a corpus; opens no medium."""
    dialogues = [record for record in corpus.records if isinstance(record, Dialogue)]
    pairs = [record for record in corpus.records if isinstance(record, CaptionPair)]
    words = [len(pair.caption.split()) for pair in pairs]
    words += [len(dialogue.text.split()) for dialogue in dialogues]
    media = [medium for record in corpus.records for medium in media_of(record)]
    return Statistics(
        corpus.format,
        pairs=len(pairs),
        dialogues=len(dialogues),
        invalid_rows=len(corpus.invalid),
        turns_mean=_mean([len(dialogue.turns) for dialogue in dialogues]),
        words_mean=_mean(words),
        words_p95=sorted(words)[int(0.95 * (len(words) - 1))],
        input_media=dict(Counter(m.modality for dialogue in dialogues for m in dialogue.input_media)),
        output_media=dict(Counter(m.modality for dialogue in dialogues for m in dialogue.output_media)),
        caption_pairs=dict(Counter(pair.medium.modality for pair in pairs)),
        media_bytes=sum(medium.size_bytes for medium in media),
        missing=sum(medium.is_missing for medium in media),
    )


def _mean(values: Sequence[int]) -> float:
    return round(sum(values) / len(values), 2) if values else 0.0
