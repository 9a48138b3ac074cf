"""Llama in plain PyTorch, the LLM of nano.

It reads folders of transformers' ``LlamaForCausalLM``, computes the same, and has the names and methods of it that
:class:`.language_model.LanguageModel` uses. Importing that class takes longer than a reply with it. Inference only; see
:func:`is_supported`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from nextgpt.model.safetensors_io import check_state_dict, read_safetensors, without_weights

WEIGHTS_FILE = "model.safetensors"
_REQUIRED = {
    "model_type": "llama",
    "attention_bias": False,
    "mlp_bias": False,
    "hidden_act": "silu",
    "pretraining_tp": 1,
    "quantization_config": None,
}
"""Settings by name; an absent one has this value."""


def is_supported(config: Mapping[str, Any]) -> bool:
    """Return whether :class:`Llama` computes what transformers does with this config."""
    rope = config.get("rope_parameters") or {}
    return (
        "model_type" in config
        and all(config.get(name, value) == value for name, value in _REQUIRED.items())
        and rope.get("rope_type") == "default"
        and isinstance(config.get("head_dim"), int)
    )


def load_llama(folder: Path, config: Mapping[str, Any], *, dtype: torch.dtype = torch.float32) -> Llama:
    """Load a Llama; its weights are frozen. Raises :class:`~nextgpt.errors.WeightsError`."""
    path = folder / WEIGHTS_FILE
    with without_weights():
        llama = Llama(config)
    tensors = {name: tensor.to(dtype) for name, tensor in read_safetensors(path).items()}
    expected = llama.state_dict()
    if config.get("tie_word_embeddings"):
        expected.pop("lm_head.weight")
    check_state_dict(path, tensors, expected)
    llama.load_state_dict(tensors, strict=False, assign=True)
    if config.get("tie_word_embeddings"):
        llama.lm_head.weight = llama.model.embed_tokens.weight
    generation = folder / "generation_config.json"
    if generation.is_file():
        llama.generation_config = SimpleNamespace(**json.loads(generation.read_text(encoding="utf-8")))
    return llama.requires_grad_(False).eval()


class Llama(nn.Module):
    """A Llama and its head.

    Args:
        config: ``config.json`` of transformers.
    """

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        self.config = dict(config)
        self.generation_config = SimpleNamespace(eos_token_id=config.get("eos_token_id"))
        self.model = LlamaLayers(config)
        self.lm_head = nn.Linear(config["hidden_size"], config["vocab_size"], bias=False)

    @property
    def base_model(self) -> LlamaLayers:
        """The model without its head."""
        return self.model

    def get_input_embeddings(self) -> nn.Embedding:
        """Return the module that embeds token ids."""
        return self.model.embed_tokens

    def get_output_embeddings(self) -> nn.Linear:
        """Return the head."""
        return self.lm_head


class LlamaLayers(nn.Module):
    """All layers and the final norm."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, self.eps = config["hidden_size"], config["rms_norm_eps"]
        self.embed_tokens = nn.Embedding(config["vocab_size"], width)
        self.layers = nn.ModuleList(LlamaLayer(config) for _ in range(config["num_hidden_layers"]))
        self.norm = nn.RMSNorm(width, self.eps)
        self._head_width, self._rope_theta = config["head_dim"], config["rope_parameters"]["rope_theta"]
        self._frequencies: Tensor | None = None

    def forward(
        self,
        *,
        inputs_embeds: Float[Tensor, "B T D"],
        attention_mask: Int[Tensor, "B past_and_T"],
        position_ids: Int[Tensor, "B T"],
        past_key_values: Any = None,
        use_cache: bool = False,
    ) -> SimpleNamespace:
        """Return an object whose ``last_hidden_state`` are the normalized states (B, T, D).

        Args:
            attention_mask: 1 at real positions; covers the cached positions, then the new ones.
            past_key_values: Cache, extended by the new positions.
            use_cache: True if there is a cache.
        """
        x = inputs_embeds
        cos, sin = self._rotations(position_ids)
        mask = _causal_mask(attention_mask.bool(), x.shape[1])
        if past_key_values is not None:
            while len(past_key_values.layers) < len(self.layers):
                past_key_values.layers.append(past_key_values.layer_class_to_replicate())
        for number, layer in enumerate(self.layers):
            x = layer(x, cos, sin, mask, None if past_key_values is None else past_key_values.layers[number])
        return SimpleNamespace(last_hidden_state=self.norm(x))

    def _rotations(self, positions: Int[Tensor, "B T"]) -> tuple[Float[Tensor, "B 1 T d"], Float[Tensor, "B 1 T d"]]:
        if self._frequencies is None:
            self._frequencies = rotary_frequencies(self._head_width, self._rope_theta).to(positions.device)
        angles = positions[:, None, :, None].float() * self._frequencies  # (B, 1, T, d / 2)
        angles = torch.cat([angles, angles], dim=-1)
        return angles.cos(), angles.sin()


class LlamaLayer(nn.Module):
    """Attention and feed-forward, each added to its input."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, eps = config["hidden_size"], config["rms_norm_eps"]
        self.input_layernorm = nn.RMSNorm(width, eps)
        self.self_attn = LlamaAttention(config)
        self.post_attention_layernorm = nn.RMSNorm(width, eps)
        self.mlp = LlamaFeedForward(width, config["intermediate_size"])

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, kv: Any) -> Tensor:
        """Return the states after the layer; ``kv`` is its layer of the cache."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, mask, kv)
        return x + self.mlp(self.post_attention_layernorm(x))


class LlamaAttention(nn.Module):
    """Attention with rotary positions; several query heads may share a key head."""

    def __init__(self, config: Mapping[str, Any]) -> None:
        super().__init__()
        width, self.head_width = config["hidden_size"], config["head_dim"]
        heads, kv_heads = config["num_attention_heads"], config["num_key_value_heads"]
        self.is_grouped = kv_heads < heads
        self.q_proj = nn.Linear(width, heads * self.head_width, bias=False)
        self.k_proj = nn.Linear(width, kv_heads * self.head_width, bias=False)
        self.v_proj = nn.Linear(width, kv_heads * self.head_width, bias=False)
        self.o_proj = nn.Linear(heads * self.head_width, width, bias=False)

    def forward(self, x: Tensor, cos: Tensor, sin: Tensor, mask: Tensor | None, kv: Any) -> Tensor:
        """Return the output at the new positions."""
        queries, keys, values = (self._heads(layer(x)) for layer in (self.q_proj, self.k_proj, self.v_proj))
        queries, keys = _rotate(queries, cos, sin), _rotate(keys, cos, sin)
        if kv is not None:
            keys, values = kv.update(keys, values)
        attended = F.scaled_dot_product_attention(queries, keys, values, attn_mask=mask, enable_gqa=self.is_grouped)
        return self.o_proj(attended.transpose(1, 2).flatten(2))

    def _heads(self, x: Float[Tensor, "B T width"]) -> Float[Tensor, "B h T d"]:
        return x.unflatten(-1, (-1, self.head_width)).transpose(1, 2)


class LlamaFeedForward(nn.Module):
    """Gated linear unit."""

    def __init__(self, width: int, inner_width: int) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(width, inner_width, bias=False)
        self.up_proj = nn.Linear(width, inner_width, bias=False)
        self.down_proj = nn.Linear(inner_width, width, bias=False)

    def forward(self, x: Float[Tensor, "B T D"]) -> Float[Tensor, "B T D"]:
        """Return the output at every position."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


def rotary_frequencies(head_width: int, theta: float) -> Float[Tensor, " half_width"]:
    """Return the angles per position of rotary position embeddings (arXiv 2104.09864)."""
    return 1.0 / theta ** (torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)


def _rotate(x: Float[Tensor, "B h T d"], cos: Tensor, sin: Tensor) -> Float[Tensor, "B h T d"]:
    left, right = x.chunk(2, dim=-1)
    return x * cos + torch.cat([-right, left], dim=-1) * sin


def _causal_mask(is_real: Bool[Tensor, "B past_and_T"], length: int) -> Bool[Tensor, "B 1 T past_and_T"] | None:
    """Return which positions each new one may attend to; None if all, as for the next token of full rows."""
    allowed = is_real[:, None, None, :].expand(-1, -1, length, -1)
    if length > 1:
        positions = torch.arange(is_real.shape[1], device=is_real.device)
        allowed = allowed & (positions <= positions[-length:, None])
    return None if bool(allowed.all()) else allowed
