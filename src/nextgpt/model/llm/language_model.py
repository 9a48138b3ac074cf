"""The language model: any causal LM of transformers, its tokenizer, a template, and the signal tokens beside it.

It is driven by embeddings, so that soft tokens and signal tokens can stand anywhere among words. It knows nothing about
encoders, synthesizers, or what a soft token means.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn
from transformers import Cache, PreTrainedModel, PreTrainedTokenizerBase

from nextgpt.errors import ConfigError, ConversationError
from nextgpt.message import Conversation, Medium
from nextgpt.model.llm import lora
from nextgpt.model.llm.prefix_cache import PrefixCache
from nextgpt.model.llm.prompt import MediaPlaceholder, Prompt, PromptBuilder, TokenSpan
from nextgpt.model.llm.signal_tokens import SignalEmbeddings, SignalVocabulary
from nextgpt.model.llm.template import Template
from nextgpt.model.llm.tokenizer import SafeTokenizer

NO_TOKEN_ID = -1
"""Stands in ``PromptBatch.input_ids`` where there is a soft token or padding."""


@dataclass(frozen=True)
class PromptBatch:
    """PromptBatch prompts side by side as tensors, padded at the right."""

    inputs_embeds: Float[Tensor, "B T D"]
    attention_mask: Bool[Tensor, "B T"]
    """Where there is something."""
    input_ids: Int[Tensor, "B T"]
    """Token ids, ``NO_TOKEN_ID`` at soft tokens and padding."""
    loss_mask: Bool[Tensor, "B T"]
    """Where the assistant speaks."""


@dataclass(frozen=True)
class LLMForwardOutput:
    """What the LLM makes of woven prompts, at every position."""

    prompts: PromptBatch
    hidden_states: Float[Tensor, "B T D"]
    """Last-layer hidden states (after the final norm); what follows is read from the position before it."""
    lm_head: Callable[[Float[Tensor, "*B D"]], Float[Tensor, "*B Vn"]]
    """Hidden states to logits over the vocabulary, then the signal tokens; training asks at few positions."""

    @property
    def logits(self) -> Float[Tensor, "B T Vn"]:
        """At every position."""
        return self.lm_head(self.hidden_states)


class LanguageModel(nn.Module):
    """A causal LM that hears soft tokens and speaks signal tokens.

    Args:
        transformer: The frozen LLM.
        tokenizer: Its tokenizer.
        template: How conversations are laid out.
        soft_tokens: K, the positions that one given medium takes.
        context_length: Positions that a conversation may take, answer included.
        load: Reads the transformer again, after :meth:`unload_weights`.
    """

    def __init__(
        self,
        transformer: PreTrainedModel,
        tokenizer: PreTrainedTokenizerBase,
        template: Template,
        *,
        soft_tokens: int = 1,
        context_length: int,
        load: Callable[[], PreTrainedModel] | None = None,
    ) -> None:
        super().__init__()
        self._load = load
        self.transformer = transformer
        words, head = transformer.get_input_embeddings(), transformer.get_output_embeddings()
        self.vocabulary_size = words.weight.shape[0]
        self.hidden_size = words.weight.shape[1]
        self.signals = SignalEmbeddings(SignalVocabulary(self.vocabulary_size), self.hidden_size)
        self.signals.init_from_mean(words.weight, head.weight)
        self.tokenizer = SafeTokenizer(tokenizer)
        self.template = template
        self.prompt_builder = PromptBuilder(self.tokenizer, template, self.signals.vocabulary)
        self.soft_tokens = soft_tokens
        self.context_length = context_length
        self.prefix_cache = PrefixCache()
        self.adapters: dict[str, Tensor] = {}
        """LoRA that was merged into the weights; kept, as it is saved apart from them."""
        self._adapter_scale = 1.0
        self.end_ids = _end_ids(
            transformer, tokenizer, self.tokenizer.split_special_tokens(template.end_of_turn)
        )

    def init_signals_from_tokens(self, markers: Mapping[str, str], end: str | None = None) -> None:
        """Start runs of signal tokens, by modality or ``edit``, at special tokens that this LLM knows in their place.

        Behind ``end`` it goes on as after a medium: the last token of each run starts there.

        Raises:
            ConfigError: The tokenizer has no such special token.
        """
        words, head = self.transformer.get_input_embeddings(), self.transformer.get_output_embeddings()
        for name, marker in markers.items():
            row = self._special_token(marker, f"signals_begin_at.{name}")
            self.signals.init_span_from_token(
                name, words.weight[row], head.weight[row], words.weight.mean(dim=0)
            )
        if end is not None:
            self.signals.init_span_end_from_token(words.weight[self._special_token(end, "signals_end_at")])

    def _special_token(self, marker: str, setting: str) -> int:
        pieces = self.tokenizer.split_special_tokens(marker)
        if len(pieces) == 1 and isinstance(pieces[0], int):
            return pieces[0]
        raise ConfigError(
            f"{setting} is {marker!r}; expected one special token of the LLM's tokenizer. "
            "Correct the recipe, or leave the setting out."
        )

    def build_prompt(
        self,
        conversation: Conversation,
        *,
        add_generation_prompt: bool = True,
        is_edit: Callable[[Medium], bool] = lambda medium: False,
    ) -> Prompt:
        """Lay a conversation out; see :meth:`.weaving.PromptBuilder.weave`.

        Raises:
            ConversationError: It is empty, or leaves no room for an answer; what is far too long is not tokenized.
        """
        if not any(part for message in conversation for part in message.parts):
            raise ConversationError(
                "The conversation is empty; expected at least one message. Say something first."
            )
        characters = sum(len(message.text) for message in conversation)
        least = characters // self.tokenizer.longest_token_chars
        if least >= self.context_length:
            raise self._too_long(f"at least {least}")
        prompt = self.prompt_builder.build(
            conversation, add_generation_prompt=add_generation_prompt, is_edit=is_edit
        )
        if prompt.length(self.soft_tokens) >= self.context_length:
            raise self._too_long(str(prompt.length(self.soft_tokens)))
        return prompt

    def _too_long(self, tokens: str) -> ConversationError:
        return ConversationError(
            f"The conversation takes {tokens} tokens; the model hears at most {self.context_length}, its answer "
            "included. Shorten the text, or start a new conversation."
        )

    def embed_ids(self, ids: Sequence[int]) -> Float[Tensor, "T D"]:
        """Rows of ordinary and signal tokens."""
        tokens = torch.tensor(ids, dtype=torch.long, device=self.signals.input.device)
        is_signal = tokens >= self.vocabulary_size
        rows = self.transformer.get_input_embeddings()(tokens.masked_fill(is_signal, 0)).to(
            tokens.device
        )  # (T, D)
        if is_signal.any():
            signals = self.signals.embed(tokens.clamp(min=self.vocabulary_size)).to(rows.dtype)
            rows = torch.where(is_signal[:, None], signals, rows)
        return rows

    def embed_prompts(self, prompts: Sequence[Prompt], soft: Float[Tensor, "N K D"]) -> PromptBatch:
        """PromptBatch prompts as tensors; ``soft`` holds the soft tokens of all their media, in order.

        ::

            pieces  [ 5 9 ] slot [ 7 ]  and  [ 5 ]      with K = 2
            ids      5 9 - - 7               5 - - - -
            mask     1 1 1 1 1               1 0 0 0 0
        """
        words = self.embed_ids([token_id for prompt in prompts for token_id in prompt.token_ids])  # (W, D)
        rows = torch.cat([words, soft.flatten(0, 1).to(words), words.new_zeros(1, words.shape[1])])
        ids = [torch.tensor(_ids(prompt, self.soft_tokens)) for prompt in prompts]
        targets = [torch.tensor(_targets(prompt, self.soft_tokens)) for prompt in prompts]
        mask = _pad([torch.ones(len(row), dtype=torch.bool) for row in ids], False)
        woven_ids = _pad(ids, NO_TOKEN_ID)
        # One lookup for all: rows written one by one each cost a pass over the whole batch on the way back.
        places = torch.full_like(woven_ids, len(rows) - 1)
        is_word = woven_ids != NO_TOKEN_ID
        places[is_word] = torch.arange(len(words))
        places[mask & ~is_word] = torch.arange(len(words), len(rows) - 1)
        device = words.device
        return PromptBatch(
            F.embedding(places.to(device), rows),
            mask.to(device),
            woven_ids.to(device),
            _pad(targets, False).to(device),
        )

    def embed_prompt(self, prompt: Prompt, soft: Iterable[Float[Tensor, "K D"]]) -> Float[Tensor, "T D"]:
        """One woven prompt; takes the soft tokens of its media from ``soft``, in order."""
        rows = self.embed_ids(prompt.token_ids)
        remaining = (tokens.to(rows.dtype) for tokens in soft)
        words = iter(rows.split([len(piece.ids) for piece in prompt.token_spans]))
        return torch.cat(
            [next(remaining if isinstance(piece, MediaPlaceholder) else words) for piece in prompt.pieces]
        )

    def hidden_states(
        self,
        embeddings: Float[Tensor, "B T D"],
        mask: Bool[Tensor, "B past_and_T"],
        positions: Int[Tensor, "B T"],
        cache: Cache | None = None,
    ) -> Float[Tensor, "B T D"]:
        """Last-layer hidden states; with a cache, ``mask`` covers what it holds and then ``embeddings``."""
        outputs = self.transformer.base_model(
            inputs_embeds=embeddings,
            attention_mask=mask.long(),
            position_ids=positions,
            past_key_values=cache,
            use_cache=cache is not None,
        )
        return outputs.last_hidden_state.to(embeddings.device)  # layers may be spread

    def logits(self, hidden: Float[Tensor, "*B D"]) -> Float[Tensor, "*B Vn"]:
        """How likely each token is next: the vocabulary, then the signal tokens."""
        words = self.transformer.get_output_embeddings()(hidden).to(hidden.device)
        return torch.cat([words, self.signals.logits(hidden)], dim=-1)

    def forward(self, prompts: PromptBatch) -> LLMForwardOutput:
        """Hear whole conversations at once, as training does."""
        positions = (prompts.attention_mask.long().cumsum(dim=1) - 1).clamp(min=0)
        return LLMForwardOutput(
            prompts, self.hidden_states(prompts.inputs_embeds, prompts.attention_mask, positions), self.logits
        )

    def merge_lora(self, adapters: Mapping[str, Tensor], *, alpha: float, rank: int) -> None:
        """Merge LoRA into the weights, to answer without peft."""
        self._adapter_scale = alpha / rank
        lora.merge(self.transformer, adapters, self._adapter_scale)
        self.adapters = dict(adapters)
        self.prefix_cache.clear()

    def unload_weights(self) -> None:
        """Let the transformer's weights go; what was trained beside them, and what was heard, stays."""
        assert self._load is not None, "only an LLM that was read from a folder can rest"
        self.transformer = None

    def reload_weights(self) -> None:
        """Read the weights again, with what was merged into them."""
        assert self._load is not None, "only an LLM that was read from a folder can rest"
        self.transformer = self._load()
        lora.merge(self.transformer, self.adapters, self._adapter_scale)

    def add_lora(
        self,
        *,
        rank: int,
        alpha: float,
        dropout: float,
        targets: Sequence[str],
        adapters: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Give the LLM trainable LoRA, fresh or with what ``adapters`` learned so far."""
        assert not self.adapters, "merged LoRA cannot be trained on; load it unmerged"
        lora.inject(self.transformer, rank=rank, alpha=alpha, dropout=dropout, targets=targets)
        if adapters is not None:
            lora.load_adapter(self.transformer, adapters)

    def train(self, mode: bool = True) -> LanguageModel:
        """Switch between training and answering; what was remembered is forgotten, as weights may have changed."""
        self.prefix_cache.clear()
        return super().train(mode)


def _end_ids(
    transformer: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, end_of_turn: list[str | int]
) -> frozenset[int]:
    """The tokens with which this model ends a turn: the template's, the tokenizer's, the generation settings'."""
    generation = transformer.generation_config
    configured = generation.eos_token_id if generation is not None else None
    ends = configured if isinstance(configured, list) else [configured]
    first = end_of_turn[0] if end_of_turn else None
    return frozenset(end for end in (*ends, tokenizer.eos_token_id, first) if isinstance(end, int))


def _ids(prompt: Prompt, soft_tokens: int) -> list[int]:
    return [
        token_id
        for piece in prompt.pieces
        for token_id in (piece.ids if isinstance(piece, TokenSpan) else (NO_TOKEN_ID,) * soft_tokens)
    ]


def _targets(prompt: Prompt, soft_tokens: int) -> list[bool]:
    return [
        in_loss
        for piece in prompt.pieces
        for in_loss in (
            [piece.in_loss] * len(piece.ids) if isinstance(piece, TokenSpan) else [False] * soft_tokens
        )
    ]


def _pad(rows: Sequence[Tensor], value: float | bool) -> Tensor:
    return nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=float(value))
