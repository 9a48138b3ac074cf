"""Edits of images under a mask: change inside it, and preservation outside."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image

from nextgpt.evaluate.metrics.result import MetricResult
from nextgpt.evaluate.metrics.statistics import mean_result
from nextgpt.media.types import Image


def edit_regions(
    output_images: Sequence[Image], source_images: Sequence[Image], masks: Sequence[Image]
) -> tuple[MetricResult, ...]:
    """Return the mean absolute pixel change inside and outside the masks, from 0 to 1.

    Sources and masks are resized to the output; white in a mask (128 or more) is the region to edit. A mask without
    an inside or an outside is left out of that row.
    """
    rows = [_changes(*images) for images in zip(output_images, source_images, masks, strict=True)]
    results = []
    for index, name in enumerate(("edit_regions.inside", "edit_regions.outside")):
        values = [row[index] for row in rows]
        result = mean_result(name, [value for value in values if np.isfinite(value)], parameters={"scale": "0 to 1"})
        results.append(result.with_left_out({"empty region": len(values) - result.n}))
    return tuple(results)


def _changes(output: Image, source: Image, mask: Image) -> tuple[float, float]:
    size = output.image.size
    pixels = np.asarray(output.image, np.float64) / 255
    before = np.asarray(source.image.resize(size, PIL.Image.Resampling.BICUBIC), np.float64) / 255
    inside = np.asarray(mask.image.convert("L").resize(size, PIL.Image.Resampling.NEAREST)) >= 128
    change = np.abs(pixels - before).mean(2)
    return _mean(change[inside]), _mean(change[~inside])


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if values.size else float("nan")
