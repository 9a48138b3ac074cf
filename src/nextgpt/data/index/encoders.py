"""Vectors of an index: caption embeddings and media features, by the frozen components of one model.

NExT-GPT's decoding-side alignment trains conditions to equal what the synthesizer's text encoder returns for the
caption. So a condition, averaged over its positions like a caption embedding, finds the captions that mean the same.
Independent of the files of an index.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.config import read_config
from nextgpt.message import Medium
from nextgpt.model.component_hash import hash_encoder, hash_folder
from nextgpt.model.encoding import Encoder, load_encoder
from nextgpt.model.encoding.loading import TEXT_DIR, encoder_modalities, has_text_encoder
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.model.quirks import QUIRKS
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder

CAPTION_BATCH_SIZE = 64
MEDIA_BATCH_SIZE = 16


class IndexEncoders:
    """The encoder and the text encoders of a model, each loaded on first use.

    Raises:
        ModelError: There is no such model.
    """

    def __init__(self, model: str | Path) -> None:
        self._model_dir = resolve_model_dir(model)
        self._config = read_config(self._model_dir)
        self._prompt_encoders: dict[str, PromptEncoder] = {}

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that have a synthesizer, and so a text encoder."""
        return tuple(self._config.synthesizers)

    def fingerprints(self) -> dict[str, str]:
        """Return the hashes of the components: ``encoder``, its text tower as ``words``, and one per modality."""
        folder = self._encoder_dir
        words = {"words": hash_folder(folder / TEXT_DIR)} if has_text_encoder(folder) else {}
        synthesizers = {modality: self.text_encoder_fingerprint(modality) for modality in self.modalities}
        return {"encoder": hash_encoder(folder)} | words | synthesizers

    def text_encoder_fingerprint(self, modality: str) -> str:
        """Return the hash of a synthesizer's text encoder with its tokenizer."""
        folder = self._synthesizer_dir(modality)
        return "".join(hash_folder(folder / name) for name in ("text_encoder", "tokenizer"))

    def embed_captions(self, captions: Sequence[str], modality: str) -> Float[np.ndarray, "N C"]:
        """Return the mean of each caption's embedding over its positions; raises :class:`ModelError`."""
        if modality not in self._prompt_encoders:
            self._prompt_encoders[modality] = PromptEncoder(self._synthesizer_dir(modality))
        encoder = self._prompt_encoders[modality]
        starts = range(0, len(captions), CAPTION_BATCH_SIZE)
        rows = [pool_conditions(encoder.encode(captions[start : start + CAPTION_BATCH_SIZE])) for start in starts]
        return np.concatenate(rows) if rows else np.zeros((0, encoder.condition_shape[1]), np.float32)

    def embed_media(self, media: Sequence[Medium]) -> Float[np.ndarray, "N E"]:
        """Return one vector of norm 1 per medium."""
        starts = range(0, len(media), MEDIA_BATCH_SIZE)
        rows = [self.encoder.embed_media(media[start : start + MEDIA_BATCH_SIZE]) for start in starts]
        return torch.cat(rows).float().cpu().numpy() if rows else np.zeros((0, self.encoder.width), np.float32)

    @property
    def has_text_tower(self) -> bool:
        """Return whether the encoder embeds words in the space of media; it is not loaded for that."""
        return "text" in encoder_modalities(self._encoder_dir)

    def embed_words(self, words: Sequence[str]) -> Float[np.ndarray, "N E"]:
        """Return one vector of norm 1 per text, in the space of media; raises :class:`ModelError`."""
        starts = range(0, len(words), CAPTION_BATCH_SIZE)
        rows = [self.encoder.embed_text(words[start : start + CAPTION_BATCH_SIZE]) for start in starts]
        return (
            normalize(torch.cat(rows).float().cpu().numpy()) if rows else np.zeros((0, self.encoder.width), np.float32)
        )

    @cached_property
    def encoder(self) -> Encoder:
        """The encoder of media."""
        return load_encoder(self._encoder_dir, as_in_nextgpt=QUIRKS.get(self._config.quirks or "") is not None)

    @property
    def _encoder_dir(self) -> Path:
        return resolve_component_dir(self._config.encoder, self._model_dir)

    def _synthesizer_dir(self, modality: str) -> Path:
        return resolve_component_dir(self._config.synthesizers[modality].source, self._model_dir)


@torch.no_grad()
def pool_conditions(conditions: Float[Tensor, "B Q C"]) -> Float[np.ndarray, "B C"]:
    """Return the mean of each condition over its positions."""
    return conditions.detach().float().mean(dim=1).cpu().numpy()


def normalize(rows: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "N D"]:
    """Scale rows to norm 1; a row of zeros stays."""
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
