"""The text encoder of a diffusers folder: captions to the conditions that its denoiser was trained on.

It gives the decoding-side alignment its targets and guidance its negative condition, and it is the baseline that
passes words instead of vectors. No answer of the model loads it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nextgpt.errors import ModelError, unknown
from nextgpt.model.synthesis.base import Conditions
from nextgpt.model.synthesis.folder import INDEX_FILE, read_index, read_part, write_negative_condition


@dataclass(frozen=True)
class TextEncoderKind:
    """What must be known about one kind of text encoder."""

    length: Callable[[Any, Any], int]
    """Text encoder and tokenizer to the number of tokens that captions are padded to."""
    conditions: Callable[[Any, Mapping[str, Tensor]], Tensor]
    """Text encoder and tokens to conditions (B, Q, C)."""


TEXT_ENCODERS: dict[str, TextEncoderKind] = {
    # Padding is attended to, as the denoisers saw it in training.
    "CLIPTextModel": TextEncoderKind(
        length=lambda encoder, tokenizer: encoder.config.max_position_embeddings,
        conditions=lambda encoder, tokens: encoder(tokens["input_ids"]).last_hidden_state,
    ),
    # AudioLDM: one pooled vector of unit length
    "ClapTextModelWithProjection": TextEncoderKind(
        length=lambda encoder, tokenizer: tokenizer.model_max_length,
        conditions=lambda encoder, tokens: F.normalize(
            encoder(tokens["input_ids"], attention_mask=tokens["attention_mask"]).text_embeds, dim=-1
        )[:, None],
    ),
}


class TextConditioner:
    """Tokenizer and text encoder of a diffusers folder, loaded when first needed.

    Raises:
        ModelError: The folder has no text encoder, or one of a kind that has no row.
    """

    def __init__(
        self, folder: str | Path, *, dtype: torch.dtype = torch.float32, device: str | torch.device = "cpu"
    ) -> None:
        self.folder = Path(folder)
        self.dtype = dtype
        self.device = torch.device(device)
        self._class_name = read_index(self.folder).get("text_encoder", "none")
        if self._class_name not in TEXT_ENCODERS:
            raise ModelError(
                f"{self.folder / INDEX_FILE}: {unknown('text encoder', self._class_name, TEXT_ENCODERS)}"
            )

    @torch.inference_mode()
    def encode(self, captions: Sequence[str]) -> Conditions:
        """Encode captions, padded or cut to the length Q that the denoiser takes."""
        kind = TEXT_ENCODERS[self._class_name]
        tokens = self.tokenizer(
            list(captions),
            padding="max_length",
            max_length=kind.length(self.text_encoder, self.tokenizer),
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        return kind.conditions(self.text_encoder, tokens).float()

    @cached_property
    def text_encoder(self) -> Any:
        """Tokens to vectors."""
        return read_part(self.folder, "text_encoder", self._class_name, dtype=self.dtype, device=self.device)

    @cached_property
    def tokenizer(self) -> Any:
        """Captions to tokens."""
        from transformers import AutoTokenizer

        home = self.folder / "tokenizer"
        try:
            return AutoTokenizer.from_pretrained(home, local_files_only=True)
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelError(
                f"The tokenizer in {home} cannot be read ({error}); expected one saved by transformers. "
                "Fetch the model again."
            ) from error


def add_negative_condition(folder: str | Path) -> None:
    """Encode the empty caption with the folder's own text encoder and keep the result beside its parts."""
    write_negative_condition(folder, TextConditioner(folder).encode([""])[0])
