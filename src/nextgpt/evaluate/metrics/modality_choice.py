"""Choice of modalities: which modalities a reply has, against those that the request asks for."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from nextgpt.evaluate.metrics.result import MetricResult
from nextgpt.evaluate.metrics.statistics import share_result
from nextgpt.modality import MODALITIES


def modality_choice(
    chosen_modalities: Sequence[Sequence[str]], expected_modalities: Sequence[Sequence[str]]
) -> tuple[MetricResult, ...]:
    """Score the modalities of replies: exact match, and precision and recall of each medium.

    A reply matches exactly if it has each modality as often as expected, in any order. Text beside media is not
    counted, since almost every reply has some; a reply without media counts as text.
    """
    chosen = [_media_counts(modalities) for modalities in chosen_modalities]
    expected = [_media_counts(modalities) for modalities in expected_modalities]
    exact = [first == second for first, second in zip(chosen, expected, strict=True)]
    results = [share_result("modality.exact", exact)]
    for modality in dict.fromkeys(name for counts in (*expected, *chosen) for name in counts):
        precision = [modality in wanted for got, wanted in zip(chosen, expected, strict=True) if modality in got]
        recall = [modality in got for got, wanted in zip(chosen, expected, strict=True) if modality in wanted]
        results.append(_subset_share(f"modality.{modality}.precision", precision))
        results.append(_subset_share(f"modality.{modality}.recall", recall))
    return tuple(results)


def structure(
    chosen_modalities: Sequence[Sequence[str]], expected_modalities: Sequence[Sequence[str]]
) -> tuple[MetricResult, ...]:
    """Score the structure of replies as UniM does: the same modalities (LeS), in the same numbers (StS).

    LeS counts a reply as correct if it has the expected set of modalities; StS requires the number of each as well.
    """
    pairs = list(zip(map(_media_counts, chosen_modalities), map(_media_counts, expected_modalities), strict=True))
    return (
        share_result("structure.strict", [got == wanted for got, wanted in pairs]),
        share_result("structure.lenient", [set(got) == set(wanted) for got, wanted in pairs]),
    )


def _subset_share(name: str, outcomes: Sequence[bool]) -> MetricResult:
    """Return a share without values per item, since another system has other items in it."""
    return replace(share_result(name, outcomes), item_values=None)


def _media_counts(modalities: Sequence[str]) -> Counter[str]:
    media = Counter(name for name in modalities if name in MODALITIES)
    return media or Counter(["text"])
