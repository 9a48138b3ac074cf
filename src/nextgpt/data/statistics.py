"""What a corpus holds, in numbers, from its words and file sizes alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nextgpt.data.corpus import Corpus, is_missing
from nextgpt.data.record import CaptionPair, Dialogue, dialogue_of, media_of


@dataclass(frozen=True)
class Statistics:
    """Numbers of a corpus."""

    format: str
    pairs: int
    dialogues: int
    broken_rows: int
    turns_mean: float
    """Messages of a dialogue."""
    words_mean: float
    """Words of a record: of a pair, of its caption."""
    words_p95: int
    """95 % of the records have no more words."""
    given: dict[str, int]
    """Media that persons give, by modality."""
    made: dict[str, int]
    """Media that the assistant makes, by modality."""
    caption_pairs: dict[str, int]
    """Media of pairs, by modality."""
    media_bytes: int
    absent: int
    """Media that are named and not there."""


def compute_statistics(corpus: Corpus) -> Statistics:
    """Count what a corpus holds; opens no medium."""
    dialogues = [record for record in corpus.records if isinstance(record, Dialogue)]
    pairs = [record for record in corpus.records if isinstance(record, CaptionPair)]
    words = [len(pair.caption.split()) for pair in pairs]
    words += [len(dialogue_of(record, "described").text.split()) for record in dialogues]
    media = [medium for record in corpus.records for medium in media_of(record)]
    return Statistics(
        corpus.format,
        pairs=len(pairs),
        dialogues=len(dialogues),
        broken_rows=len(corpus.invalid),
        turns_mean=_mean([len(dialogue.turns) for dialogue in dialogues]),
        words_mean=_mean(words),
        words_p95=sorted(words)[int(0.95 * (len(words) - 1))],
        given=dict(Counter(m.modality for dialogue in dialogues for m in dialogue.input_media)),
        made=dict(Counter(m.modality for dialogue in dialogues for m in dialogue.output_media)),
        caption_pairs=dict(Counter(pair.medium.modality for pair in pairs)),
        media_bytes=sum(medium.size_bytes for medium in media),
        absent=sum(map(is_missing, media)),
    )


def _mean(values: Sequence[int]) -> float:
    return round(sum(values) / len(values), 2) if values else 0.0
