"""Metrics of texts against references: BLEU, ROUGE-L and CIDEr-D, as coco-caption computes them.

Each takes one text and any number of references per item. Papers print these values times 100.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nextgpt.evaluate.metrics.caption_tokens import TokenizedCaptions, tokenize_captions
from nextgpt.evaluate.metrics.result import MetricResult
from nextgpt.evaluate.metrics.statistics import bootstrap_interval, mean_result

MAX_ORDER = 4
"""Longest n-gram."""
ROUGE_BETA = 1.2
"""Weight of recall in ROUGE-L."""
LENGTH_SIGMA = 6.0
"""Standard deviation of CIDEr-D's length penalty, in tokens."""

Tokens = tuple[str, ...]


def bleu(texts: Sequence[str], references: Sequence[Sequence[str]], *, order: int = MAX_ORDER) -> MetricResult:
    """Return corpus BLEU of n-grams up to ``order``, with the closest reference length.

    The interval recomputes the counts of the corpus for each resample of the items.
    """
    captions = tokenize_captions(texts, references)
    counts = np.array([_bleu_counts(*pair, order) for pair in _pairs(captions)]).reshape(-1, 2 * order + 2)
    low, high = bootstrap_interval(len(counts), lambda index: _corpus_bleu(counts[index].sum(0), order))
    value = _corpus_bleu(counts.sum(0), order) if len(counts) else math.nan
    return MetricResult(f"bleu_{order}", value, low, high, len(counts), {}, {"tokenizer": captions.tokenizer})


def _pairs(captions: TokenizedCaptions) -> list[tuple[Tokens, tuple[Tokens, ...]]]:
    return list(zip(captions.texts, captions.references, strict=True))


def _ngrams(tokens: Tokens, order: int) -> Counter[Tokens]:
    """Count the n-grams of all orders up to ``order``."""
    return Counter(tokens[i : i + n] for n in range(1, order + 1) for i in range(len(tokens) - n + 1))


def _bleu_counts(text: Tokens, references: tuple[Tokens, ...], order: int) -> list[int]:
    """Return clipped matches and totals per order, then the lengths of the text and of the closest reference."""
    limits: Counter[Tokens] = Counter()
    for reference in references:
        limits |= _ngrams(reference, order)
    matches = [0] * order
    for ngram, count in (_ngrams(text, order) & limits).items():
        matches[len(ngram) - 1] += count
    totals = [max(0, len(text) - n) for n in range(order)]
    closest = min((abs(len(reference) - len(text)), len(reference)) for reference in references)[1]
    return [*matches, *totals, len(text), closest]


def _corpus_bleu(counts: np.ndarray, order: int) -> float:
    tiny, small = 1e-15, 1e-9  # coco-caption's guards against division by zero
    precision = np.prod((counts[:order] + tiny) / (counts[order : 2 * order] + small)) ** (1 / order)
    ratio = (counts[-2] + tiny) / (counts[-1] + small)
    return float(precision * math.exp(min(0.0, 1 - 1 / ratio)))


def rouge_l(texts: Sequence[str], references: Sequence[Sequence[str]]) -> MetricResult:
    """Return the mean ROUGE-L: best precision and best recall of the longest common subsequence."""
    captions = tokenize_captions(texts, references)
    values = [_rouge_l(text, group) for text, group in _pairs(captions)]
    return mean_result("rouge_l", values, parameters={"tokenizer": captions.tokenizer, "beta": ROUGE_BETA})


def _rouge_l(text: Tokens, references: tuple[Tokens, ...]) -> float:
    common = [_common_length(text, reference) for reference in references]
    precision = max(common) / max(len(text), 1)
    recall = max(length / max(len(reference), 1) for length, reference in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + ROUGE_BETA**2) * precision * recall / (recall + ROUGE_BETA**2 * precision)


def _common_length(first: Tokens, second: Tokens) -> int:
    """Return the length of the longest common subsequence."""
    row = [0] * (len(second) + 1)
    for token in first:
        previous = 0
        for j, other in enumerate(second, start=1):
            previous, row[j] = row[j], previous + 1 if token == other else max(row[j], row[j - 1])
    return row[-1]


def cider_d(texts: Sequence[str], references: Sequence[Sequence[str]]) -> MetricResult:
    """Return the mean CIDEr-D, with document frequencies of these references.

    The value depends on the set of items through the frequencies: a subset of a corpus has another value. The
    interval recomputes the frequencies for each resample.
    """
    captions = tokenize_captions(texts, references)
    n = len(captions.texts)
    parameters = {"tokenizer": captions.tokenizer, "document_frequency": f"{n} items", "sigma": LENGTH_SIGMA}
    if not n:
        return MetricResult("cider_d", math.nan, None, None, 0, {}, parameters, ())
    scorer = _CiderScorer.create(captions)
    values = scorer.scores(np.arange(n))
    low, high = bootstrap_interval(n, lambda index: float(scorer.scores(index)[index].mean()))
    return MetricResult("cider_d", float(values.mean()), low, high, n, {}, parameters, tuple(values.tolist()))


@dataclass(frozen=True)
class _NgramCounts:
    """N-grams of many captions as parallel arrays, one entry per caption and distinct n-gram."""

    ids: np.ndarray
    counts: np.ndarray
    cells: np.ndarray
    """Caption and order of each entry: ``caption * MAX_ORDER + n - 1``."""

    @classmethod
    def create(cls, captions: Sequence[Counter[Tokens]], vocabulary: dict[Tokens, int]) -> _NgramCounts:
        entries = [
            (vocabulary.setdefault(ngram, len(vocabulary)), count, caption * MAX_ORDER + len(ngram) - 1)
            for caption, ngrams in enumerate(captions)
            for ngram, count in ngrams.items()
        ]
        ids, counts, cells = np.array(entries, dtype=np.int64).reshape(-1, 3).T
        return cls(ids, counts.astype(np.float64), cells)

    def norms(self, idf: np.ndarray, captions: int) -> np.ndarray:
        """Return the norms (captions, orders) of the tf-idf vectors."""
        squares = (self.counts * idf[self.ids]) ** 2
        return np.sqrt(np.bincount(self.cells, squares, captions * MAX_ORDER)).reshape(captions, MAX_ORDER)


@dataclass(frozen=True)
class _CiderScorer:
    """CIDEr-D of fixed captions under document frequencies of any resample of the items."""

    item_of_pair: np.ndarray
    """Item of each (text, reference) pair."""
    length_penalties: np.ndarray
    texts: _NgramCounts
    references: _NgramCounts
    shared: tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]
    """N-grams that both of a pair have: ids, counts in text and reference, cells."""
    documents: tuple[np.ndarray, np.ndarray]
    """Item and n-gram id, once for each n-gram of an item's references."""
    vocabulary_size: int

    @classmethod
    def create(cls, captions: TokenizedCaptions) -> _CiderScorer:
        texts = [_ngrams(text, MAX_ORDER) for text in captions.texts]
        groups = [[_ngrams(reference, MAX_ORDER) for reference in group] for group in captions.references]
        pairs = [(item, reference) for item, group in enumerate(groups) for reference in group]
        vocabulary: dict[Tokens, int] = {}
        text_counts = _NgramCounts.create(texts, vocabulary)
        reference_counts = _NgramCounts.create([reference for _, reference in pairs], vocabulary)
        shared = [
            (vocabulary[ngram], texts[item][ngram], reference[ngram], pair * MAX_ORDER + len(ngram) - 1)
            for pair, (item, reference) in enumerate(pairs)
            for ngram in texts[item].keys() & reference.keys()
        ]
        documents = [(item, vocabulary[ngram]) for item, group in enumerate(groups) for ngram in set().union(*group)]
        item_of_pair = np.array([item for item, _ in pairs])
        # coco-caption measures lengths in bigrams.
        bigrams = [(_bigrams(texts[item]), _bigrams(reference)) for item, reference in pairs]
        deltas = np.array([text - reference for text, reference in bigrams])
        ids, text_tf, reference_tf, cells = np.array(shared, dtype=np.int64).reshape(-1, 4).T
        items, ngrams = np.array(documents, dtype=np.int64).reshape(-1, 2).T
        return cls(
            item_of_pair,
            np.exp(-(deltas**2) / (2 * LENGTH_SIGMA**2)),
            text_counts,
            reference_counts,
            (ids, text_tf, reference_tf, cells),
            (items, ngrams),
            len(vocabulary),
        )

    def scores(self, sample: np.ndarray) -> np.ndarray:
        """Return the score of every item, with the document frequencies of the items ``sample`` (n,)."""
        items = int(self.item_of_pair[-1]) + 1
        pairs = len(self.item_of_pair)
        multiplicity = np.bincount(sample, minlength=items)
        document, ngram = self.documents
        frequency = np.bincount(ngram, multiplicity[document], self.vocabulary_size)
        idf = np.log(len(sample)) - np.log(np.maximum(1.0, frequency))
        ids, text_tf, reference_tf, cells = self.shared
        products = np.minimum(text_tf, reference_tf) * reference_tf * idf[ids] ** 2
        dots = np.bincount(cells, products, pairs * MAX_ORDER).reshape(pairs, MAX_ORDER)
        norms = self.texts.norms(idf, items)[self.item_of_pair] * self.references.norms(idf, pairs)
        cosines = np.divide(dots, norms, out=np.zeros(dots.shape), where=norms > 0)
        per_pair = 10 * cosines.mean(1) * self.length_penalties
        return np.bincount(self.item_of_pair, per_pair, items) / np.bincount(self.item_of_pair, minlength=items)


def _bigrams(ngrams: Counter[Tokens]) -> int:
    return sum(count for ngram, count in ngrams.items() if len(ngram) == 2)
