"""The text encoder of a diffusers folder: captions to the conditions that its denoiser was trained on.

It gives the decoding-side alignment its targets and guidance its negative condition, and it is the baseline that
passes words instead of vectors. No answer of the model loads it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from nextgpt.errors import ModelError, unknown_name_message
from nextgpt.model.synthesis.base import Conditions
from nextgpt.model.synthesis.diffusers_io import (
    INDEX_FILE,
    load_component,
    read_json,
    write_negative_condition,
)
from nextgpt.model.synthesis.spec import read_spec


@dataclass(frozen=True)
class TextEncoderAdapter:
    """What must be known about one kind of text encoder."""

    conditions: Callable[[PromptEncoder, Mapping[str, Tensor]], Tensor]
    """Tokens of captions to conditions (B, q, C); rows of zeros stand for no token."""
    text: Callable[[PromptEncoder, str], str] = lambda conditioner, caption: caption
    """A caption as the encoder was trained to read it."""
    length: Callable[[PromptEncoder], int] = lambda conditioner: conditioner.condition_shape[0]
    """The number of tokens that captions are padded to."""


def _clip(conditioner: PromptEncoder, tokens: Mapping[str, Tensor]) -> Tensor:
    """Padding is attended to, as the denoisers saw it in training."""
    return conditioner.text_encoder(tokens["input_ids"]).last_hidden_state


def _clap(conditioner: PromptEncoder, tokens: Mapping[str, Tensor]) -> Tensor:
    """AudioLDM: one pooled vector of unit length."""
    said = conditioner.text_encoder(tokens["input_ids"], attention_mask=tokens["attention_mask"])
    return F.normalize(said.text_embeds, dim=-1)[:, None]


def _umt5(conditioner: PromptEncoder, tokens: Mapping[str, Tensor]) -> Tensor:
    mask = tokens["attention_mask"]
    said = conditioner.text_encoder(tokens["input_ids"], attention_mask=mask).last_hidden_state
    return said * mask[..., None]


def _z_image(conditioner: PromptEncoder, tokens: Mapping[str, Tensor]) -> Tensor:
    """The last states but one."""
    mask = tokens["attention_mask"]
    said = conditioner.text_encoder(tokens["input_ids"], attention_mask=mask, output_hidden_states=True)
    return said.hidden_states[-2] * mask[..., None]


def _chat_prompt(conditioner: PromptEncoder, caption: str) -> str:
    """What a person asks of the language model that serves as text encoder."""
    return conditioner.tokenizer.apply_chat_template(
        [{"role": "user", "content": caption}],
        tokenize=False,
        add_generation_prompt=True,
        enable_thinking=True,
    )


NO_LYRICS = "# Languages\nen\n\n# Lyric\n<|endoftext|>"
VOICE_LATENTS_S = 30
"""How much of a voice to sing like ACE-Step hears; here it is silence."""


def _ace_step(conditioner: PromptEncoder, tokens: Mapping[str, Tensor]) -> Tensor:
    """No lyrics, no voice, then the caption, as the condition encoder lays them one behind another."""
    text_encoder, condition_encoder = conditioner.text_encoder, conditioner.condition_encoder
    captions = len(tokens["input_ids"])
    lyrics = conditioner.tokenizer([NO_LYRICS] * captions, return_tensors="pt").to(conditioner.device)
    voice_latents = math.ceil(VOICE_LATENTS_S * conditioner.latent_rate_hz)
    said, mask = condition_encoder(
        text_hidden_states=text_encoder(tokens["input_ids"]).last_hidden_state,
        text_attention_mask=tokens["attention_mask"].bool(),
        lyric_hidden_states=text_encoder.get_input_embeddings()(lyrics["input_ids"]),
        lyric_attention_mask=lyrics["attention_mask"].bool(),
        refer_audio_acoustic_hidden_states_packed=condition_encoder.silence_latent[:, :voice_latents].expand(
            captions, -1, -1
        ),
        refer_audio_order_mask=torch.arange(captions, device=conditioner.device),
    )
    return said * mask[..., None]


def _music_prompt(conditioner: PromptEncoder, caption: str) -> str:
    """ACE-Step's form for a caption; nothing is said of tempo and key."""
    duration_s = int(conditioner.spec.latent_shape[3] / conditioner.latent_rate_hz)
    return (
        "# Instruction\nFill the audio semantic mask based on the given conditions:\n\n"
        f"# Caption\n{caption}\n\n"
        f"# Metas\n- bpm: N/A\n- timesignature: N/A\n- keyscale: N/A\n- duration: {duration_s} seconds\n"
        "<|endoftext|>\n"
    )


TEXT_ENCODERS: dict[str, TextEncoderAdapter] = {
    "CLIPTextModel": TextEncoderAdapter(
        _clip, length=lambda conditioner: conditioner.text_encoder.config.max_position_embeddings
    ),
    "ClapTextModelWithProjection": TextEncoderAdapter(
        _clap, length=lambda conditioner: conditioner.tokenizer.model_max_length
    ),
    "UMT5EncoderModel": TextEncoderAdapter(_umt5),
    "Qwen3Model": TextEncoderAdapter(_z_image, text=_chat_prompt),
    "Qwen3Model with condition_encoder": TextEncoderAdapter(_ace_step, text=_music_prompt),
}


class PromptEncoder:
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
        self.spec = read_spec(folder)
        self.condition_shape = self.spec.condition_shape
        index = self.spec.index
        name = index.get("text_encoder", "none")
        name += " with condition_encoder" if "condition_encoder" in index else ""
        if name not in TEXT_ENCODERS:
            raise ModelError(
                f"{self.folder / INDEX_FILE}: {unknown_name_message('text encoder', name, TEXT_ENCODERS)}"
            )
        self._kind = TEXT_ENCODERS[name]

    @torch.inference_mode()
    def encode(self, captions: Sequence[str]) -> Conditions:
        """Encode captions, padded or cut to the length Q that the denoiser takes."""
        tokens = self.tokenizer(
            [self._kind.text(self, caption) for caption in captions],
            padding="max_length",
            max_length=self._kind.length(self),
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        conditions = self._kind.conditions(self, tokens).float()[:, : self.condition_shape[0]]
        return F.pad(conditions, (0, 0, 0, self.condition_shape[0] - conditions.shape[1]))

    @property
    def latent_rate_hz(self) -> float:
        """Latents a second of sounds that are taken as they are."""
        config = read_json(self.folder / "vae" / "config.json")
        return config["sampling_rate"] / math.prod(config["downsampling_ratios"])

    @cached_property
    def text_encoder(self) -> Any:
        """Tokens to vectors."""
        return self._read("text_encoder")

    @cached_property
    def condition_encoder(self) -> Any:
        """What joins several texts into one condition, where a folder has it."""
        return self._read("condition_encoder")

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

    def _read(self, name: str) -> Any:
        class_name = self.spec.index[name]
        return load_component(self.folder, name, class_name, dtype=self.dtype, device=self.device)


def add_negative_condition(folder: str | Path) -> None:
    """Encode the empty caption with the folder's own text encoder and keep the result beside its parts."""
    write_negative_condition(folder, PromptEncoder(folder).encode([""])[0])
