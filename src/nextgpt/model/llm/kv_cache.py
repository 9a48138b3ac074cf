"""Attention keys and values of several conversations side by side, each of which can be taken out and put back.

The cache grows at its end, into room that is there already. A row that has fewer positions to feed than the others is
padded at the left, and ``mask`` remembers which places are real; positions are the rows' own, so holes do no harm::

    fed first    A a a a a      then    . . a     mask  1 1 1 1  0 0 1
                 B . . b b              b b b           0 0 1 1  1 1 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers.cache_utils import Cache, DynamicLayer


@dataclass(frozen=True, eq=False)
class SequenceKV:
    """What one conversation has left in every layer, without padding."""

    layers: tuple[tuple[Float[Tensor, "heads t d"], Float[Tensor, "heads t d"]], ...]

    @property
    def length(self) -> int:
        """Positions."""
        return self.layers[0][0].shape[1] if self.layers else 0

    @property
    def size_bytes(self) -> int:
        """Memory that it takes."""
        return sum(tensor.nbytes for pair in self.layers for tensor in pair)

    def prefix(self, length: int) -> SequenceKV:
        """The first positions."""
        return SequenceKV(tuple((keys[:, :length], values[:, :length]) for keys, values in self.layers))


class PreallocatedLayer(DynamicLayer):
    """A layer of transformers' cache whose tensors have room to grow: what is fed is written behind what is there,
    where :class:`DynamicLayer` copies everything at every step.

    ``keys`` and ``values`` are views of what is filled.
    """

    def __init__(self) -> None:
        super().__init__()
        self._buffers: list[Tensor] = []
        """Keys and values, (rows, heads, positions, d) each, with room in the first and the third dimension."""

    def update(
        self, key_states: Tensor, value_states: Tensor, *_: object, **__: object
    ) -> tuple[Tensor, Tensor]:
        """Add positions to every row; give all of them."""
        rows, _, fed, _ = key_states.shape
        start = 0 if self.keys is None else self.keys.shape[2]
        self.reshape(rows, start + fed, like=(key_states, value_states))
        self.keys.narrow(2, start, fed).copy_(key_states)
        self.values.narrow(2, start, fed).copy_(value_states)
        return self.keys, self.values

    def reshape(self, rows: int, length: int, *, like: Sequence[Tensor]) -> None:
        """Be so many rows of so many positions; what was filled stays, what is new may hold anything finite."""
        filled = [] if self.keys is None else [self.keys, self.values]
        if not self._buffers or rows > self._buffers[0].shape[0] or length > self._buffers[0].shape[2]:
            size = _next_capacity(rows, 1), _next_capacity(length, MIN_CAPACITY)
            self._buffers = [
                states.new_zeros(size[0], states.shape[1], size[1], states.shape[3]) for states in like
            ]
            for room, old in zip(self._buffers, filled, strict=False):
                room[: old.shape[0], :, : old.shape[2]] = old
        self.dtype, self.device, self.is_initialized = like[0].dtype, like[0].device, True
        self.keys, self.values = (room.narrow(0, 0, rows).narrow(2, 0, length) for room in self._buffers)

    def move(self, moves: Sequence[tuple[int, int]], rows: int) -> None:
        """Copy rows from one place to another, and keep so many."""
        for room in self._buffers:
            for origin, place in moves:
                room[place] = room[origin]
        self.reshape(rows, self.get_seq_length(), like=self._buffers)

    def drop_leading(self, first: int) -> None:
        """Drop the positions before ``first``."""
        filled = [self.keys[:, :, first:].clone(), self.values[:, :, first:].clone()]
        for room, kept in zip(self._buffers, filled, strict=True):
            room[: kept.shape[0], :, : kept.shape[2]] = kept
        self.reshape(filled[0].shape[0], filled[0].shape[2], like=self._buffers)


MIN_CAPACITY = 64
"""Positions."""
TRIM_THRESHOLD = 64
"""So many positions that are padding in every row are worth moving the others."""


def _next_capacity(needed: int, least: int) -> int:
    """The next power of two."""
    return max(least, 1 << (needed - 1).bit_length()) if needed else least


class BatchedKVCache:
    """The cache of a batch of conversations, whose rows come and go without the others being copied."""

    def __init__(self, rows: Sequence[SequenceKV | None], device: torch.device) -> None:
        self.cache = Cache(layer_class_to_replicate=PreallocatedLayer)
        self.mask: Bool[Tensor, "B past"] = torch.zeros(0, 0, dtype=torch.bool, device=device)
        self._insert(rows)

    def extend(self, mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B past_and_T"]:
        """Make room for what is fed next; give the mask over all."""
        self.mask = torch.cat([self.mask, mask], dim=1)
        return self.mask

    def select(self, rows: Sequence[int]) -> list[int]:
        """Keep these rows only; give them in their new order, as the last ones fill the gaps of those that go."""
        kept = sorted(rows)
        order = list(range(len(kept)))
        moves = list(zip(kept[_count_below(kept, len(kept)) :], sorted({*order} - {*kept}), strict=True))
        for origin, place in moves:
            order[place] = origin
        for layer in self._layers:
            layer.move(moves, len(kept))
        self.mask = self.mask[order]
        return order

    def append(self, other: BatchedKVCache) -> None:
        """Put the rows of another cache behind one's own, right-aligned; what is padding in all of them goes first."""
        self._drop_leading_padding()
        rows = [other.extract(index) for index in range(len(other.mask))]
        self._insert(rows)

    def extract(self, index: int) -> SequenceKV:
        """One row's own keys and values, without the padding."""
        real = self.mask[index].nonzero()[:, 0]
        return SequenceKV(
            tuple((layer.keys[index].index_select(1, real), layer.values[index].index_select(1, real))
                  for layer in self._layers)
        )  # fmt: skip

    @property
    def _layers(self) -> list[PreallocatedLayer]:
        return self.cache.layers

    def _insert(self, rows: Sequence[SequenceKV | None]) -> None:
        """Add rows whose last positions stand at the end."""
        lengths = [0 if row is None else row.length for row in rows]
        before, past = self.mask.shape
        end = max([past, *lengths])
        mask = self.mask.new_zeros(before + len(rows), end)
        mask[:before, :past] = self.mask
        for place, length in enumerate(lengths, start=before):
            mask[place, end - length :] = length > 0
        self.mask = mask
        self._insert_layers([row or SequenceKV(()) for row in rows], before, end)

    def _insert_layers(self, rows: Sequence[SequenceKV], before: int, end: int) -> None:
        pattern = next((row for row in rows if row.length), None)
        if not self.cache.layers and pattern:
            self.cache.layers = [PreallocatedLayer() for _ in pattern.layers]
        for number, layer in enumerate(self._layers):
            like = pattern.layers[number] if pattern else (layer.keys[0], layer.values[0])
            layer.reshape(before + len(rows), end, like=[states[None] for states in like])
            for place, row in enumerate(rows, start=before):
                if row.length:
                    for states, known in zip((layer.keys, layer.values), row.layers[number], strict=True):
                        states[place, :, end - row.length :] = known

    def _drop_leading_padding(self) -> None:
        """Drop the first positions where they are padding in every row."""
        is_real = self.mask.any(dim=0)
        first = int(is_real.int().argmax()) if is_real.any() else 0
        if first >= TRIM_THRESHOLD:
            self.mask = self.mask[:, first:]
            for layer in self._layers:
                layer.drop_leading(first)


def _count_below(values: Sequence[int], limit: int) -> int:
    return sum(value < limit for value in values)
