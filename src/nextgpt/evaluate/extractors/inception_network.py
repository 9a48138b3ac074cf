"""Inception v3 as FID uses it: the network of 2015-12-05 with 1,008 classes (Szegedy et al., arXiv:1512.00567).

State dict of ``pt_inception-2015-12-05-6726825d.pth``. It differs from torchvision's network in the poolings:
averages ignore the padding, and the last block takes the maximum.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn import functional

Size = int | tuple[int, int]


class ConvNorm(nn.Module):
    """Convolution, batch norm, ReLU."""

    def __init__(self, before: int, after: int, size: Size, stride: int = 1, *, padded: bool = False) -> None:
        super().__init__()
        rows, columns = (size, size) if isinstance(size, int) else size
        padding = (rows // 2, columns // 2) if padded else 0
        self.conv = nn.Conv2d(before, after, (rows, columns), stride, padding, bias=False)
        self.bn = nn.BatchNorm2d(after, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return functional.relu(self.bn(self.conv(x)))


Row = tuple[str, int, Size]
"""Name, output channels and size of a convolution, which keeps the resolution."""


def _average(x: Tensor) -> Tensor:
    return functional.avg_pool2d(x, 3, 1, 1, count_include_pad=False)


class _Mixed(nn.Module):
    """Parallel chains of convolutions, concatenated; subclasses list them."""

    def _add(self, before: int, rows: Sequence[Row], *, last_stride: int = 1) -> None:
        for index, (name, after, size) in enumerate(rows):
            is_strided = last_stride > 1 and index == len(rows) - 1
            self.add_module(
                name, ConvNorm(before, after, size, last_stride if is_strided else 1, padded=not is_strided)
            )
            before = after

    def _chain(self, x: Tensor, prefix: str, count: int) -> Tensor:
        for index in range(1, count + 1):
            x = self.get_submodule(f"{prefix}_{index}")(x)
        return x


class BlockA(_Mixed):
    """35 x 35: 1 x 1, 5 x 5, double 3 x 3 and pooling."""

    def __init__(self, before: int, pooled: int) -> None:
        super().__init__()
        self._add(before, [("branch1x1", 64, 1)])
        self._add(before, [("branch5x5_1", 48, 1), ("branch5x5_2", 64, 5)])
        self._add(before, [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)])
        self._add(before, [("branch_pool", pooled, 1)])

    def forward(self, x: Tensor) -> Tensor:
        branches = self.branch1x1(x), self._chain(x, "branch5x5", 2), self._chain(x, "branch3x3dbl", 3)
        return torch.cat([*branches, self.branch_pool(_average(x))], 1)


class BlockB(_Mixed):
    """35 x 35 to 17 x 17."""

    def __init__(self, before: int) -> None:
        super().__init__()
        self._add(before, [("branch3x3", 384, 3)], last_stride=2)
        rows: list[Row] = [("branch3x3dbl_1", 64, 1), ("branch3x3dbl_2", 96, 3), ("branch3x3dbl_3", 96, 3)]
        self._add(before, rows, last_stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat([self.branch3x3(x), self._chain(x, "branch3x3dbl", 3), functional.max_pool2d(x, 3, 2)], 1)


class BlockC(_Mixed):
    """17 x 17: 1 x 1, factored 7 x 7, double factored 7 x 7 and pooling."""

    def __init__(self, inner: int) -> None:
        super().__init__()
        row, column = (1, 7), (7, 1)
        self._add(768, [("branch1x1", 192, 1)])
        self._add(768, [("branch7x7_1", inner, 1), ("branch7x7_2", inner, row), ("branch7x7_3", 192, column)])
        double: list[Row] = [("branch7x7dbl_1", inner, 1), ("branch7x7dbl_2", inner, column)]
        double += [("branch7x7dbl_3", inner, row), ("branch7x7dbl_4", inner, column), ("branch7x7dbl_5", 192, row)]
        self._add(768, double)
        self._add(768, [("branch_pool", 192, 1)])

    def forward(self, x: Tensor) -> Tensor:
        branches = self.branch1x1(x), self._chain(x, "branch7x7", 3), self._chain(x, "branch7x7dbl", 5)
        return torch.cat([*branches, self.branch_pool(_average(x))], 1)


class BlockD(_Mixed):
    """17 x 17 to 8 x 8."""

    def __init__(self) -> None:
        super().__init__()
        self._add(768, [("branch3x3_1", 192, 1), ("branch3x3_2", 320, 3)], last_stride=2)
        rows: list[Row] = [("branch7x7x3_1", 192, 1), ("branch7x7x3_2", 192, (1, 7)), ("branch7x7x3_3", 192, (7, 1))]
        self._add(768, [*rows, ("branch7x7x3_4", 192, 3)], last_stride=2)

    def forward(self, x: Tensor) -> Tensor:
        return torch.cat(
            [self._chain(x, "branch3x3", 2), self._chain(x, "branch7x7x3", 4), functional.max_pool2d(x, 3, 2)], 1
        )


class BlockE(_Mixed):
    """8 x 8: 1 x 1, split 3 x 3, double split 3 x 3 and pooling, which is ``max`` in the last block."""

    def __init__(self, before: int, *, max_pooled: bool) -> None:
        super().__init__()
        self._max_pooled = max_pooled
        self._add(before, [("branch1x1", 320, 1)])
        self._add(before, [("branch3x3_1", 384, 1)])
        self._add(before, [("branch3x3dbl_1", 448, 1), ("branch3x3dbl_2", 384, 3)])
        for name in ("branch3x3_2", "branch3x3dbl_3"):
            self._add(384, [(f"{name}a", 384, (1, 3))])
            self._add(384, [(f"{name}b", 384, (3, 1))])
        self._add(before, [("branch_pool", 192, 1)])

    def forward(self, x: Tensor) -> Tensor:
        single, double = self.branch3x3_1(x), self._chain(x, "branch3x3dbl", 2)
        pooled = functional.max_pool2d(x, 3, 1, 1) if self._max_pooled else _average(x)
        branches = [self.branch1x1(x), self.branch3x3_2a(single), self.branch3x3_2b(single)]
        branches += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(pooled)]
        return torch.cat(branches, 1)


class Inception2015(nn.Module):
    """Inception v3 of FID."""

    def __init__(self, classes: int = 1008) -> None:
        super().__init__()
        self.Conv2d_1a_3x3 = ConvNorm(3, 32, 3, 2)
        self.Conv2d_2a_3x3 = ConvNorm(32, 32, 3)
        self.Conv2d_2b_3x3 = ConvNorm(32, 64, 3, padded=True)
        self.Conv2d_3b_1x1 = ConvNorm(64, 80, 1)
        self.Conv2d_4a_3x3 = ConvNorm(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c, self.Mixed_5d = BlockA(192, 32), BlockA(256, 64), BlockA(288, 64)
        self.Mixed_6a = BlockB(288)
        self.Mixed_6b, self.Mixed_6c, self.Mixed_6d, self.Mixed_6e = map(BlockC, (128, 160, 160, 192))
        self.Mixed_7a = BlockD()
        self.Mixed_7b, self.Mixed_7c = BlockE(1280, max_pooled=False), BlockE(2048, max_pooled=True)
        self.fc = nn.Linear(2048, classes)

    def forward(
        self, pixels: Float[Tensor, "B 3 299 299"]
    ) -> tuple[Float[Tensor, "B 2048"], Float[Tensor, "B classes"]]:
        """Return the features of the last pooling, and the logits; pixels are in [-1, 1]."""
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(pixels)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(functional.max_pool2d(x, 3, 2)))
        x = functional.max_pool2d(x, 3, 2)
        for name, block in self.named_children():
            if name.startswith("Mixed"):
                x = block(x)
        features = x.mean((2, 3))
        return features, self.fc(features)
