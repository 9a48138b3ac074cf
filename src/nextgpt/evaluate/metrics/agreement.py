"""Agreement of media with texts, and of the frames of a video, as cosines in a joint space of an extractor."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from nextgpt.evaluate.metrics.result import MetricResult
from nextgpt.evaluate.metrics.statistics import mean_result


def _text_similarity(name: str) -> Callable[..., MetricResult]:
    def compute(output_features: np.ndarray, prompt_features: np.ndarray) -> MetricResult:
        values = (_unit(output_features) * _unit(prompt_features)).sum(1)
        parameters = {"floor": _mismatched_mean(output_features, prompt_features), "scale": 1.0}
        return mean_result(name, values, parameters=parameters)

    compute.__doc__ = f"""Return the mean cosine of each output and its text under the name {name}.

    ``parameters['floor']`` is the mean cosine of outputs and the texts of other items.
    """
    return compute


def _frame_similarity(name: str) -> Callable[..., MetricResult]:
    def compute(output_frames: Sequence[np.ndarray], prompt_features: np.ndarray) -> MetricResult:
        prompts = _unit(prompt_features)
        units = [_unit(frames) for frames in output_frames]
        values = [float((frames @ prompt).mean()) for frames, prompt in zip(units, prompts, strict=True)]
        means = np.array([frames.mean(0) for frames in units]).reshape(len(units), -1)
        parameters = {"floor": _mismatched_product(means, prompts), "scale": 1.0}
        return mean_result(name, values, parameters=parameters)

    compute.__doc__ = f"""Return the mean cosine of the frames of each video and its text under the name {name}.

    ``parameters['floor']`` is the mean cosine of videos and the texts of other items.
    """
    return compute


clip_score, clap_score = _text_similarity("clip_score"), _text_similarity("clap_score")
clipsim, clip_t = _frame_similarity("clipsim"), _frame_similarity("clip_t")


def clip_i(output_frames: Sequence[np.ndarray]) -> MetricResult:
    """Return the mean cosine of neighbouring frames. A frozen video has 1: compare with the input video's value."""
    values = [
        float((unit[1:] * unit[:-1]).sum(1).mean()) if len(unit) > 1 else 1.0 for unit in map(_unit, output_frames)
    ]
    return mean_result("clip_i", values)


def _unit(features: np.ndarray) -> np.ndarray:
    """Scale the rows (n, d) to length 1; zero rows stay zero."""
    array = np.asarray(features, np.float64)
    norms = np.linalg.norm(array, axis=-1, keepdims=True)
    return np.divide(array, norms, out=np.zeros_like(array), where=norms > 0)


def _mismatched_mean(outputs: np.ndarray, prompts: np.ndarray) -> float:
    return _mismatched_product(_unit(outputs), _unit(prompts))


def _mismatched_product(outputs: np.ndarray, prompts: np.ndarray) -> float:
    """Return the mean product of all pairs of different items; NaN below two items."""
    n = len(outputs)
    if n < 2:
        return float("nan")
    return float((outputs.sum(0) @ prompts.sum(0) - (outputs * prompts).sum()) / (n * (n - 1)))
