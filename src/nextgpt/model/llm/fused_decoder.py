"""A Llama for fast decoding on a CPU: projections with the same input are one product, weights may be int8.

Decoding one token per step is bound by reading the weights, so half the bytes take half the time. Activations stay in
bfloat16 (weight-only quantization). The KV cache is that of transformers' layers, so batches and cached prefixes work
unchanged.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import Cache, PretrainedConfig, PreTrainedModel

FusedDtype = Literal["bfloat16", "int8"]
MAX_ROWS_INT8 = 12
"""Rows up to which the int8 kernel is used; for more, weights are converted first, as a bfloat16 product is faster."""
_MASKED = -1e9


class FusedLinear(nn.Module):
    """Frozen linear layers of one input as one product.

    Args:
        weights: (out, in) each.
        dtype: ``int8`` has one scale per output.
    """

    scale: Tensor | None
    weight: Tensor

    def __init__(self, weights: Sequence[Float[Tensor, "_ in_features"]], *, dtype: FusedDtype) -> None:
        super().__init__()
        weight = torch.cat([weight.detach().float() for weight in weights])
        scale = None
        if dtype == "int8":
            scale = (weight.abs().amax(dim=1).clamp(min=1e-8) / 127).bfloat16()
            weight = (weight / scale.float()[:, None]).round().clamp(-127, 127).to(torch.int8)
        self.register_buffer("scale", scale)
        self.register_buffer("weight", (weight if dtype == "int8" else weight.bfloat16()).contiguous())

    def forward(self, x: Float[Tensor, "*B in_features"]) -> Float[Tensor, "*B out_features"]:
        """Return the products with all weights side by side."""
        x = x.bfloat16()
        if self.scale is None:
            return F.linear(x, self.weight)
        rows = x.reshape(-1, x.shape[-1])
        if len(rows) <= MAX_ROWS_INT8:
            y = torch.ops.aten._weight_int8pack_mm(rows, self.weight, self.scale)
        else:
            y = F.linear(rows, self.weight.to(rows.dtype)) * self.scale
        return y.view(*x.shape[:-1], -1)


class FusedLayer(nn.Module):
    """A decoder layer.

    Args:
        weight_of: Returns the float32 weight of a linear layer by its name, adapters merged.
    """

    input_norm: Tensor
    mlp_norm: Tensor

    def __init__(self, layer: Any, config: Any, weight_of: Callable[[str], Tensor], *, dtype: FusedDtype) -> None:
        super().__init__()

        def fuse(*names: str) -> FusedLinear:
            return FusedLinear([weight_of(name) for name in names], dtype=dtype)

        self.num_heads, self.num_kv_heads = config.num_attention_heads, config.num_key_value_heads
        self.head_width = config.head_dim
        self.eps = config.rms_norm_eps
        self.qkv = fuse("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj")
        self.output = fuse("self_attn.o_proj")
        self.gate_up = fuse("mlp.gate_proj", "mlp.up_proj")
        self.down = fuse("mlp.down_proj")
        self.register_buffer("input_norm", layer.input_layernorm.weight.detach().bfloat16())
        self.register_buffer("mlp_norm", layer.post_attention_layernorm.weight.detach().bfloat16())

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, kv: Any) -> Tensor:
        """Return the states after the layer; ``kv`` is its layer of the cache."""
        batch, length, _ = x.shape
        projected = self.qkv(F.rms_norm(x, (x.shape[-1],), self.input_norm, self.eps))
        heads = projected.view(batch, length, -1, self.head_width).transpose(1, 2)  # (B, q + 2 kv, T, d)
        num_rotated = self.num_heads + self.num_kv_heads
        rotated = rotate(heads[:, :num_rotated], cos, sin)
        keys, values = kv.update(rotated[:, self.num_heads :], heads[:, num_rotated:])
        # Query heads that share a key head are rows of one product.
        queries = rotated[:, : self.num_heads].reshape(batch, self.num_kv_heads, -1, self.head_width)
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask)
        attended = attended.reshape(batch, self.num_heads, length, self.head_width).transpose(1, 2)
        x = x + self.output(attended.reshape(batch, length, -1))
        gate, up = self.gate_up(F.rms_norm(x, (x.shape[-1],), self.mlp_norm, self.eps)).chunk(2, dim=-1)
        return x + self.down(F.silu(gate) * up)


def rotate(x: Float[Tensor, "B h T d"], cos: Float[Tensor, "B 1 T d"], sin: Float[Tensor, "B 1 T d"]) -> Tensor:
    """Return ``x`` with rotary position embeddings."""
    left, right = x.chunk(2, dim=-1)
    return torch.addcmul(x * cos, torch.cat([-right, left], dim=-1), sin)


class FusedDecoder(nn.Module):
    """All layers of a Llama, its final norm and its head; inference only.

    Args:
        transformer: Loses its layers one by one, so that no weights are in memory twice.
        adapters: LoRA, merged in float32 before weights are rounded, so that small updates are not lost.
        adapter_scale: Factor of the product of an adapter's two matrices.
    """

    norm: Tensor

    def __init__(
        self,
        transformer: PreTrainedModel,
        *,
        dtype: FusedDtype,
        adapters: Mapping[str, Tensor] = MappingProxyType({}),
        adapter_scale: float = 1.0,
    ) -> None:
        super().__init__()
        base: Any = transformer.base_model
        head: Any = transformer.get_output_embeddings()
        config = transformer.config
        self.layers = nn.ModuleList()
        for number, layer in enumerate(base.layers):

            def weight_of(name: str, layer: Any = layer, number: int = number) -> Tensor:
                weight = layer.get_submodule(name).weight.detach().float()
                key = f"model.layers.{number}.{name}"
                if f"{key}.A" not in adapters:
                    return weight
                return weight + adapter_scale * (adapters[f"{key}.B"].float() @ adapters[f"{key}.A"].float())

            self.layers.append(FusedLayer(layer, config, weight_of, dtype=dtype))
            base.layers[number] = nn.Identity()
        self.head = FusedLinear([head.weight], dtype=dtype)
        self.eps = config.rms_norm_eps
        self.queries_per_key = config.num_attention_heads // config.num_key_value_heads
        self.register_buffer("norm", base.norm.weight.detach().bfloat16())
        self._rotary = base.rotary_emb
        self._cos_sin_tables: tuple[Tensor, Tensor] | None = None

    @torch.no_grad()
    def forward(
        self,
        embeddings: Float[Tensor, "B T D"],
        mask: Bool[Tensor, "B past_and_T"],
        positions: Int[Tensor, "B T"],
        cache: Cache,
    ) -> Float[Tensor, "B T D"]:
        """Return last-layer hidden states; ``mask`` covers the cached positions, then the new ones."""
        x = embeddings.bfloat16()
        cos, sin = (table[positions][:, None] for table in self._cos_sin(int(positions.max()) + 1))
        bias = self._attention_bias(mask.bool(), x.shape[1])
        while len(cache.layers) < len(self.layers):
            cache.layers.append(cache.layer_class_to_replicate())
        for layer, kv in zip(self.layers, cache.layers, strict=True):
            x = layer(x, cos, sin, bias, kv)
        return F.rms_norm(x, (x.shape[-1],), self.norm, self.eps)

    def _attention_bias(self, mask: Bool[Tensor, "B past_and_T"], length: int) -> Tensor | None:
        """Return the additive causal mask of all queries; None if nothing is masked."""
        allowed = mask[:, None, None, :]
        if length > 1:
            positions = torch.arange(mask.shape[1], device=mask.device)
            allowed = allowed & (positions <= positions[mask.shape[1] - length :, None])
            allowed = allowed.repeat(1, 1, self.queries_per_key, 1)
        if bool(allowed.all()):
            return None
        return torch.zeros_like(allowed, dtype=torch.bfloat16).masked_fill(~allowed, _MASKED)

    def _cos_sin(self, length: int) -> tuple[Tensor, Tensor]:
        if self._cos_sin_tables is None or len(self._cos_sin_tables[0]) < length:
            size = max(256, 1 << (length - 1).bit_length())
            cos, sin = self._rotary(torch.zeros(1, dtype=torch.float32), torch.arange(size)[None])
            self._cos_sin_tables = cos[0].bfloat16(), sin[0].bfloat16()
        return self._cos_sin_tables


def can_fuse(config: PretrainedConfig) -> bool:
    """Return whether the decoder computes the same as the LLM of this config."""
    return (
        config.model_type == "llama"
        and not config.attention_bias
        and not config.mlp_bias
        and config.hidden_act == "silu"
        and config.rope_parameters.get("rope_type", "default") == "default"
    )
