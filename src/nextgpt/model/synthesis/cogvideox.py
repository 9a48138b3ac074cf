"""CogVideoX's transformer in plain PyTorch, the denoiser of nano.

It reads folders of diffusers' ``CogVideoXTransformer3DModel`` and computes the same. Importing that class takes longer
than generating an image with it. Training and other CogVideoX models than those of :func:`is_supported` use diffusers.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Num
from torch import Tensor, nn

from nextgpt.model.synthesis.base import Conditions, Latents

QK_NORM_EPS = 1e-6
MAX_PERIOD = 10_000
_REQUIRED = {
    "use_rotary_positional_embeddings": False,
    "use_learned_positional_embeddings": False,
    "patch_size_t": None,
    "ofs_embed_dim": None,
    "activation_fn": "gelu-approximate",
    "timestep_activation_fn": "silu",
}


def is_supported(config: Mapping[str, Any]) -> bool:
    """Return whether :class:`CogVideoX` computes what diffusers does with this config."""
    return all(config.get(name, value) == value for name, value in _REQUIRED.items())


class CogVideoX(nn.Module):
    """Transformer with joint attention over condition and latents; inference only.

    Args:
        config: Config of diffusers' class.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        heads, width = config["num_attention_heads"], config["num_attention_heads"] * config["attention_head_dim"]
        time_width, patch = config["time_embed_dim"], config["patch_size"]
        affine, eps = config["norm_elementwise_affine"], config["norm_eps"]
        self.config = config
        self.width, self.patch = width, patch
        self.patch_embed = nn.ModuleDict(
            {
                "proj": nn.Conv2d(config["in_channels"], width, patch, stride=patch, bias=config["patch_bias"]),
                "text_proj": nn.Linear(config["text_embed_dim"], width),
            }
        )
        self.time_embedding = nn.ModuleDict(
            {"linear_1": nn.Linear(width, time_width), "linear_2": nn.Linear(time_width, time_width)}
        )
        self.transformer_blocks = nn.ModuleList(
            CogVideoXBlock(width, heads, time_width, affine=affine, eps=eps, has_bias=config["attention_bias"])
            for _ in range(config["num_layers"])
        )
        self.norm_final = nn.LayerNorm(width, eps, affine)
        self.norm_out = nn.ModuleDict(
            {"linear": nn.Linear(time_width, 2 * width), "norm": nn.LayerNorm(width, eps, affine)}
        )
        self.proj_out = nn.Linear(width, patch**2 * config["out_channels"])
        self._position_tables: dict[tuple[int, int, int], Tensor] = {}

    def forward(
        self, latents: Latents, conditions: Conditions, timesteps: Num[Tensor, " B"], *, return_dict: bool = False
    ) -> tuple[Latents]:
        """Return the prediction, as diffusers' class does with ``return_dict=False``."""
        assert not return_dict, "only tuples are returned"
        time = self._embed_time(timesteps, latents.dtype)  # (B, time_width)
        # Integers: sizes are tensors while a trace is recorded, and all but the batch size are constant.
        frames, height, width = int(latents.shape[1]), *(int(size) // self.patch for size in latents.shape[3:])
        x = self.patch_embed["proj"](latents.flatten(0, 1))  # (B F, D, h, w)
        x = x.unflatten(0, latents.shape[:2]).flatten(3).transpose(2, 3).flatten(1, 2)  # (B, F h w, D)
        x = x + self._positions(frames, height, width, x)
        text = self.patch_embed["text_proj"](conditions)
        for block in self.transformer_blocks:
            x, text = block(x, text, time)
        shift, scale = self.norm_out["linear"](F.silu(time)).chunk(2, dim=1)
        x = self.norm_out["norm"](self.norm_final(x)) * (1 + scale[:, None]) + shift[:, None]
        x = self.proj_out(x).unflatten(1, (frames, height, width)).unflatten(-1, (-1, self.patch, self.patch))
        return (x.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4),)  # (B, F, Z, H, W)

    @property
    def dtype(self) -> torch.dtype:
        """Dtype of the weights."""
        return self.proj_out.weight.dtype

    def _embed_time(self, timesteps: Num[Tensor, " B"], dtype: torch.dtype) -> Float[Tensor, "B time_width"]:
        half = self.width // 2
        exponent = -math.log(MAX_PERIOD) * torch.arange(half, dtype=torch.float32, device=timesteps.device)
        exponent = exponent / (half - self.config["freq_shift"])
        angles = timesteps[:, None].float() * exponent.exp()
        waves = [angles.cos(), angles.sin()] if self.config["flip_sin_to_cos"] else [angles.sin(), angles.cos()]
        hidden = self.time_embedding["linear_1"](torch.cat(waves, dim=-1).to(dtype))
        return self.time_embedding["linear_2"](F.silu(hidden))

    def _positions(self, frames: int, height: int, width: int, like: Tensor) -> Float[Tensor, "patches D"]:
        shape = frames, height, width
        if shape not in self._position_tables:
            with torch.inference_mode(False):  # training may use it later
                self._position_tables = {shape: self._position_table(*shape)}
        return self._position_tables[shape].to(like)

    def _position_table(self, frames: int, height: int, width: int) -> Float[Tensor, "patches D"]:
        """Return sine-cosine positions: a quarter of the channels for time, the others for column and row."""
        space, time = 3 * self.width // 4, self.width // 4
        spatial_scale = self.config["spatial_interpolation_scale"]
        columns = _waves(space // 2, torch.arange(width) / spatial_scale).expand(frames, height, width, -1)
        rows = _waves(space // 2, torch.arange(height) / spatial_scale)[:, None].expand(frames, height, width, -1)
        times = _waves(time, torch.arange(frames) / self.config["temporal_interpolation_scale"])
        table = torch.cat([times[:, None, None].expand(frames, height, width, -1), columns, rows], dim=-1)
        return table.flatten(0, 2).float()


def _waves(width: int, positions: Float[Tensor, " n"]) -> Float[Tensor, "n width"]:
    frequencies = 1.0 / MAX_PERIOD ** (torch.arange(width // 2, dtype=torch.float64) / (width / 2))
    angles = torch.outer(positions.float().double(), frequencies)
    return torch.cat([angles.sin(), angles.cos()], dim=1)


class CogVideoXBlock(nn.Module):
    """Joint attention and feed-forward, each modulated by the time."""

    def __init__(self, width: int, heads: int, time_width: int, *, affine: bool, eps: float, has_bias: bool) -> None:
        super().__init__()
        self.norm1 = ModulatedNorm(width, time_width, affine=affine, eps=eps)
        self.attn1 = JointAttention(width, heads, has_bias=has_bias)
        self.norm2 = ModulatedNorm(width, time_width, affine=affine, eps=eps)
        self.ff = FeedForward(width)

    def forward(self, x: Tensor, text: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """Return the latents (B, P, D) and the condition (B, Q, D) after the block."""
        for norm, layer in ((self.norm1, self.attn1), (self.norm2, self.ff)):
            inputs, gate, text_gate = norm(x, text, time)
            outputs = layer(inputs)
            x = x + gate * outputs[:, text.shape[1] :]
            text = text + text_gate * outputs[:, : text.shape[1]]
        return x, text


class ModulatedNorm(nn.Module):
    """Layer norm whose scale, shift and gate depend on the time, apart for condition and latents."""

    def __init__(self, width: int, time_width: int, *, affine: bool, eps: float) -> None:
        super().__init__()
        self.linear = nn.Linear(time_width, 6 * width)
        self.norm = nn.LayerNorm(width, eps, affine)

    def forward(self, x: Tensor, text: Tensor, time: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return condition and latents in one sequence (B, Q + P, D), and their gates (B, 1, D)."""
        modulation = self.linear(F.silu(time))[:, None].chunk(6, dim=2)
        shift, scale, gate, text_shift, text_scale, text_gate = modulation
        parts = [self.norm(text) * (1 + text_scale) + text_shift, self.norm(x) * (1 + scale) + shift]
        return torch.cat(parts, dim=1), gate, text_gate


class JointAttention(nn.Module):
    """Self-attention with normalized queries and keys."""

    def __init__(self, width: int, heads: int, *, has_bias: bool) -> None:
        super().__init__()
        self.heads = heads
        self.to_q, self.to_k, self.to_v = (nn.Linear(width, width, bias=has_bias) for _ in range(3))
        self.norm_q, self.norm_k = (nn.LayerNorm(width // heads, QK_NORM_EPS) for _ in range(2))
        self.to_out = nn.ModuleList([nn.Linear(width, width)])

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Return the output at every position."""
        q, k, v = (
            layer(x).unflatten(-1, (self.heads, -1)).transpose(1, 2) for layer in (self.to_q, self.to_k, self.to_v)
        )
        attended = F.scaled_dot_product_attention(self.norm_q(q), self.norm_k(k), v)
        return self.to_out[0](attended.transpose(1, 2).flatten(2))


class FeedForward(nn.Module):
    """Two linear layers around GELU. ``approximate`` may be switched for tracing."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.net = nn.ModuleDict({"0": GELU(width), "2": nn.Linear(4 * width, width)})

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Return the output at every position."""
        return self.net["2"](self.net["0"](x))


class GELU(nn.Module):
    """Linear layer and GELU."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.proj = nn.Linear(width, 4 * width)
        self.approximate = "tanh"

    def forward(self, x: Tensor) -> Tensor:
        """Return four times as many channels."""
        return F.gelu(self.proj(x), approximate=self.approximate)
