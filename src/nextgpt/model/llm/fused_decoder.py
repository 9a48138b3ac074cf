"""A Llama for fast decoding on a CPU: projections with the same input are one product, in a fast number format.

At a few rows per step the calls cost as much as the arithmetic, so a layer has few operations, and for one new position
per row they run as TorchScript. The KV cache has layers of :class:`.kv_cache.PreallocatedLayer`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, no_type_check

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.cache_utils import Cache
from transformers.configuration_utils import PreTrainedConfig

from nextgpt.model.cpu_speed import fastest_decoding_dtype
from nextgpt.model.fused_linear import FusedDtype, FusedLinear, create_fused_linear
from nextgpt.model.llm.base import CausalLM
from nextgpt.model.llm.kv_cache import PreallocatedLayer
from nextgpt.model.llm.llama import rotary_frequencies
from nextgpt.model.torchscript import script_or_eager

MIN_FUSED_WIDTH = 512
"""Width from which the fused decoder is faster. Smaller LLMs are bound by calls, not by reading weights."""
_MASKED = -1e9


@dataclass(frozen=True)
class _Step:
    """Inputs of all layers in one forward pass."""

    batch: int
    length: int
    cos: Float[Tensor, "B T 1 d"]
    sin: Float[Tensor, "B T 1 d"]
    """Signed for :func:`rotate`."""
    rotation: Float[Tensor, "B d d"] | None
    """:func:`rotate` as a matrix, if there is one position per row: then one product takes less than its operations."""
    bias: Tensor | None
    """Additive attention mask of all queries; None if nothing is masked."""


class FusedLayer:
    """A decoder layer.

    Args:
        weight_of: Returns the weight of a linear layer by its name, adapters merged.
    """

    def __init__(
        self, layer: Any, config: Mapping[str, Any], weight_of: Callable[[str], Tensor], *, dtype: FusedDtype
    ) -> None:
        self.num_heads, self.num_kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.head_width = config["head_dim"]
        queries = weight_of("self_attn.q_proj").float() / self.head_width**0.5  # so that attention needs no scale
        keys_values = [weight_of("self_attn.k_proj"), weight_of("self_attn.v_proj")]
        gate_up = [weight_of("mlp.gate_proj"), weight_of("mlp.up_proj")]
        norms = {"dtype": dtype, "eps": config["rms_norm_eps"]}
        self.qkv = create_fused_linear([queries, *keys_values], norm=layer.input_layernorm.weight, **norms)
        self.output = create_fused_linear([weight_of("self_attn.o_proj")], dtype=dtype)
        self.gate_up = create_fused_linear(gate_up, norm=layer.post_attention_layernorm.weight, **norms)
        self.down = create_fused_linear([weight_of("mlp.down_proj")], dtype=dtype)
        self._next_row = script_or_eager(
            RowLayer(self.qkv, self.output, self.gate_up, self.down, self.num_heads, self.num_kv_heads)
        )

    def __call__(self, x: Float[Tensor, "BT D"], step: _Step, kv: PreallocatedLayer) -> Float[Tensor, "BT D"]:
        """Return the states after the layer; ``kv`` is its layer of the cache."""
        if step.rotation is not None:
            buffers = kv.reserve(step.batch, 1, heads=self.num_kv_heads, width=self.head_width, like=x)
            x, kv.keys, kv.values = self._next_row(x, step.rotation, step.bias, *buffers, kv.get_seq_length())
            return x
        x = self.output(self._attend(self.qkv(x), step, kv), residual=x)
        gate, up = self.gate_up(x).chunk(2, dim=-1)
        return self.down(F.silu(gate).mul_(up), residual=x)

    def _attend(self, projected: Float[Tensor, "BT _"], step: _Step, kv: PreallocatedLayer) -> Float[Tensor, "BT _"]:
        heads = projected.view(step.batch, step.length, -1, self.head_width)  # (B, T, q + 2 kv, d)
        num_rotated = self.num_heads + self.num_kv_heads
        rotated = rotate(heads[:, :, :num_rotated], step.cos, step.sin)
        keys, values = kv.update(
            rotated[:, :, self.num_heads :].transpose(1, 2), heads[:, :, num_rotated:].transpose(1, 2)
        )
        # Query heads that share a key head are rows of one product: (B, kv, q / kv * T, d).
        grouped = rotated[:, :, : self.num_heads].unflatten(2, (self.num_kv_heads, -1)).permute(0, 2, 3, 1, 4)
        attended = F.scaled_dot_product_attention(
            grouped.flatten(2, 3), keys, values, attn_mask=step.bias, scale=1.0
        ).reshape(step.batch, self.num_heads, step.length, self.head_width)
        return attended.transpose(1, 2).reshape(step.batch * step.length, -1)


class RowLayer(nn.Module):
    """A decoder layer for one new position per row, for TorchScript: a call of Python costs as much as an operation."""

    def __init__(
        self,
        qkv: FusedLinear,
        output: FusedLinear,
        gate_up: FusedLinear,
        down: FusedLinear,
        num_heads: int,
        num_kv_heads: int,
    ) -> None:
        super().__init__()
        self.qkv, self.output, self.gate_up, self.down = qkv, output, gate_up, down
        self.num_heads, self.num_kv_heads = num_heads, num_kv_heads

    @no_type_check  # TorchScript cannot compile functions that a type checker wraps
    def forward(
        self, x: Tensor, rotation: Tensor, bias: Tensor | None, key_buffer: Tensor, value_buffer: Tensor, past: int
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Write keys and values at position ``past`` of the buffers; return the states and all keys and values.

        Shapes: ``x`` (B, D); ``rotation`` (B, d, d); ``bias`` (B kv, 1, past + 1); buffers (B, kv, capacity, d).
        """
        projected = self.qkv(x)
        heads = projected.view(x.shape[0], -1, rotation.shape[-1])  # (B, q + 2 kv, d)
        num_rotated = self.num_heads + self.num_kv_heads
        rotated = torch.bmm(heads.narrow(1, 0, num_rotated), rotation)
        key_buffer.select(2, past).copy_(rotated.narrow(1, self.num_heads, self.num_kv_heads))
        value_buffer.select(2, past).copy_(heads.narrow(1, num_rotated, self.num_kv_heads))
        keys, values = key_buffer.narrow(2, 0, past + 1), value_buffer.narrow(2, 0, past + 1)
        all_keys, all_values = keys.flatten(0, 1), values.flatten(0, 1)  # (B kv, past + 1, d)
        queries = rotated.narrow(1, 0, self.num_heads).reshape(all_keys.shape[0], -1, rotation.shape[-1])
        if bias is None:
            scores = torch.bmm(queries, all_keys.transpose(1, 2))
        else:
            scores = torch.baddbmm(bias, queries, all_keys.transpose(1, 2))
        attended = torch.bmm(scores.softmax(-1), all_values).view(x.shape[0], -1)
        x = self.output(attended, x)
        gate, up = self.gate_up(x).chunk(2, -1)
        return self.down(F.silu(gate).mul_(up), x), keys, values


def rotate(x: Float[Tensor, "B T h d"], cos: Float[Tensor, "B T 1 d"], sin: Float[Tensor, "B T 1 d"]) -> Tensor:
    """Return ``x`` with rotary position embeddings; the first half of ``sin`` is negated.

    ::

        [a, b] cos + [b, a] [-sin, sin]
    """
    return torch.addcmul(x * cos, x.roll(x.shape[-1] // 2, -1), sin)


def rotation_matrix(cos: Float[Tensor, "B 1 d"], sin: Float[Tensor, "B 1 d"]) -> Float[Tensor, "B d d"]:
    """Return matrices for which ``x @ matrix`` is :func:`rotate` of ``x``."""
    identity = torch.eye(cos.shape[-1], dtype=cos.dtype)
    return torch.addcmul(identity * cos, identity.roll(cos.shape[-1] // 2, 0), sin)


class FusedDecoder:
    """All layers of a Llama, its final norm and its head; inference only.

    Args:
        transformer: Loses its layers one by one, so that no weights are in memory twice.
        adapters: LoRA, merged in float32 before weights are rounded, so that small updates are not lost.
        adapter_scale: Factor of the product of an adapter's two matrices.
    """

    def __init__(
        self,
        transformer: CausalLM,
        *,
        dtype: FusedDtype,
        adapters: Mapping[str, Tensor] = MappingProxyType({}),
        adapter_scale: float = 1.0,
    ) -> None:
        base: Any = transformer.base_model
        embeddings: Any = transformer.get_output_embeddings()
        config = transformer.config if isinstance(transformer.config, Mapping) else transformer.config.to_dict()
        self.layers: list[FusedLayer] = []
        for number, layer in enumerate(base.layers):

            def weight_of(name: str, layer: Any = layer, number: int = number) -> Tensor:
                weight = layer.get_submodule(name).weight.detach()
                key = f"model.layers.{number}.{name}"
                if f"{key}.A" not in adapters:
                    return weight
                return weight.float() + adapter_scale * (adapters[f"{key}.B"].float() @ adapters[f"{key}.A"].float())

            self.layers.append(FusedLayer(layer, config, weight_of, dtype=dtype))
            base.layers[number] = nn.Identity()
        self._head: FusedLinear = create_fused_linear([embeddings.weight], dtype=dtype)
        self._dtype = self._head.activation_dtype
        self._eps = config["rms_norm_eps"]
        self._num_kv_heads = config["num_key_value_heads"]
        self._queries_per_key = config["num_attention_heads"] // config["num_key_value_heads"]
        self._norm = base.norm.weight.detach().to(self._dtype)
        self._frequencies = rotary_frequencies(config["head_dim"], config["rope_parameters"]["rope_theta"])
        self._cos_sin_tables: tuple[Tensor, Tensor] | None = None
        for weight in (transformer.get_input_embeddings().weight, base.norm.weight):
            weight.data = weight.detach().clone()  # as a view it would keep the whole weights file in memory

    @torch.no_grad()
    def __call__(
        self,
        embeddings: Float[Tensor, "B T D"],
        mask: Bool[Tensor, "B past_and_T"],
        positions: Int[Tensor, "B T"],
        cache: Cache,
    ) -> Float[Tensor, "B T D"]:
        """Return last-layer hidden states; ``mask`` covers the cached positions, then the new ones."""
        batch, length, width = embeddings.shape
        cos, sin = (table[positions].unsqueeze(2) for table in self._cos_sin(int(positions.max()) + 1))
        rotation = rotation_matrix(cos.squeeze(1), sin.squeeze(1)) if length == 1 else None
        step = _Step(batch, length, cos, sin, rotation, self._attention_bias(mask.bool(), length))
        while len(cache.layers) < len(self.layers):
            cache.layers.append(cache.layer_class_to_replicate())
        x = embeddings.to(self._dtype).flatten(0, 1)  # (B T, D)
        for layer, kv in zip(self.layers, cache.layers, strict=True):
            x = layer(x, step, kv)
        return F.rms_norm(x, (width,), self._norm, self._eps).view(batch, length, width)

    @torch.no_grad()
    def head(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B V"]:
        """Return the logits of the vocabulary."""
        return self._head(hidden.to(self._dtype).reshape(-1, hidden.shape[-1])).view(*hidden.shape[:-1], -1)

    def _attention_bias(self, mask: Bool[Tensor, "B past_and_T"], length: int) -> Tensor | None:
        """Return the additive causal mask of all queries; None if nothing is masked.

        Shapes: (B, 1, q / kv * T, past + T); for one position per row (B kv, 1, past + 1).
        """
        if length == 1:
            allowed = mask.unsqueeze(1).repeat_interleave(self._num_kv_heads, dim=0)
        else:
            positions = torch.arange(mask.shape[1], device=mask.device)
            allowed = mask[:, None, None, :] & (positions <= positions[mask.shape[1] - length :, None])
            allowed = allowed.repeat(1, 1, self._queries_per_key, 1)
        if bool(allowed.all()):
            return None
        return torch.zeros_like(allowed, dtype=self._dtype).masked_fill_(~allowed, _MASKED)

    def _cos_sin(self, length: int) -> tuple[Float[Tensor, "t d"], Float[Tensor, "t d"]]:
        """Return tables of at least ``length`` positions; sines are signed for :func:`rotate`."""
        if self._cos_sin_tables is None or len(self._cos_sin_tables[0]) < length:
            size = max(256, 1 << (length - 1).bit_length())
            angles = torch.arange(size)[:, None] * self._frequencies  # (size, d / 2)
            cos, sin = angles.cos(), angles.sin()
            tables = torch.cat([cos, cos], dim=-1), torch.cat([-sin, sin], dim=-1)
            self._cos_sin_tables = tables[0].to(self._dtype), tables[1].to(self._dtype)
        return self._cos_sin_tables


def choose_fused_dtype(hidden_size: int) -> FusedDtype | None:
    """Return the number format that this processor decodes fastest; None if a plain decoder in float32 is."""
    fastest = "float32" if hidden_size < MIN_FUSED_WIDTH else fastest_decoding_dtype()
    return None if fastest == "float32" else fastest


def can_fuse(config: PreTrainedConfig) -> bool:
    """Return whether the decoder computes the same as the LLM of this config."""
    return (
        config.model_type == "llama"
        and not config.attention_bias
        and not config.mlp_bias
        and config.hidden_act == "silu"
        and config.rope_parameters.get("rope_type", "default") == "default"
    )
