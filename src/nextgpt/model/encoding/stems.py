"""Stems of the towers: pixels, mel bins, measurements or token ids to tokens with positions.

Module names are those of the published state dict, e.g. ``rgbt_stem.proj.1.weight``.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from nextgpt.model.encoding.config import AudioTower, DepthTower, ImuTower, TextTower, ThermalTower, Tower, VisionTower


class StemOutput(NamedTuple):
    """Tokens for the trunk."""

    states: Float[Tensor, "B T D"]
    pool_index: Int[Tensor, " B"]
    """Position of the token that represents the item."""
    mask: Float[Tensor, "T T"] | None = None
    """Added to the attention scores."""


class PatchStem(nn.Module):
    """A class token, patches and learned positions.

    Inputs with fewer patches use the first positions: an image in the vision tower has those of the first frame.
    """

    def __init__(self, name: str, patches: nn.Module, positions: PositionEmbedding, width: int) -> None:
        super().__init__()
        self._name = name
        self.add_module(name, patches)
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.pos_embedding_helper = positions

    def forward(self, batch: Float[Tensor, "B ..."]) -> StemOutput:
        patches = self.get_submodule(self._name)(batch)  # (B, P, D)
        states = torch.cat((self.cls_token.expand(len(patches), -1, -1), patches), dim=1)
        states = states + self.pos_embedding_helper.pos_embed[:, : states.shape[1]]
        return StemOutput(states, states.new_zeros(len(states), dtype=torch.long))


class PositionEmbedding(nn.Module):
    """Learned positions; a separate module because of their published name."""

    def __init__(self, count: int, width: int) -> None:
        super().__init__()
        self.pos_embed = nn.Parameter(torch.randn(1, count, width) * width**-0.5)


class PatchEmbedding(nn.Module):
    """A patch convolution with an optional norm."""

    def __init__(self, proj: nn.Module, norm_layer: nn.Module | None) -> None:
        super().__init__()
        self.proj = proj
        self.norm_layer = norm_layer

    def forward(self, x: Float[Tensor, "B ..."]) -> Float[Tensor, "B P D"]:
        tokens = self.proj(x).flatten(2).transpose(1, 2)
        return tokens if self.norm_layer is None else self.norm_layer(tokens)


class RepeatFrame(nn.Module):
    """Repeat a single frame until it fills one patch in time."""

    def __init__(self, frames: int) -> None:
        super().__init__()
        self.frames = frames

    def forward(self, x: Float[Tensor, "B C F H W"]) -> Float[Tensor, "B C F2 H W"]:
        return x.expand(-1, -1, self.frames, -1, -1) if x.shape[2] == 1 else x


class ImuStem(nn.Module):
    """A class token, windows of all channels, and learned positions."""

    def __init__(self, channels: int, samples: int, window: int, width: int) -> None:
        super().__init__()
        self.window = window
        self.imu_stem = PatchEmbedding(nn.Linear(channels * window, width, bias=False), nn.LayerNorm(width))
        self.cls_token = nn.Parameter(torch.randn(1, 1, width) * width**-0.5)
        self.pos_embed = nn.Parameter(torch.randn(1, samples // window + 1, width) * 0.01)

    def forward(self, batch: Float[Tensor, "B C S"]) -> StemOutput:
        windows = batch.unfold(-1, self.window, self.window).transpose(1, 2).flatten(2)  # (B, P, C * window)
        tokens = self.imu_stem.norm_layer(self.imu_stem.proj(windows))
        states = torch.cat((self.cls_token.expand(len(tokens), -1, -1), tokens), dim=1) + self.pos_embed
        return StemOutput(states, states.new_zeros(len(states), dtype=torch.long))


class TextStem(nn.Module):
    """Token embeddings, learned positions and a causal mask."""

    def __init__(self, vocabulary: int, positions: int, end_token_id: int, width: int) -> None:
        super().__init__()
        self.end_token_id = end_token_id
        self.token_embedding = nn.Embedding(vocabulary, width)
        self.pos_embed = nn.Parameter(torch.randn(1, positions, width) * 0.01)
        self.register_buffer("mask", torch.full((positions, positions), float("-inf")).triu(1))
        nn.init.normal_(self.token_embedding.weight, std=0.02)

    def forward(self, batch: Int[Tensor, "B T"]) -> StemOutput:
        length = batch.shape[1]
        states = self.token_embedding(batch) + self.pos_embed[:, :length]
        first_end = (batch == self.end_token_id).int().argmax(dim=1)
        return StemOutput(states, first_end, self.mask[:length, :length])


def create_stem(name: str, tower: Tower) -> nn.Module:
    """Build the stem of the tower ``name``."""
    return STEMS[name](tower)


def _vision(tower: VisionTower) -> nn.Module:
    kernel = (tower.patch_frames, tower.patch_px, tower.patch_px)
    conv = nn.Conv3d(3, tower.width, kernel, stride=kernel, bias=False)
    # The published stem repeats an image at index 0 of a sequence and convolves at index 1.
    patches = PatchEmbedding(nn.Sequential(RepeatFrame(tower.patch_frames), conv), norm_layer=None)
    count = tower.frames // tower.patch_frames * (tower.size_px // tower.patch_px) ** 2
    return PatchStem("rgbt_stem", patches, PositionEmbedding(count + 1, tower.width), tower.width)


def _single_channel_stem(name: str, size: tuple[int, int], patch: int, stride: int, width: int) -> nn.Module:
    conv = nn.Conv2d(1, width, patch, stride=stride, bias=False)
    rows, columns = ((side - patch) // stride + 1 for side in size)
    return PatchStem(
        name, PatchEmbedding(conv, nn.LayerNorm(width)), PositionEmbedding(rows * columns + 1, width), width
    )


def _audio(tower: AudioTower) -> nn.Module:
    return _single_channel_stem("rgbt_stem", (tower.mel_bins, tower.frames), tower.patch, tower.stride, tower.width)


def _depth(tower: DepthTower) -> nn.Module:
    return _single_channel_stem("depth_stem", (tower.size_px,) * 2, tower.patch_px, tower.patch_px, tower.width)


def _thermal(tower: ThermalTower) -> nn.Module:
    return _single_channel_stem("rgbt_stem", (tower.size_px,) * 2, tower.patch_px, tower.patch_px, tower.width)


def _text(tower: TextTower) -> nn.Module:
    return TextStem(tower.vocabulary, tower.positions, tower.end_token_id, tower.width)


def _imu(tower: ImuTower) -> nn.Module:
    return ImuStem(tower.channels, tower.samples, tower.window, tower.width)


STEMS: dict[str, Callable[..., nn.Module]] = {
    "vision": _vision,
    "text": _text,
    "audio": _audio,
    "depth": _depth,
    "thermal": _thermal,
    "imu": _imu,
}
"""Stem builders by tower."""
