"""Features of media that were seen before, by content, so that a conversation's history is not encoded every turn."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from nextgpt.message import Medium
from nextgpt.model.encoding.base import Features


class FeatureCache:
    """The latest features, within a budget of memory.

    Args:
        max_bytes: Memory that all of them together may take.
    """

    def __init__(self, *, max_bytes: int = 256 * 2**20) -> None:
        self._max_bytes = max_bytes
        self._features: OrderedDict[bytes, Features] = OrderedDict()

    def get_or_encode(
        self, media: Sequence[Medium], encode: Callable[[Sequence[Medium]], Sequence[Features]]
    ) -> list[Features]:
        """Features of all media, in order; what is not known yet is encoded at once, each content once."""
        new = {medium.digest: medium for medium in media if medium.digest not in self._features}
        if new:
            self._features.update(zip(new, encode(list(new.values())), strict=True))
        found = [self._features[medium.digest] for medium in media]
        for medium in media:
            self._features.move_to_end(medium.digest)
        self._shrink()
        return found

    def _shrink(self) -> None:
        size = sum(features.vectors.nbytes for features in self._features.values())
        while size > self._max_bytes:
            _, oldest = self._features.popitem(last=False)
            size -= oldest.vectors.nbytes

    def __len__(self) -> int:
        return len(self._features)
