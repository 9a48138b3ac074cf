"""KV cache of a batch whose sequences come and go.

The cache grows at its end, inside preallocated buffers. A sequence with fewer positions to feed is padded at the left;
``mask`` marks real positions. Position ids belong to each sequence, so gaps do no harm::

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

MIN_CAPACITY = 64
"""Minimum number of allocated positions."""
TRIM_THRESHOLD = 64
"""Number of leading positions, padding in all sequences, that justifies moving the others."""


@dataclass(frozen=True, eq=False)
class SequenceKV:
    """Keys and values of one sequence in all layers, without padding."""

    layers: tuple[tuple[Float[Tensor, "heads t d"], Float[Tensor, "heads t d"]], ...]

    @property
    def length(self) -> int:
        """Number of positions."""
        return self.layers[0][0].shape[1] if self.layers else 0

    @property
    def size_bytes(self) -> int:
        """Memory of all tensors."""
        return sum(tensor.nbytes for pair in self.layers for tensor in pair)

    def prefix(self, length: int) -> SequenceKV:
        """Return the first ``length`` positions."""
        return SequenceKV(tuple((keys[:, :length], values[:, :length]) for keys, values in self.layers))


class PreallocatedLayer(DynamicLayer):
    """Cache layer with spare capacity: new positions are written in place.

    :class:`DynamicLayer` copies all tensors at every step. Here ``keys`` and ``values`` are views of the used part.
    """

    def __init__(self) -> None:
        super().__init__()
        self._buffers: list[Tensor] = []
        """Keys and values, (rows, heads, positions, d) each, with spare rows and positions."""
        self._rows: list[Tensor] = []
        """The used rows of the buffers, with spare positions."""

    def update(self, key_states: Tensor, value_states: Tensor, *_: object, **__: object) -> tuple[Tensor, Tensor]:
        """Append positions to all rows; return all keys and values."""
        rows, _, new, _ = key_states.shape
        start = 0 if self.keys is None else self.keys.shape[2]
        length = start + new
        if not self._has_room(rows, length):
            self.reshape(rows, length, like=(key_states, value_states))
        keys, values = self._rows
        keys.narrow(2, start, new).copy_(key_states)
        values.narrow(2, start, new).copy_(value_states)
        self.keys, self.values = keys.narrow(2, 0, length), values.narrow(2, 0, length)
        return self.keys, self.values

    def reserve(self, rows: int, new: int, *, heads: int, width: int, like: Tensor) -> list[Tensor]:
        """Return buffers of keys and values, (rows, heads, capacity, d), with room for ``new`` more positions.

        Who writes them sets :attr:`keys` and :attr:`values` to the used part. ``like`` has dtype and device.
        """
        length = 0 if self.keys is None else self.keys.shape[2]
        if not self._has_room(rows, length + new):
            states = like.new_empty(rows, heads, 0, width)
            self.reshape(rows, length + new, like=(states, states))
            self.keys, self.values = (buffer.narrow(2, 0, length) for buffer in self._rows)
        return self._rows

    def _has_room(self, rows: int, length: int) -> bool:
        return bool(self._rows) and self._rows[0].shape[0] == rows and self._rows[0].shape[2] >= length

    def reshape(self, rows: int, length: int, *, like: Sequence[Tensor]) -> None:
        """Resize to ``rows`` x ``length``. Used entries stay; new ones have arbitrary finite values."""
        if not self._buffers or rows > self._buffers[0].shape[0] or length > self._buffers[0].shape[2]:
            self._allocate(_next_capacity(rows, 1), _next_capacity(length, MIN_CAPACITY), like)
        if not self._rows or self._rows[0].shape[0] != rows:
            self._rows = [buffer.narrow(0, 0, rows) for buffer in self._buffers]
        self.keys, self.values = (buffer.narrow(2, 0, length) for buffer in self._rows)

    def _allocate(self, rows: int, length: int, like: Sequence[Tensor]) -> None:
        """Replace the buffers by larger ones with the same entries."""
        used = [] if self.keys is None else [self.keys, self.values]
        self._buffers = [states.new_zeros(rows, states.shape[1], length, states.shape[3]) for states in like]
        self._rows = []
        for buffer, old in zip(self._buffers, used, strict=False):
            buffer[: old.shape[0], :, : old.shape[2]] = old
        self.dtype, self.device, self.is_initialized = like[0].dtype, like[0].device, True

    def move(self, moves: Sequence[tuple[int, int]], rows: int) -> None:
        """Copy rows (from, to), then keep the first ``rows``."""
        for buffer in self._buffers:
            for origin, target in moves:
                buffer[target] = buffer[origin]
        self.reshape(rows, self.get_seq_length(), like=self._buffers)

    def drop_leading(self, count: int) -> None:
        """Drop the first ``count`` positions."""
        remaining = [self.keys[:, :, count:].clone(), self.values[:, :, count:].clone()]
        for buffer, states in zip(self._buffers, remaining, strict=True):
            buffer[: states.shape[0], :, : states.shape[2]] = states
        self.reshape(remaining[0].shape[0], remaining[0].shape[2], like=self._buffers)


def _next_capacity(needed: int, minimum: int) -> int:
    """Return the next power of two, at least ``minimum``."""
    return max(minimum, 1 << (needed - 1).bit_length()) if needed else minimum


class BatchedKVCache:
    """KV cache of a batch; sequences are added and removed without copying the others."""

    def __init__(self, sequences: Sequence[SequenceKV | None], device: torch.device) -> None:
        self.cache = Cache(layer_class_to_replicate=PreallocatedLayer)
        self.mask: Bool[Tensor, "B past"] = torch.zeros(0, 0, dtype=torch.bool, device=device)
        self._insert(sequences)

    def extend(self, mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B past_and_T"]:
        """Append the mask of the next positions; return the mask of all positions."""
        self.mask = torch.cat([self.mask, mask], dim=1)
        return self.mask

    def select(self, rows: Sequence[int]) -> list[int]:
        """Keep these rows; return them in their new order, in which the last ones fill the gaps."""
        selected = sorted(rows)
        order = list(range(len(selected)))
        in_place = sum(row < len(selected) for row in selected)
        moves = list(zip(selected[in_place:], sorted({*order} - {*selected}), strict=True))
        for origin, target in moves:
            order[target] = origin
        for layer in self._layers:
            layer.move(moves, len(selected))
        self.mask = self.mask[order]
        return order

    def append(self, other: BatchedKVCache) -> None:
        """Append the sequences of another cache, right-aligned; drop padding common to all own sequences first."""
        self._drop_leading_padding()
        self._insert([other.extract(index) for index in range(len(other.mask))])

    def extract(self, index: int) -> SequenceKV:
        """Return a copy of one sequence without padding."""
        positions = self.mask[index].nonzero()[:, 0]
        return SequenceKV(
            tuple(
                (layer.keys[index].index_select(1, positions), layer.values[index].index_select(1, positions))
                for layer in self._layers
            )
        )

    @property
    def _layers(self) -> list[PreallocatedLayer]:
        return self.cache.layers

    def _insert(self, sequences: Sequence[SequenceKV | None]) -> None:
        """Append sequences so that their last positions are at the end."""
        lengths = [0 if sequence is None else sequence.length for sequence in sequences]
        before, past = self.mask.shape
        end = max([past, *lengths])
        mask = self.mask.new_zeros(before + len(sequences), end)
        mask[:before, :past] = self.mask
        for row, length in enumerate(lengths, start=before):
            mask[row, end - length :] = length > 0
        self.mask = mask
        self._insert_layers([sequence or SequenceKV(()) for sequence in sequences], before, end)

    def _insert_layers(self, sequences: Sequence[SequenceKV], before: int, end: int) -> None:
        example = next((sequence for sequence in sequences if sequence.length), None)
        if not self.cache.layers and example:
            self.cache.layers = [PreallocatedLayer() for _ in example.layers]
        for number, layer in enumerate(self._layers):
            like = example.layers[number] if example else (layer.keys[0], layer.values[0])
            layer.reshape(before + len(sequences), end, like=[states[None] for states in like])
            for row, sequence in enumerate(sequences, start=before):
                if sequence.length:
                    for states, cached in zip((layer.keys, layer.values), sequence.layers[number], strict=True):
                        states[row, :, end - sequence.length :] = cached

    def _drop_leading_padding(self) -> None:
        """Drop leading positions that are padding in all sequences."""
        is_real = self.mask.any(dim=0)
        first = int(is_real.int().argmax()) if is_real.any() else 0
        if first >= TRIM_THRESHOLD:
            self.mask = self.mask[:, first:]
            for layer in self._layers:
                layer.drop_leading(first)
