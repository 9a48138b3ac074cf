"""Edited images against their mask: is there a change inside, and is the rest kept?"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import PIL.Image

from nextgpt.evaluate.metrics.result import MetricResult
from nextgpt.evaluate.metrics.statistics import mean_result
from nextgpt.message import Image

INSIDE_LEVEL = 128
"""Mask pixels of this level or more may change."""


def edit_regions(
    output_images: Sequence[Image], source_images: Sequence[Image], masks: Sequence[Image]
) -> tuple[MetricResult, ...]:
    """Return the mean absolute difference of output and source, in levels of 0 to 1, inside and outside the mask.

    ``edit.inside`` is the change where it is allowed; a source that is returned unchanged has 0. ``edit.outside`` is
    the damage elsewhere; lower is better. Outputs and masks are resized to the source.
    """
    inside, outside = [], []
    for output, source, mask in zip(output_images, source_images, masks, strict=True):
        size = source.image.size
        pixels = np.asarray(output.image.resize(size, PIL.Image.Resampling.BICUBIC), np.float64)
        difference = np.abs(pixels - np.asarray(source.image, np.float64)).mean(-1) / 255  # (H, W)
        allowed = np.asarray(mask.image.convert("L").resize(size, PIL.Image.Resampling.NEAREST)) >= INSIDE_LEVEL
        inside += [float(difference[allowed].mean())] if allowed.any() else []
        outside += [float(difference[~allowed].mean())] if (~allowed).any() else []
    return mean_result("edit.inside", inside), mean_result("edit.outside", outside)
