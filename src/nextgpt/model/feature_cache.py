"""Cache encoder features by media content, so that a conversation's history is encoded once."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from nextgpt.message import Medium
from nextgpt.model.encoding.base import Features


class FeatureCache:
    """Least-recently-used cache of features.

    Args:
        max_bytes: Maximum memory of all features.
    """

    def __init__(self, *, max_bytes: int = 256 * 2**20) -> None:
        self._max_bytes = max_bytes
        self._features: OrderedDict[bytes, Features] = OrderedDict()

    def get_or_encode(
        self, media: Sequence[Medium], encode: Callable[[Sequence[Medium]], Sequence[Features]]
    ) -> list[Features]:
        """Return the features of ``media``, in order; encode each uncached content once, in one call."""
        new = {medium.digest: medium for medium in media if medium.digest not in self._features}
        if new:
            self._features.update(zip(new, encode(list(new.values())), strict=True))
        features = [self._features[medium.digest] for medium in media]
        for medium in media:
            self._features.move_to_end(medium.digest)
        self._evict()
        return features

    def _evict(self) -> None:
        size = sum(features.vectors.nbytes for features in self._features.values())
        while size > self._max_bytes:
            _, oldest = self._features.popitem(last=False)
            size -= oldest.vectors.nbytes

    def __len__(self) -> int:
        return len(self._features)
