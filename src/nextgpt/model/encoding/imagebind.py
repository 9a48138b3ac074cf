"""ImageBind: one transformer per modality, all projecting into one space (Girdhar et al. 2023, arXiv:2305.05665).

An own implementation; the state dict has the names and shapes of the published weights.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import cached_property

import torch
from jaxtyping import Float, Shaped
from tokenizers import Tokenizer
from torch import Tensor, nn
from torch.nn import functional

from nextgpt.errors import ModelError
from nextgpt.message import Medium
from nextgpt.model.encoding.base import Features
from nextgpt.model.encoding.config import EncoderConfig
from nextgpt.model.encoding.heads import create_head, create_postprocessor
from nextgpt.model.encoding.preprocessing import PREPROCESSORS, tokenize
from nextgpt.model.encoding.stems import create_stem
from nextgpt.model.encoding.transformer import Trunk

CLIP_BATCH_SIZE = 32
"""Clips per forward pass; bounds the memory of long conversations."""


class ImageBind(nn.Module):
    """ImageBind with the towers of its config; an :class:`~nextgpt.model.encoding.base.Encoder`.

    Args:
        tokenizer: Required for texts.
        load_text_encoder: Loads an encoder of the same space whose text tower embeds texts, if this one has none.
    """

    def __init__(
        self,
        config: EncoderConfig,
        tokenizer: Tokenizer | None = None,
        load_text_encoder: Callable[[], ImageBind] | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        self.tokenizer = tokenizer
        self._load_text_encoder = load_text_encoder
        towers = config.towers
        self.modality_preprocessors = nn.ModuleDict({name: create_stem(name, t) for name, t in towers.items()})
        self.modality_trunks = nn.ModuleDict(
            {
                name: Trunk(
                    t.width,
                    t.blocks,
                    t.heads,
                    has_input_norm=t.has_input_norm,
                    has_bias_kv=t.has_bias_kv,
                    drop_path=t.drop_path,
                )
                for name, t in towers.items()
            }
        )
        self.modality_heads = nn.ModuleDict({name: create_head(name, t, config.width) for name, t in towers.items()})
        self.modality_postprocessors = nn.ModuleDict({name: create_postprocessor(t) for name, t in towers.items()})

    @property
    def width(self) -> int:
        """Size E of all vectors."""
        return self.config.width

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that have a tower."""
        separate = ("text",) if self._load_text_encoder is not None else ()
        return (*separate, *self.config.modalities)

    @property
    def towers(self) -> dict[str, nn.Module]:
        """All towers by name."""
        return {name: self.tower(name) for name in self.config.towers}

    def tower(self, name: str) -> nn.ModuleList:
        """Return stem, trunk, head and postprocessor of one tower."""
        self._check_tower(name)
        steps = (self.modality_preprocessors, self.modality_trunks, self.modality_heads, self.modality_postprocessors)
        return nn.ModuleList(step[name] for step in steps)

    @torch.no_grad()
    def encode(self, media: Sequence[Medium]) -> list[Features]:
        """Return the features of media, in order; clips of equal shape are batched."""
        return [Features(self._pool_clips(vectors)) for vectors in self._map_clips(media, self.forward_clips)]

    @torch.no_grad()
    def embed_media(self, media: Sequence[Medium]) -> Float[Tensor, "B E"]:
        """Return one vector of norm 1 per medium: that of the class token, whatever the features are."""
        pooled = [vectors.mean(dim=0) for vectors in self._map_clips(media, self._class_vectors)]
        return functional.normalize(torch.stack(pooled), dim=-1) if pooled else torch.zeros(0, self.width)

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "B E"]:
        """Return one vector per text, with the learned scale as norm; longer texts are truncated."""
        if self._load_text_encoder is None:
            return self.forward_modality("text", self.tokenize(texts))
        return self._text_encoder.embed_text(texts).to(next(self.parameters()).device)

    def preprocess(self, medium: Medium) -> Float[Tensor, "clips ..."]:
        """Return the distinct clips of a medium as inputs of its tower.

        Images: (1, 3, 1, H, W). Video: (clips x crops, 3, F, H, W). Audio: (clips, 1, mel bins, F).
        """
        row = PREPROCESSORS[medium.modality]
        self._check_tower(row.tower)
        return row.preprocess(medium, getattr(self.config, row.tower))

    def tokenize(self, texts: Sequence[str]) -> Tensor:
        """Return token ids (B, T) with start and end tokens, padded with 0."""
        self._check_tower("text")
        if self.tokenizer is None:
            raise ModelError(
                "The encoder has no tokenizer; texts need one. Add its tokenizer.json to the encoder's folder."
            )
        return tokenize(self.tokenizer, texts, self.config.text)

    def forward_modality(
        self, name: str, batch: Shaped[Tensor, "B ..."], *, scaled: bool = True
    ) -> Float[Tensor, "B E"]:
        """Return pooled vectors of one tower, with gradients.

        Args:
            name: Tower: ``vision``, ``text``, ``audio``, ``depth``, ``thermal`` or ``imu``.
            batch: One clip per item, (B, 3, F, H, W), (B, T), (B, 1, mel bins, F), ...; or several, (B, clips, ...),
                whose scaled vectors are averaged.
            scaled: Scale vectors as published. Otherwise their norm is 1.
        """
        self._check_tower(name)
        has_several_clips = batch.ndim > _ITEM_DIMENSIONS[name] + 1
        clips = batch.flatten(0, 1) if has_several_clips else batch
        states, pool_index = self._hidden_states(name, clips)
        pooled = states[torch.arange(len(states), device=states.device), pool_index]  # (B * clips, D)
        vectors = self.modality_heads[name](pooled)
        vectors = self.modality_postprocessors[name](vectors) if scaled else functional.normalize(vectors, dim=-1)
        return vectors.unflatten(0, batch.shape[:2]).mean(dim=1) if has_several_clips else vectors

    def forward_patches(self, name: str, batch: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B P E"]:
        """Return one vector of norm 1 per patch, for one clip per item, with gradients."""
        return self.forward_tokens(name, batch)[:, 1:]

    def forward_tokens(self, name: str, batch: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B T E"]:
        """Return vectors of norm 1 for class token and patches, for one clip per item, with gradients."""
        self._check_tower(name)
        states, _ = self._hidden_states(name, batch)
        return functional.normalize(self.modality_heads[name](states), dim=-1)

    def forward_clips(self, tower: str, clips: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B P E"]:
        """Return the features of each clip as :meth:`encode` does, with gradients."""
        gain = 1.0 if self.config.feature_norm == "one" else math.sqrt(self.width)
        if self.config.features == "patches":
            parts = [self.forward_patches(tower, part) for part in clips.split(CLIP_BATCH_SIZE)]
        elif self.config.features == "tokens":
            parts = [gain * self.forward_tokens(tower, part) for part in clips.split(CLIP_BATCH_SIZE)]
        else:
            parts = [
                gain * self.forward_modality(tower, part, scaled=False)[:, None]
                for part in clips.split(CLIP_BATCH_SIZE)
            ]
        return torch.cat(parts)

    @cached_property
    def _text_encoder(self) -> ImageBind:
        """The encoder of texts, loaded on first use; no submodule, so that weights of media are saved without it."""
        assert self._load_text_encoder is not None
        return self._load_text_encoder()

    def _map_clips(
        self, media: Sequence[Medium], compute: Callable[[str, Tensor], Tensor]
    ) -> list[Float[Tensor, "clips ..."]]:
        """Return ``compute(tower, clips)`` for the clips of each medium; clips of equal shape are one batch."""
        groups: dict[tuple, list[tuple[int, Tensor]]] = defaultdict(list)
        for index, medium in enumerate(media):
            clips = self.preprocess(medium)
            groups[PREPROCESSORS[medium.modality].tower, clips.shape[1:]].append((index, clips))
        results: dict[int, Tensor] = {}
        for (tower, _), members in groups.items():
            vectors = compute(tower, torch.cat([clips for _, clips in members]))
            sizes = [len(clips) for _, clips in members]
            results |= zip((index for index, _ in members), vectors.split(sizes), strict=True)
        return [results[index] for index in range(len(media))]

    def _class_vectors(self, tower: str, clips: Shaped[Tensor, "B ..."]) -> Float[Tensor, "B E"]:
        """Return the pooled vector of each clip, with norm 1."""
        return torch.cat([self.forward_modality(tower, part, scaled=False) for part in clips.split(CLIP_BATCH_SIZE)])

    def _hidden_states(self, name: str, batch: Tensor) -> tuple[Tensor, Tensor]:
        stem = self.modality_preprocessors[name]
        parameter = next(self.modality_trunks[name].parameters())
        batch = batch.to(parameter.device, parameter.dtype if batch.is_floating_point() else None)
        tokens = stem(batch)
        return self.modality_trunks[name](tokens.states, tokens.mask), tokens.pool_index

    def _pool_clips(self, vectors: Tensor) -> Tensor:
        """Reduce (clips, P, E) to (P, E) by the mean, or to (clips x P, E)."""
        is_mean = self.config.features == "pooled" or self.config.clip_reduction == "mean"
        return vectors.mean(dim=0) if is_mean else vectors.flatten(0, 1)

    def _check_tower(self, name: str) -> None:
        if name not in self.modality_trunks:
            raise ModelError(
                f"The encoder has no {name} tower; it has {', '.join(self.modality_trunks)}. "
                "Add the tower to the encoder's config, or use other media."
            )


_ITEM_DIMENSIONS = {"vision": 4, "text": 1, "audio": 3, "depth": 3, "thermal": 3, "imu": 2}
"""Number of dimensions of one clip, by tower."""
