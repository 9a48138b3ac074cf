"""MiniLM-L6, a sentence encoder of an ordinary package (Apache-2.0)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

TEXT_BATCH_SIZE = 64
MAX_TOKENS = 256


class MiniLM:
    """Means over tokens of MiniLM-L6, of length 1.

    Args:
        folder: Folder of ``sentence-transformers/all-MiniLM-L6-v2``.
    """

    name = "minilm"

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModel, AutoTokenizer

        self._model = AutoModel.from_pretrained(folder, local_files_only=True, dtype=torch.float32).eval()
        self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """Return vectors (n, 384) of length 1."""
        rows = [self._embed(texts[start : start + TEXT_BATCH_SIZE]) for start in range(0, len(texts), TEXT_BATCH_SIZE)]
        return np.concatenate(rows) if rows else np.zeros((0, self._model.config.hidden_size), np.float32)

    def _embed(self, texts: Sequence[str]) -> np.ndarray:
        inputs = self._tokenizer(list(texts), padding=True, truncation=True, max_length=MAX_TOKENS, return_tensors="pt")
        states = self._model(**inputs).last_hidden_state  # (B, T, D)
        mask = inputs["attention_mask"][..., None]
        means = (states * mask).sum(1) / mask.sum(1)
        return torch.nn.functional.normalize(means, dim=1).numpy()
