"""Attention keys and values of several conversations side by side, each of which can be taken out and put back.

The cache only grows at its end. A row that has fewer positions to feed than the others is padded at the left, and
``mask`` remembers which places are real::

    fed first    A a a a a      then    . . a     mask  1 1 1 1  0 0 1
                 B . . b b              b b b           0 0 1 1  1 1 1
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor
from transformers import DynamicCache


@dataclass(frozen=True, eq=False)
class RowKeyValues:
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

    def head(self, length: int) -> RowKeyValues:
        """The first positions."""
        return RowKeyValues(tuple((keys[:, :length], values[:, :length]) for keys, values in self.layers))


class KeyValues:
    """The cache of a batch of conversations."""

    def __init__(self, rows: Sequence[RowKeyValues | None], device: torch.device) -> None:
        lengths = [0 if row is None else row.length for row in rows]
        steps = torch.arange(max(lengths))
        self.cache = DynamicCache()
        padding = torch.tensor([max(lengths) - length for length in lengths])
        self.mask: Bool[Tensor, "B past"] = (steps >= padding[:, None]).to(device)
        layers = next((len(row.layers) for row in rows if row is not None and row.length), 0)
        for layer in range(layers):
            self.cache.update(*(_stack(rows, layer, kind, max(lengths)) for kind in (0, 1)), layer)

    def extend(self, mask: Bool[Tensor, "B T"]) -> Bool[Tensor, "B past_and_T"]:
        """Make room for what is fed next; give the mask over all."""
        self.mask = torch.cat([self.mask, mask], dim=1)
        return self.mask

    def select(self, rows: list[int]) -> None:
        """Keep these rows only."""
        self.mask = self.mask[rows]
        self.cache.batch_select_indices(torch.tensor(rows, device=self.mask.device))

    def row(self, index: int) -> RowKeyValues:
        """One row's own keys and values, without the padding."""
        real = self.mask[index]
        return RowKeyValues(
            tuple((layer.keys[index][:, real], layer.values[index][:, real]) for layer in self.cache.layers)
        )


def _stack(
    rows: Sequence[RowKeyValues | None], layer: int, kind: int, length: int
) -> Float[Tensor, "B heads past d"]:
    """One layer's keys (kind 0) or values (kind 1) of all rows, padded with zeros at the left."""
    template = next(row.layers[layer][kind] for row in rows if row is not None and row.length)
    heads, _, width = template.shape
    stacked = template.new_zeros(len(rows), heads, length, width)
    for index, row in enumerate(rows):
        if row is not None and row.length:
            stacked[index, :, length - row.length :] = row.layers[layer][kind]
    return stacked
