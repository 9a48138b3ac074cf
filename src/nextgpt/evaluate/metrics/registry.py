"""Table of the metrics: one function and one row per metric.

The names of a function's required arguments are the inputs that it needs (:data:`INPUTS`), so a caller prepares
inputs by name and needs no knowledge of a metric.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.evaluate.metrics.agreement import clap_score, clip_i, clip_score, clip_t, clipsim
from nextgpt.evaluate.metrics.audio import mel_cepstral_distance
from nextgpt.evaluate.metrics.distributions import fad, fd, fid, inception_score, kad, kid
from nextgpt.evaluate.metrics.edits import edit_regions
from nextgpt.evaluate.metrics.java_text import meteor, require_meteor, require_spice, spice, spider
from nextgpt.evaluate.metrics.modality_choice import modality_choice, structure
from nextgpt.evaluate.metrics.result import EMPTY, MetricResult
from nextgpt.evaluate.metrics.text import bleu, cider_d, rouge_l

INPUTS: dict[str, str] = {
    "texts": "one text per item",
    "references": "reference texts per item",
    "chosen_modalities": "modalities of each reply, in order, with repetitions",
    "expected_modalities": "modalities that each item asks for",
    "output_features": "features (n, d) of the outputs",
    "reference_features": "features (m, d) of true media",
    "output_probabilities": "class probabilities (n, classes) of the outputs",
    "prompt_features": "features (n, d) of the target texts, in the space of the outputs' features",
    "output_frames": "features (frames, d) of the frames of each output video",
    "output_audio": "one output Audio per item",
    "reference_audio": "one true Audio per item",
    "output_images": "one output Image per item",
    "source_images": "the Image that each item edits",
    "masks": "an Image per item, white where the edit belongs",
}
"""Inputs of metrics by name; sequences and arrays are in the order of the items."""

ExtractorKind = Literal["features", "probabilities", "joint"]
"""Features of media; class probabilities of media; or features of media and texts in one space."""


@dataclass(frozen=True)
class Metric:
    """A row of the table."""

    name: str
    compute: Callable[..., MetricResult | tuple[MetricResult, ...]]
    extractor: ExtractorKind | None = None
    """Kind of the feature extractor that prepares its inputs; None if it needs none."""
    better: Literal["higher", "lower"] = "higher"
    requires: str = ""
    """Optional package or program that it needs; empty if none."""
    check: Callable[[], object] = lambda: None
    """Raises :class:`~nextgpt.errors.ConfigError` if something that it requires is missing."""
    published: tuple[str, ...] = ()
    """Extractors that papers use, preferred if they are given."""

    @property
    def needs(self) -> tuple[str, ...]:
        """Names of its inputs; see :data:`INPUTS`."""
        parameters = inspect.signature(self.compute).parameters.values()
        return tuple(parameter.name for parameter in parameters if parameter.default is inspect.Parameter.empty)


JAVA = "Java and pycocoevalcap"
ROWS: tuple[Metric, ...] = (
    Metric("bleu_4", bleu),
    Metric("rouge_l", rouge_l),
    Metric("cider_d", cider_d),
    Metric("meteor", meteor, requires=JAVA, check=require_meteor),
    Metric("spice", spice, requires=f"{JAVA}, Stanford CoreNLP 3.6.0", check=require_spice),
    Metric("spider", spider, requires=f"{JAVA}, Stanford CoreNLP 3.6.0", check=require_spice),
    Metric("fid", fid, "features", "lower", published=("inception",)),
    Metric("fd", fd, "features", "lower", published=("cnn14",)),
    Metric("fad", fad, "features", "lower", published=("vggish",)),
    Metric("kid", kid, "features", "lower", published=("inception",)),
    Metric("kad", kad, "features", "lower", published=("cnn14", "vggish")),
    Metric("is", inception_score, "probabilities", published=("inception", "cnn14")),
    Metric("clip_score", clip_score, "joint", published=("clip-b32", "clip-l14")),
    Metric("clap_score", clap_score, "joint", published=("clap",)),
    Metric("clipsim", clipsim, "joint", published=("clip-b32", "clip-l14")),
    Metric("clip_t", clip_t, "joint", published=("clip-b32", "clip-l14")),
    Metric("clip_i", clip_i, "joint", published=("clip-b32", "clip-l14")),
    Metric("mcd", mel_cepstral_distance, better="lower"),
    Metric("edit_regions", edit_regions),
    Metric("modality", modality_choice),
    Metric("structure", structure),
)
METRICS: dict[str, Metric] = {metric.name: metric for metric in ROWS}


def get_metric(name: str) -> Metric:
    """Return a metric by name. Raises :class:`~nextgpt.errors.ConfigError` for an unknown one."""
    if name not in METRICS:
        raise ConfigError(unknown_name_message("metric", name, METRICS))
    return METRICS[name]


def compute_metric(
    name: str, inputs: Mapping[str, Any], *, left_out: Mapping[str, int] = EMPTY, **settings: Any
) -> tuple[MetricResult, ...]:
    """Compute the rows of a metric from the inputs that it needs; further inputs are ignored.

    Args:
        inputs: Inputs by name; see :data:`INPUTS`.
        left_out: Number of items that ``inputs`` do not contain, by reason.
        settings: Optional arguments of the metric's function.

    Raises:
        ConfigError: The metric is unknown, an input is missing, or inputs have different numbers of items.
    """
    metric = get_metric(name)
    missing = [need for need in metric.needs if inputs.get(need) is None]
    if missing:
        expected = "; ".join(f"{need}: {INPUTS[need]}" for need in missing)
        raise ConfigError(f"metric {name}: inputs are missing; expected {expected}.")
    _check_item_counts(name, metric.needs, inputs)
    results = metric.compute(**{need: inputs[need] for need in metric.needs}, **settings)
    rows = results if isinstance(results, tuple) else (results,)
    return tuple(row.with_left_out(left_out) for row in rows)


def _check_item_counts(name: str, needs: Iterable[str], inputs: Mapping[str, Any]) -> None:
    """Require one entry per item; true media of a distribution may have another number."""
    counts = {need: len(inputs[need]) for need in needs if need != "reference_features"}
    if len(set(counts.values())) > 1:
        listing = ", ".join(f"{count} {need}" for need, count in counts.items())
        raise ConfigError(f"metric {name}: got {listing}; expected one of each per item.")
