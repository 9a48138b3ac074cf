"""Choose frames of a film."""

from __future__ import annotations

import numpy as np


def uniform_indices(count: int, wanted: int) -> np.ndarray:
    """``wanted`` indices spread evenly over ``count`` frames, first and last included; frames repeat where few.

    ``uniform_indices(16, 4)`` is ``[0, 5, 10, 15]``; ``uniform_indices(1, 3)`` is ``[0, 0, 0]``. Rounded down, as
    pytorchvideo's ``uniform_temporal_subsample`` does.
    """
    return np.linspace(0, count - 1, wanted).astype(np.int64)
