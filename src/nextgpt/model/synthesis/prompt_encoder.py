"""The text encoder of a diffusers folder: captions to the conditions of its denoiser.

It provides targets for the decoding-side alignment, the negative condition for guidance, and the baseline that passes
text instead of vectors. Replies never load it.
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
from nextgpt.model.synthesis.diffusers_io import INDEX_FILE, load_component, read_json, write_negative_condition
from nextgpt.model.synthesis.spec import read_spec


@dataclass(frozen=True)
class TextEncoderAdapter:
    """Interface of one text encoder class."""

    conditions: Callable[[PromptEncoder, Mapping[str, Tensor]], Tensor]
    """Tokens of captions to conditions (B, q, C), with rows of zeros as padding."""
    text: Callable[[PromptEncoder, str], str] = lambda encoder, caption: caption
    """Caption in the format of the encoder's training."""
    length: Callable[[PromptEncoder], int] = lambda encoder: encoder.condition_shape[0]
    """Padded number of tokens."""


def _clip(encoder: PromptEncoder, tokens: Mapping[str, Tensor]) -> Tensor:
    """Encode with attention to padding, as in the denoisers' training."""
    return encoder.text_encoder(tokens["input_ids"]).last_hidden_state


def _clap(encoder: PromptEncoder, tokens: Mapping[str, Tensor]) -> Tensor:
    """Encode to one pooled vector of norm 1, as AudioLDM does."""
    outputs = encoder.text_encoder(tokens["input_ids"], attention_mask=tokens["attention_mask"])
    return F.normalize(outputs.text_embeds, dim=-1)[:, None]


def _umt5(encoder: PromptEncoder, tokens: Mapping[str, Tensor]) -> Tensor:
    mask = tokens["attention_mask"]
    states = encoder.text_encoder(tokens["input_ids"], attention_mask=mask).last_hidden_state
    return states * mask[..., None]


def _z_image(encoder: PromptEncoder, tokens: Mapping[str, Tensor]) -> Tensor:
    """Return the second to last hidden states."""
    mask = tokens["attention_mask"]
    outputs = encoder.text_encoder(tokens["input_ids"], attention_mask=mask, output_hidden_states=True)
    return outputs.hidden_states[-2] * mask[..., None]


def _chat_prompt(encoder: PromptEncoder, caption: str) -> str:
    """Format a caption as a user message of the language model that is the text encoder."""
    return encoder.tokenizer.apply_chat_template(
        [{"role": "user", "content": caption}], tokenize=False, add_generation_prompt=True, enable_thinking=True
    )


NO_LYRICS = "# Languages\nen\n\n# Lyric\n<|endoftext|>"
VOICE_LATENTS_S = 30
"""Seconds of reference voice in ACE-Step; here it is silence."""


def _ace_step(encoder: PromptEncoder, tokens: Mapping[str, Tensor]) -> Tensor:
    """Encode a caption without lyrics and voice; the condition encoder concatenates all three."""
    text_encoder, condition_encoder = encoder.text_encoder, encoder.condition_encoder
    captions = len(tokens["input_ids"])
    lyrics = encoder.tokenizer([NO_LYRICS] * captions, return_tensors="pt").to(encoder.device)
    voice_latents = math.ceil(VOICE_LATENTS_S * encoder.latent_rate_hz)
    states, mask = condition_encoder(
        text_hidden_states=text_encoder(tokens["input_ids"]).last_hidden_state,
        text_attention_mask=tokens["attention_mask"].bool(),
        lyric_hidden_states=text_encoder.get_input_embeddings()(lyrics["input_ids"]),
        lyric_attention_mask=lyrics["attention_mask"].bool(),
        refer_audio_acoustic_hidden_states_packed=condition_encoder.silence_latent[:, :voice_latents].expand(
            captions, -1, -1
        ),
        refer_audio_order_mask=torch.arange(captions, device=encoder.device),
    )
    return states * mask[..., None]


def _music_prompt(encoder: PromptEncoder, caption: str) -> str:
    """Format a caption for ACE-Step, with unknown tempo and key."""
    duration_s = int(encoder.spec.latent_shape[3] / encoder.latent_rate_hz)
    return (
        "# Instruction\nFill the audio semantic mask based on the given conditions:\n\n"
        f"# Caption\n{caption}\n\n"
        f"# Metas\n- bpm: N/A\n- timesignature: N/A\n- keyscale: N/A\n- duration: {duration_s} seconds\n"
        "<|endoftext|>\n"
    )


TEXT_ENCODERS: dict[str, TextEncoderAdapter] = {
    "CLIPTextModel": TextEncoderAdapter(
        _clip, length=lambda encoder: encoder.text_encoder.config.max_position_embeddings
    ),
    "ClapTextModelWithProjection": TextEncoderAdapter(_clap, length=lambda encoder: encoder.tokenizer.model_max_length),
    "UMT5EncoderModel": TextEncoderAdapter(_umt5),
    "Qwen3Model": TextEncoderAdapter(_z_image, text=_chat_prompt),
    "Qwen3Model with condition_encoder": TextEncoderAdapter(_ace_step, text=_music_prompt),
}


class PromptEncoder:
    """Tokenizer and text encoder of a diffusers folder, loaded on first use.

    Raises:
        ModelError: The folder has no text encoder, or one without an adapter.
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
            raise ModelError(f"{self.folder / INDEX_FILE}: {unknown_name_message('text encoder', name, TEXT_ENCODERS)}")
        self._adapter = TEXT_ENCODERS[name]

    @torch.inference_mode()
    def encode(self, captions: Sequence[str]) -> Conditions:
        """Encode captions, padded or truncated to the length Q of the denoiser."""
        tokens = self.tokenizer(
            [self._adapter.text(self, caption) for caption in captions],
            padding="max_length",
            max_length=self._adapter.length(self),
            truncation=True,
            return_tensors="pt",
        ).to(self.device)
        conditions = self._adapter.conditions(self, tokens).float()[:, : self.condition_shape[0]]
        return F.pad(conditions, (0, 0, 0, self.condition_shape[0] - conditions.shape[1]))

    @property
    def latent_rate_hz(self) -> float:
        """Latent frames per second of waveform autoencoders."""
        config = read_json(self.folder / "vae" / "config.json")
        return config["sampling_rate"] / math.prod(config["downsampling_ratios"])

    @cached_property
    def text_encoder(self) -> Any:
        """The text encoder."""
        return self._read("text_encoder")

    @cached_property
    def condition_encoder(self) -> Any:
        """The condition encoder, which joins several texts into one condition."""
        return self._read("condition_encoder")

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer."""
        from transformers import AutoTokenizer

        tokenizer_dir = self.folder / "tokenizer"
        try:
            return AutoTokenizer.from_pretrained(tokenizer_dir, local_files_only=True)
        except Exception as error:  # tokenizers raises bare Exception
            raise ModelError(
                f"The tokenizer in {tokenizer_dir} cannot be read ({error}); expected one saved by transformers. "
                "Download the model again."
            ) from error

    def _read(self, name: str) -> Any:
        class_name = self.spec.index[name]
        return load_component(self.folder, name, class_name, dtype=self.dtype, device=self.device)


def add_negative_condition(folder: str | Path) -> None:
    """Encode the empty caption with the folder's text encoder and write the result into the folder."""
    write_negative_condition(folder, PromptEncoder(folder).encode([""])[0])
