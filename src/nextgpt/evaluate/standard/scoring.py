"""Score the answers of a run: prepare the inputs of each metric by name, compute it, compare systems on equal items."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import numpy as np

from nextgpt.errors import ConfigError, MediaError
from nextgpt.evaluate.metrics import Metric, MetricResult, compute_metric, get_metric
from nextgpt.evaluate.metrics.caption_tokens import TOKENIZER_JAR, find_jar
from nextgpt.evaluate.metrics.statistics import PairedTest, paired_permutation_test
from nextgpt.evaluate.standard.feature_store import FeatureStore
from nextgpt.evaluate.standard.item_systems.base import open_medium
from nextgpt.evaluate.standard.items import EvalItem, MediumEntry
from nextgpt.evaluate.standard.media_features import Extractors
from nextgpt.evaluate.standard.protocols import Protocol
from nextgpt.evaluate.standard.records import ItemRecord
from nextgpt.evaluate.standard.result_store import ResultStore, ScoreRow
from nextgpt.evaluate.standard.run_folder import ItemScores, RunFolder
from nextgpt.media import READERS
from nextgpt.media.types import Medium

TRUTH, SHUFFLED = "truth", "shuffled"
NO_TRUE_MEDIUM = "no true medium in the data"
MAX_REASON_CHARS = 80


@dataclass(frozen=True)
class Comparison:
    """Paired test of two systems on the items that both answered."""

    name: str
    systems: tuple[str, str]
    test: PairedTest


@dataclass(frozen=True)
class Scores:
    """All values of a run."""

    rows: tuple[ScoreRow, ...]
    comparisons: tuple[Comparison, ...]
    notes: tuple[str, ...]
    """Metrics that were not computed, with the reason."""


@dataclass(frozen=True)
class Answer:
    """An item with its record and the medium that is scored."""

    item: EvalItem
    record: ItemRecord
    medium: MediumEntry | None


def score_run(run: RunFolder, protocol: Protocol, systems: Sequence[str], extractors: Extractors) -> Scores:
    """Score the complete records of ``systems`` by all metrics of the protocol."""
    rows: list[ScoreRow] = []
    notes: dict[str, None] = {}
    scorer = _Scorer(run, protocol, extractors)
    for name in protocol.metrics:
        for system in systems:
            try:
                rows += scorer.score(get_metric(name), system)
            except ConfigError as error:
                notes[f"{name}: {' '.join(str(error).split())}"] = None
    return Scores(tuple(rows), tuple(_comparisons(rows, systems)), tuple(notes))


def item_scores(scores: Scores) -> ItemScores:
    """Return the values per item by system and metric."""
    values: ItemScores = {}
    for row in scores.rows:
        if row.item_ids and row.result.item_values is not None:
            by_item = dict(zip(row.item_ids, map(float, row.result.item_values), strict=True))
            values.setdefault(row.system, {})[row.result.name] = by_item
    return values


def select_metrics(protocol: Protocol, names: Sequence[str]) -> Protocol:
    """Return the protocol with these metrics only. Raises :class:`ConfigError` for an unknown one."""
    for name in names:
        get_metric(name)
    return replace(protocol, metrics=tuple(names)) if names else protocol


def check_metric(metric: Metric, protocol: Protocol, extractors: Extractors) -> None:
    """Raise :class:`ConfigError` if a metric cannot be computed for a suite, before anything is answered."""
    for need, modality in _SCORED_MODALITIES.items():
        if need in metric.needs and protocol.output != modality:
            raise ConfigError(
                f"it scores {modality}, and {protocol.name} answers with {protocol.output}; expected one of "
                f"{', '.join(protocol.metrics)}."
            )
    metric.check()
    if metric.extractor is not None:
        extractors.choose(metric, protocol.output)


_SCORED_MODALITIES = {"output_audio": "audio", "output_images": "image", "references": "text"}
"""Inputs of one modality only."""


class _Scorer:
    """Scores systems by metrics; what is stored in the folder of the run is not computed again."""

    def __init__(self, run: RunFolder, protocol: Protocol, extractors: Extractors) -> None:
        self._run, self._protocol, self._extractors = run, protocol, extractors
        self._features, self._results = FeatureStore(run.path), ResultStore(run.path)

    @cached_property
    def _damaged(self) -> dict[str, str]:
        return _damaged_items(self._run)

    @cached_property
    def _files(self) -> frozenset[str]:
        return frozenset(Path(path).name for item in self._run.items for path in item.paths)

    def score(self, metric: Metric, system: str) -> list[ScoreRow]:
        """Return the rows of a metric. Raises :class:`ConfigError` if it cannot be computed."""
        check_metric(metric, self._protocol, self._extractors)
        facts = [*self._run.facts(system), self._protocol.output.encode(), self._tool(metric).encode()]
        return self._results.get(metric.name, system, facts, lambda: self._compute(metric, system))

    def _tool(self, metric: Metric) -> str:
        """Return what prepares the inputs of a metric besides its own code: its extractor, or the tokenizer."""
        if metric.extractor is not None:
            return self._extractors.choose(metric, self._protocol.output).key
        return str(find_jar(TOKENIZER_JAR)) if "references" in metric.needs else ""

    def _compute(self, metric: Metric, system: str) -> list[ScoreRow]:
        left_out: Counter[str] = Counter()
        answers = _answers(self._run, self._protocol, system)
        answers = [
            answer
            for answer in answers
            if _is_usable(answer, metric, self._protocol, self._damaged, self._files, left_out)
        ]
        if system == TRUTH and "references" in metric.needs:
            answers = _drop_single_references(answers, left_out)
        if not answers:
            result = MetricResult(metric.name, float("nan"), None, None, 0, dict(left_out))
            return [ScoreRow(system, metric.name, result)]
        inputs = InputBuilder(
            self._run, self._protocol, system, answers, self._extractors, self._features, self._damaged, self._files
        )
        inputs, values = inputs.open_media(metric, left_out)
        answers = inputs.answers
        values |= {need: inputs.build(metric, need) for need in metric.needs if need not in values}
        results = compute_metric(metric.name, values, left_out=left_out)
        parameters = inputs.parameters(metric)
        results = tuple(replace(result, parameters={**result.parameters, **parameters}) for result in results)
        ids = tuple(answer.item.id for answer in answers)
        return [ScoreRow(system, metric.name, result, ids if _has_values(result, ids) else ()) for result in results]


def _has_values(result: MetricResult, ids: Sequence[str]) -> bool:
    return result.item_values is not None and len(result.item_values) == len(ids)


def _answers(run: RunFolder, protocol: Protocol, system: str) -> list[Answer]:
    return [
        Answer(item, record, record.first_medium(protocol.output))
        for item, record in zip(run.items, run.records(system), strict=False)
    ]


def _damaged_items(run: RunFolder) -> dict[str, str]:
    """Return why items have no readable true media, by id: the system ``truth`` has opened them all."""
    reasons = {}
    for item, record in zip(run.items, run.records(TRUTH), strict=False):
        if record.error is not None and item.reference_media:
            reasons[item.id] = record.error
        elif record.error is not None and item.source_medium is not None:  # an edit without a result
            try:
                open_medium(item.source_medium, run.data)
            except MediaError as error:
                reasons[item.id] = str(error)
    return reasons


def _reason(error: str, files: Collection[str]) -> str:
    """Return the reason in an error without the name of the file, so that equal reasons are counted together.

    Args:
        files: Names of the files of all items; the floor fails by the file of another item.
    """
    first = _FILE_NAME.match(error)
    if first and first[1] in files:
        error = f"a medium {error[first.end() :]}"
    return " ".join(error.partition("; expected ")[0].split())[:MAX_REASON_CHARS]


_FILE_NAME = re.compile(r"(.+?\.\w+) (?=has |is |cannot )")
"""Name at the beginning of an error about a file."""


def _is_usable(
    answer: Answer,
    metric: Metric,
    protocol: Protocol,
    damaged: Mapping[str, str],
    files: Collection[str],
    left_out: Counter[str],
) -> bool:
    """Count the reason if an answer has not what the metric needs."""
    reason = None
    needs = set(metric.needs)
    if error := answer.record.error or damaged.get(answer.item.id):
        reason = _reason(error, files)
    elif any(need.startswith("output_") for need in needs) and answer.medium is None:
        reason = f"no {protocol.output} in the answer"
    elif "reference_audio" in needs and not answer.item.reference_media:
        reason = NO_TRUE_MEDIUM
    elif "masks" in needs and not answer.item.mask:
        reason = "no mask in the data"
    if reason:
        left_out[reason] += 1
    return reason is None


def _drop_single_references(answers: list[Answer], left_out: Counter[str]) -> list[Answer]:
    """Remove from each item the reference that the system answered with."""
    kept = [
        replace(answer, item=answer.item.model_copy(update={"references": answer.item.references[1:]}))
        for answer in answers
        if len(answer.item.references) > 1
    ]
    left_out["only one reference, which is the answer"] += len(answers) - len(kept)
    return kept


@dataclass(frozen=True)
class InputBuilder:
    """Builds the inputs of metrics from the usable answers of one system."""

    run: RunFolder
    protocol: Protocol
    system: str
    answers: Sequence[Answer]
    extractors: Extractors
    store: FeatureStore
    damaged: Mapping[str, str]
    """Reasons of items without readable true media, by id."""
    files: Collection[str]
    """Names of the files of all items."""

    def open_media(self, metric: Metric, left_out: Counter[str]) -> tuple[InputBuilder, dict[str, list[Medium]]]:
        """Open the media that a metric takes as they are.

        Returns:
            The builder of the answers whose media can be read, and their media by input; others are counted.
        """
        values: dict[str, list[Medium]] = {need: [] for need in metric.needs if need in _MEDIA_INPUTS}
        usable = []
        for answer in self.answers:
            try:
                media = [_MEDIA_INPUTS[need](self, answer) for need in values]
            except MediaError as error:
                left_out[_reason(str(error), self.files)] += 1
                continue
            usable.append(answer)
            for opened, medium in zip(values.values(), media, strict=True):
                opened.append(medium)
        return replace(self, answers=usable), values

    def build(self, metric: Metric, need: str) -> Any:
        """Return an input by its name in :data:`~nextgpt.evaluate.metrics.INPUTS`; see also :meth:`open_media`."""
        if need in _PLAIN_INPUTS:
            return [_PLAIN_INPUTS[need](answer) for answer in self.answers]
        return _FEATURE_INPUTS[need](self, metric)

    def parameters(self, metric: Metric) -> dict[str, Any]:
        """Return the extractor that a metric used."""
        if metric.extractor is None:
            return {}
        extractor = self.extractors.choose(metric, self.protocol.output)
        return {
            "extractor": extractor.name,
            "weights": extractor.weights_hash[:12],
            "preprocessing": extractor.preprocessing,
        }

    def output_features(self, metric: Metric) -> np.ndarray:
        """Return the features of the outputs, of videos those of all frames."""
        return np.concatenate(self.output_arrays(metric))

    def output_arrays(self, metric: Metric) -> list[np.ndarray]:
        """Return an array of features per output."""
        media = [answer.medium for answer in self.answers if answer.medium is not None]
        return self._media_arrays(metric, media, self.run.system_dir(self.system))

    def reference_features(self, metric: Metric) -> np.ndarray:
        """Return the features of all readable true media of the run; of edits without results, of their sources."""
        entries = dict.fromkeys(
            entry
            for item in self.run.items
            if item.id not in self.damaged
            for entry in (item.reference_media or ((item.source_medium,) if item.source_medium else ()))
            if entry.type == self.protocol.output
        )
        return np.concatenate(self._media_arrays(metric, [*entries], self.run.data))

    def prompt_features(self, metric: Metric) -> np.ndarray:
        """Return the features of the target captions."""
        extractor = self.extractors.choose(metric, self.protocol.output)
        prompts = [answer.item.prompt for answer in self.answers]

        def compute(indices: Sequence[int]) -> list[np.ndarray]:
            return extractor.texts([prompts[index] for index in indices])

        return np.concatenate(self.store.texts(extractor.key, prompts, compute))

    def _media_arrays(self, metric: Metric, media: Sequence[MediumEntry], folder: Path) -> list[np.ndarray]:
        extractor = self.extractors.choose(metric, self.protocol.output)

        def compute(indices: Sequence[int]) -> list[np.ndarray]:
            return extractor.media([partial(open_medium, media[index], folder) for index in indices])

        return self.store.media(extractor.key, [folder / entry.path for entry in media], compute)


_PLAIN_INPUTS: Mapping[str, Callable[[Answer], Any]] = {
    "texts": lambda answer: answer.record.text,
    "references": lambda answer: list(answer.item.references),
    "chosen_modalities": lambda answer: answer.record.modalities,
    "expected_modalities": lambda answer: answer.item.expected_modalities,
}
_MEDIA_INPUTS: Mapping[str, Callable[[InputBuilder, Answer], Medium]] = {
    "output_audio": lambda inputs, answer: open_medium(answer.medium, inputs.run.system_dir(inputs.system)),
    "reference_audio": lambda inputs, answer: open_medium(answer.item.reference_media[0], inputs.run.data),
    "output_images": lambda inputs, answer: open_medium(answer.medium, inputs.run.system_dir(inputs.system)),
    "source_images": lambda inputs, answer: open_medium(answer.item.source_medium, inputs.run.data),
    "masks": lambda inputs, answer: READERS["image"](inputs.run.data / answer.item.mask),
}
_FEATURE_INPUTS: Mapping[str, Callable[[InputBuilder, Metric], Any]] = {
    "output_features": InputBuilder.output_features,
    "output_probabilities": InputBuilder.output_features,
    "output_frames": InputBuilder.output_arrays,
    "reference_features": InputBuilder.reference_features,
    "prompt_features": InputBuilder.prompt_features,
}


def _comparisons(rows: Sequence[ScoreRow], systems: Sequence[str]) -> list[Comparison]:
    """Compare the first system with each other one that is neither floor nor ceiling."""
    values = {(row.system, row.result.name): row for row in rows if row.item_ids}
    others = [system for system in systems[1:] if system not in (TRUTH, SHUFFLED)]
    comparisons = []
    for (system, name), row in values.items():
        for other in others:
            if system == systems[0] and (second := values.get((other, name))):
                first_values, second_values = _common_values(row, second)
                if first_values:
                    test = paired_permutation_test(first_values, second_values)
                    comparisons.append(Comparison(name, (system, other), test))
    return comparisons


def _common_values(first: ScoreRow, second: ScoreRow) -> tuple[list[float], list[float]]:
    """Return the values of the items that both systems have."""
    other = dict(zip(second.item_ids, second.result.item_values or (), strict=True))
    pairs = [
        (value, other[item_id])
        for item_id, value in zip(first.item_ids, first.result.item_values or (), strict=True)
        if item_id in other
    ]
    return [pair[0] for pair in pairs], [pair[1] for pair in pairs]
