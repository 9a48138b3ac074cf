"""The language model: a causal LM of transformers with its tokenizer, prompt template and signal tokens.

Inputs are embeddings, so soft tokens and signal tokens may stand anywhere in the text. This module does not depend on
encoders or synthesizers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers.cache_utils import Cache
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from nextgpt.errors import ConfigError, ConversationError
from nextgpt.message import Conversation, Medium
from nextgpt.model.fused_linear import FusedDtype
from nextgpt.model.llm import lora
from nextgpt.model.llm.base import CausalLM
from nextgpt.model.llm.fused_decoder import FusedDecoder
from nextgpt.model.llm.json_constraint import JsonConstraint, create_json_tokenizer
from nextgpt.model.llm.kv_cache import PreallocatedLayer
from nextgpt.model.llm.prefix_cache import PrefixCache
from nextgpt.model.llm.prompt import MediaPlaceholder, Prompt, PromptBuilder, TokenSpan
from nextgpt.model.llm.signal_tokens import SignalEmbeddings, SignalVocabulary
from nextgpt.model.llm.tokenizer import SafeTokenizer, blank_token_id
from nextgpt.prompt_template import Template

NO_TOKEN_ID = -1
"""Value of ``PromptBatch.input_ids`` at soft tokens and padding."""


@dataclass(frozen=True)
class PromptBatch:
    """Embedded prompts, padded at the right."""

    inputs_embeds: Float[Tensor, "B T D"]
    attention_mask: Bool[Tensor, "B T"]
    """True except at padding."""
    input_ids: Int[Tensor, "B T"]
    """Token ids, ``NO_TOKEN_ID`` at soft tokens and padding."""
    loss_mask: Bool[Tensor, "B T"]
    """True at tokens that the assistant generates."""


@dataclass(frozen=True)
class LLMForwardOutput:
    """Hidden states and logits of the LLM at all positions."""

    prompts: PromptBatch
    hidden_states: Float[Tensor, "B T D"]
    """Last-layer hidden states after the final norm; each position predicts the next token."""
    lm_head: Callable[[Float[Tensor, "*B D"]], Float[Tensor, "*B Vn"]]
    """Hidden states to logits over the vocabulary, then the signal tokens; training needs few positions."""

    @property
    def logits(self) -> Float[Tensor, "B T Vn"]:
        """Logits at all positions."""
        return self.lm_head(self.hidden_states)


class LanguageModel(nn.Module):
    """A causal LM with soft tokens as input and signal tokens as output.

    Args:
        transformer: The frozen LLM.
        tokenizer: Tokenizer of the LLM.
        template: Prompt template.
        soft_tokens: K, positions per input medium.
        context_length: Maximum positions of a conversation with its reply.
        has_signal_separators: Separate the signal tokens of a span by the tokenizer's blank, which then takes a
            position and gives a hidden state like them.
        load: Reads the transformer again after :meth:`unload_weights`.
        fused_dtype: Compute hidden states with a :class:`.fused_decoder.FusedDecoder` of this dtype; inference only.
    """

    def __init__(
        self,
        transformer: CausalLM,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
        *,
        soft_tokens: int = 1,
        context_length: int,
        has_signal_separators: bool = False,
        load: Callable[[], CausalLM] | None = None,
        fused_dtype: FusedDtype | None = None,
    ) -> None:
        super().__init__()
        self._load = load
        self._fused_dtype = fused_dtype
        self._decoder: FusedDecoder | None = None
        self.transformer = transformer
        words, head = transformer.get_input_embeddings(), transformer.get_output_embeddings()
        self.vocabulary_size = words.weight.shape[0]
        self.hidden_size = words.weight.shape[1]
        separator = blank_token_id(tokenizer) if has_signal_separators else None
        self.signals = SignalEmbeddings(SignalVocabulary(self.vocabulary_size, separator), self.hidden_size)
        self._separator_row = None if separator is None else words.weight[separator].detach().float().clone()
        self.signals.init_from_mean(words.weight, head.weight)
        self.tokenizer = SafeTokenizer(tokenizer)
        self.template = template
        self.prompt_builder = PromptBuilder(self.tokenizer, template, self.signals.vocabulary)
        self.soft_tokens = soft_tokens
        self.context_length = context_length
        self.stops_at_loops = False
        """True to end a reply that repeats one phrase; see :mod:`.loops`."""
        self.prefix_cache = PrefixCache()
        self.adapters: dict[str, Tensor] = {}
        """LoRA adapters that were merged into the weights; kept for saving."""
        self._adapter_scale = 1.0
        self._json_tokenizer: Any = None
        """Tokenizer of llguidance, made on first use."""
        self.end_ids = _end_ids(transformer, tokenizer, self.tokenizer.split_special_tokens(template.end_of_turn))

    def init_signals_from_tokens(self, markers: Mapping[str, str], end: str | None = None) -> None:
        """Initialize spans of signal tokens from special tokens that the LLM already uses.

        Args:
            markers: Special token by modality, or for ``edit``.
            end: Special token that ends a medium; initializes the last token of each span.

        Raises:
            ConfigError: The tokenizer has no such special token.
        """
        words, head = self.transformer.get_input_embeddings(), self.transformer.get_output_embeddings()
        for name, marker in markers.items():
            row = self._special_token(marker, f"init_signals_from.{name}")
            self.signals.init_span_from_token(name, words.weight[row], head.weight[row], words.weight.mean(dim=0))
        if end is not None:
            self.signals.init_span_end_from_token(words.weight[self._special_token(end, "init_signal_ends_from")])

    def _special_token(self, marker: str, setting: str) -> int:
        pieces = self.tokenizer.split_special_tokens(marker)
        if len(pieces) == 1 and isinstance(pieces[0], int):
            return pieces[0]
        raise ConfigError(
            f"{setting} is {marker!r}; expected one special token of the LLM's tokenizer. "
            "Correct the recipe, or remove the setting."
        )

    def build_prompt(
        self,
        conversation: Conversation,
        *,
        add_generation_prompt: bool = True,
        is_edit: Callable[[Medium], bool] = lambda medium: False,
    ) -> Prompt:
        """Build the prompt of a conversation; see :meth:`.prompt.PromptBuilder.build`.

        Raises:
            ConversationError: The conversation is empty, or leaves no position for a reply.
        """
        if not any(part for message in conversation for part in message.parts):
            raise ConversationError("The conversation is empty; expected at least one message. Add a message first.")
        characters = sum(len(message.text) for message in conversation)
        min_tokens = characters // self.tokenizer.longest_token_chars
        if min_tokens >= self.context_length:  # skips tokenizing very long texts
            raise self._too_long(f"at least {min_tokens}")
        prompt = self.prompt_builder.build(conversation, add_generation_prompt=add_generation_prompt, is_edit=is_edit)
        if prompt.length(self.soft_tokens) >= self.context_length:
            raise self._too_long(str(prompt.length(self.soft_tokens)))
        return prompt

    def fits_context(
        self,
        conversation: Conversation,
        *,
        reserved_tokens: int,
        is_edit: Callable[[Medium], bool] = lambda medium: False,
    ) -> bool:
        """Return whether the prompt of a conversation leaves ``reserved_tokens`` positions for the reply."""
        try:
            prompt = self.build_prompt(conversation, is_edit=is_edit)
        except ConversationError:
            return False
        return prompt.length(self.soft_tokens) + reserved_tokens <= self.context_length

    def _too_long(self, tokens: str) -> ConversationError:
        return ConversationError(
            f"The conversation has {tokens} tokens; the model takes at most {self.context_length}, with its reply. "
            "Shorten the text, or start a new conversation."
        )

    def json_constraint(self, schema: str) -> JsonConstraint:
        """Return the constraint of one reply to a JSON schema; needs llguidance."""
        if self._json_tokenizer is None:
            self._json_tokenizer = create_json_tokenizer(
                self.tokenizer.hf_tokenizer, self.vocabulary_size, self.end_ids
            )
        return JsonConstraint(self._json_tokenizer, schema)

    def embed_ids(self, ids: Sequence[int]) -> Float[Tensor, "T D"]:
        """Return the embeddings of text and signal tokens."""
        tokens = torch.tensor(ids, dtype=torch.long, device=self.signals.input.device)
        is_signal = tokens >= self.vocabulary_size
        embedding = self.transformer.get_input_embeddings()
        rows = embedding(tokens.masked_fill(is_signal, 0)).to(tokens.device)  # (T, D)
        if is_signal.any():
            signals = self.signals.embed(tokens.clamp(min=self.vocabulary_size)).to(rows.dtype)
            rows = torch.where(is_signal[:, None], signals, rows)
        return rows

    def span_embeddings(self, modality: str) -> Float[Tensor, "S D"]:
        """Return the input embeddings at the positions of a modality's span, separators included."""
        rows = self.signals.span_embeddings(modality)
        if self._separator_row is None:
            return rows
        separators = self._separator_row.to(rows).expand(len(rows) - 1, -1)
        pairs = torch.stack([rows[:-1], separators], dim=1)  # (N - 1, 2, D)
        return torch.cat([pairs.flatten(0, 1), rows[-1:]])

    def embed_prompts(self, prompts: Sequence[Prompt], soft: Float[Tensor, "N K D"]) -> PromptBatch:
        """Embed prompts as one padded batch; ``soft`` are the soft tokens of all their media, in order.

        ::

            pieces      [ 5 9 ] image [ 7 ]  and  [ 5 ]      with K = 2
            input_ids    5 9 - - 7                 5 - - - -
            mask         1 1 1 1 1                 1 0 0 0 0
        """
        words = self.embed_ids([token_id for prompt in prompts for token_id in prompt.token_ids])  # (W, D)
        rows = torch.cat([words, soft.flatten(0, 1).to(words), words.new_zeros(1, words.shape[1])])
        ids = [torch.tensor(_input_ids(prompt, self.soft_tokens)) for prompt in prompts]
        loss_mask = [torch.tensor(_loss_mask(prompt, self.soft_tokens)) for prompt in prompts]
        mask = _pad([torch.ones(len(row), dtype=torch.bool) for row in ids], False)
        input_ids = _pad(ids, NO_TOKEN_ID)
        # One lookup for all rows: in-place writes would each cost a pass over the batch in the backward pass.
        indices = torch.full_like(input_ids, len(rows) - 1)
        is_token = input_ids != NO_TOKEN_ID
        indices[is_token] = torch.arange(len(words))
        indices[mask & ~is_token] = torch.arange(len(words), len(rows) - 1)
        device = words.device
        return PromptBatch(
            F.embedding(indices.to(device), rows),
            mask.to(device),
            input_ids.to(device),
            _pad(loss_mask, False).to(device),
        )

    def embed_prompt(self, prompt: Prompt, soft: Iterable[Float[Tensor, "K D"]]) -> Float[Tensor, "T D"]:
        """Embed one prompt; consumes the soft tokens of its media from ``soft``, in order."""
        rows = self.embed_ids(prompt.token_ids)
        remaining = (tokens.to(rows.dtype) for tokens in soft)
        words = iter(rows.split([len(piece.ids) for piece in prompt.token_spans]))
        return torch.cat([next(remaining if isinstance(piece, MediaPlaceholder) else words) for piece in prompt.pieces])

    def hidden_states(
        self,
        embeddings: Float[Tensor, "B T D"],
        mask: Bool[Tensor, "B past_and_T"],
        positions: Int[Tensor, "B T"],
        cache: Cache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Return last-layer hidden states. ``mask`` covers the cached positions, then the new ones."""
        if self._fused_dtype is not None:
            cache = Cache(layer_class_to_replicate=PreallocatedLayer) if cache is None else cache
            return self._fused_decoder(self._fused_dtype)(embeddings, mask, positions, cache)
        outputs = self.transformer.base_model(
            inputs_embeds=embeddings,
            attention_mask=mask.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return outputs.last_hidden_state.to(embeddings.device)  # layers may be on several devices

    def logits(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B Vn"]:
        """Return the logits of the next token: the vocabulary, then the signal tokens."""
        head = self.transformer.get_output_embeddings() if self._decoder is None else self._decoder.head
        words = head(hidden).to(hidden.device)
        return torch.cat([words, self.signals.logits(hidden)], dim=-1)

    def forward(self, prompts: PromptBatch) -> LLMForwardOutput:
        """Run complete prompts without a cache, as in training."""
        positions = (prompts.attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)
        return LLMForwardOutput(
            prompts, self.hidden_states(prompts.inputs_embeds, prompts.attention_mask, positions), self.logits
        )

    def merge_lora(self, adapters: Mapping[str, Tensor], *, alpha: float, rank: int) -> None:
        """Merge LoRA adapters into the weights, so that inference does not need peft."""
        self._adapter_scale = alpha / rank
        self.adapters = dict(adapters)
        self._merge_adapters()
        self.prefix_cache.clear()

    def _merge_adapters(self) -> None:
        if self._fused_dtype is None:
            lora.merge(self.transformer, self.adapters, self._adapter_scale)
        else:
            self._fused_decoder(self._fused_dtype)  # merges them in float32, before weights are rounded

    def _fused_decoder(self, dtype: FusedDtype) -> FusedDecoder:
        if self._decoder is None:
            self._decoder = FusedDecoder(
                self.transformer, dtype=dtype, adapters=self.adapters, adapter_scale=self._adapter_scale
            )
        return self._decoder

    def unload_weights(self) -> None:
        """Free the transformer's weights. Signal embeddings and the prefix cache stay."""
        assert self._load is not None, "only an LLM that was loaded from a folder can be unloaded"
        self.transformer, self._decoder = None, None

    def reload_weights(self) -> None:
        """Read the weights again and merge the adapters into them."""
        assert self._load is not None, "only an LLM that was loaded from a folder can be unloaded"
        self.transformer = self._load()
        self._merge_adapters()

    def add_lora(
        self,
        *,
        rank: int,
        alpha: float,
        dropout: float,
        targets: Sequence[str],
        first_layer: int = 0,
        adapters: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Add trainable LoRA adapters, fresh or from saved ``adapters``."""
        assert not self.adapters, "merged LoRA cannot be trained; load it unmerged"
        assert self._fused_dtype is None, "a fused LLM cannot be trained; load it with a dtype"
        lora.inject(self.transformer, rank=rank, alpha=alpha, dropout=dropout, targets=targets, first_layer=first_layer)
        if adapters is not None:
            lora.load_adapter(self.transformer, adapters)

    def train(self, mode: bool = True) -> LanguageModel:
        """Switch between training and inference; clears the prefix cache, as weights may have changed."""
        self.prefix_cache.clear()
        return super().train(mode)


def _end_ids(transformer: CausalLM, tokenizer: PreTrainedTokenizerBase, end_of_turn: list[str | int]) -> frozenset[int]:
    """Return the end-of-turn tokens of the template, the tokenizer and the generation config."""
    generation = transformer.generation_config
    configured = generation.eos_token_id if generation is not None else None
    ends = configured if isinstance(configured, list) else [configured]
    first = end_of_turn[0] if end_of_turn else None
    return frozenset(end for end in (*ends, tokenizer.eos_token_id, first) if isinstance(end, int))


def _input_ids(prompt: Prompt, soft_tokens: int) -> list[int]:
    return [
        token_id
        for piece in prompt.pieces
        for token_id in (piece.ids if isinstance(piece, TokenSpan) else (NO_TOKEN_ID,) * soft_tokens)
    ]


def _loss_mask(prompt: Prompt, soft_tokens: int) -> list[bool]:
    return [
        in_loss
        for piece in prompt.pieces
        for in_loss in ([piece.in_loss] * len(piece.ids) if isinstance(piece, TokenSpan) else [False] * soft_tokens)
    ]


def _pad(rows: Sequence[Tensor], value: float | bool) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=float(value))
