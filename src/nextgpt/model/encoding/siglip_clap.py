"""An encoder of freely licensed parts: SigLIP sees pictures and films, CLAP hears sounds, both by transformers.

The two have spaces of their own and unequal widths. Shorter vectors are filled up with zeros, so that all have one
length; give each modality its own input projection (``shared: false``), which learns to read its own space.

A folder holds ``config.json`` (:class:`SiglipClapConfig`) and two unchanged repositories: ``vision/`` and ``audio/``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float
from pydantic import BaseModel, ConfigDict, Field
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional

from nextgpt.errors import ModelError, WeightsError
from nextgpt.media import resample, to_mono, uniform_indices
from nextgpt.message import Audio, Medium
from nextgpt.model.encoding.base import Features
from nextgpt.model.encoding.preprocessing.clips import clip_starts_s

IMAGE_BATCH_SIZE = 32
"""Pictures that go through SigLIP together: bounds the memory of long films."""
TEXT_TOKENS = 64
"""SigLIP learned texts padded to this length."""


class SiglipClapConfig(BaseModel):
    """``config.json`` of such an encoder; sizes are those of the two parts' own configs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["siglip_clap"] = "siglip_clap"
    features: Literal["pooled", "patches"] = "pooled"
    """One vector a picture, frame or clip of sound, or one for each patch of it."""
    frames: int = Field(default=8, ge=1)
    """Of a film, evenly spread."""
    clips: int = Field(default=3, ge=1)
    """Of a sound, evenly spread, each as long as CLAP hears at once (10 s); equal ones are heard once."""


class SiglipClap(nn.Module):
    """An :class:`~nextgpt.model.encoding.base.Encoder`.

    Args:
        vision: A ``SiglipVisionModel``.
        audio: A ``ClapAudioModelWithProjection``.
        image_processor: Pictures to what ``vision`` takes.
        audio_processor: Sounds of one channel to what ``audio`` takes, a ``ClapFeatureExtractor``.
        text_embedder: Texts to vectors of the pictures' space.
    """

    def __init__(
        self,
        vision: nn.Module,
        audio: nn.Module,
        *,
        image_processor: Any,
        audio_processor: Any,
        text_embedder: Callable[[Sequence[str]], Tensor],
        config: SiglipClapConfig = SiglipClapConfig(),
    ) -> None:
        super().__init__()
        self.vision = vision
        self.audio = audio
        self.config = config
        self._image_processor = image_processor
        self._audio_processor = audio_processor
        self._text_embedder = text_embedder
        heard = audio.config.hidden_size if config.features == "patches" else audio.config.projection_dim
        if heard > self.width:
            raise ModelError(
                f"CLAP's vectors have width {heard}; expected at most SigLIP's {self.width}, to which they are filled "
                "up. Take a larger SigLIP."
            )

    @property
    def width(self) -> int:
        """Length E of every vector."""
        return self.vision.config.hidden_size

    @property
    def towers(self) -> dict[str, nn.Module]:
        """What sees and what hears."""
        return {"vision": self.vision, "audio": self.audio}

    @torch.no_grad()
    def encode(self, media: Sequence[Medium]) -> list[Features]:
        """Features of every medium, in order. Raises :class:`ModelError` for what neither part perceives."""
        return [Features(self._encoders[self._kind(medium)](medium)) for medium in media]

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "B E"]:
        """One vector a text, in the space of pictures and films; sounds have another."""
        return self._text_embedder(texts)

    @property
    def _encoders(self) -> dict[str, Callable[[Any], Tensor]]:
        return {
            "image": lambda medium: self._encode_images([medium.image]),
            "video": lambda medium: self._encode_images(_frames(medium.frames, self.config.frames)),
            "audio": self._encode_audio,
        }

    def _kind(self, medium: Medium) -> str:
        if medium.modality not in self._encoders:
            raise ModelError(
                f"The encoder was given {medium.modality}; it takes {', '.join(self._encoders)}. Take ImageBind for "
                "other media."
            )
        return medium.modality

    def _encode_images(self, pictures: Sequence[PIL.Image.Image]) -> Float[Tensor, "P E"]:
        pixels = self._image_processor([picture.convert("RGB") for picture in pictures], return_tensors="pt")[
            "pixel_values"
        ]
        place = next(self.vision.parameters())
        vectors = []
        for part in pixels.to(place).split(IMAGE_BATCH_SIZE):
            seen = self.vision(pixel_values=part)
            if self.config.features == "patches":
                vectors.append(seen.last_hidden_state.flatten(0, 1))
            else:
                vectors.append(functional.normalize(seen.pooler_output, dim=-1))
        return torch.cat(vectors)

    def _encode_audio(self, sound: Audio) -> Float[Tensor, "P E"]:
        rate, length = self._audio_processor.sampling_rate, self._audio_processor.nb_max_samples
        samples = resample(to_mono(sound), rate).samples[0]
        starts = clip_starts_s(len(samples) / rate, length / rate, self.config.clips)
        clips = [samples[(first := round(start * rate)) : first + length] for start in starts]
        given = self._audio_processor(clips, sampling_rate=rate, return_tensors="pt")
        place = next(self.audio.parameters())
        heard = self.audio(input_features=given["input_features"].to(place))
        if self.config.features == "patches":
            vectors = heard.last_hidden_state.flatten(2).mT.flatten(0, 1)  # (clips x frequency x time, C)
        else:
            vectors = functional.normalize(heard.audio_embeds, dim=-1)
        return functional.pad(vectors, (0, self.width - vectors.shape[-1]))


def _frames(frames: np.ndarray, count: int) -> list[PIL.Image.Image]:
    chosen = dict.fromkeys(uniform_indices(len(frames), count).tolist())
    return [PIL.Image.fromarray(frames[index]) for index in chosen]


def load_siglip_clap(folder: Path, config: SiglipClapConfig, *, dtype: torch.dtype) -> SiglipClap:
    """Read an encoder, ready to answer with; SigLIP's text half is read when a text is first embedded.

    Raises:
        ModelError: A part's folder, or a file of it, is missing or cannot be read.
        WeightsError: Weights are missing or damaged, or do not fit their config.
    """
    from transformers import ClapAudioModelWithProjection, SiglipVisionModel

    vision, audio = (
        _load_component(kind, folder / name, dtype)
        for kind, name in ((SiglipVisionModel, "vision"), (ClapAudioModelWithProjection, "audio"))
    )
    return _assemble(folder, config, vision, audio, dtype)


def build_siglip_clap(folder: Path, config: SiglipClapConfig) -> SiglipClap:
    """The encoder of a folder without content, by its configs alone."""
    from transformers import (
        ClapAudioConfig,
        ClapAudioModelWithProjection,
        SiglipVisionConfig,
        SiglipVisionModel,
    )

    vision = SiglipVisionModel(_load_auto(SiglipVisionConfig, folder / "vision"))
    audio = ClapAudioModelWithProjection(_load_auto(ClapAudioConfig, folder / "audio"))
    return _assemble(folder, config, vision, audio, torch.float32)


def _assemble(
    folder: Path, config: SiglipClapConfig, vision: nn.Module, audio: nn.Module, dtype: torch.dtype
) -> SiglipClap:
    from transformers import ClapFeatureExtractor
    from transformers.models.siglip.image_processing_pil_siglip import SiglipImageProcessorPil

    return SiglipClap(
        vision,
        audio,
        image_processor=_load_auto(SiglipImageProcessorPil, folder / "vision"),
        audio_processor=_load_auto(ClapFeatureExtractor, folder / "audio"),
        text_embedder=_TextEmbedder(folder / "vision", dtype),
        config=config,
    ).eval()


class _TextEmbedder:
    """SigLIP's text half, which no answer needs; read when first asked."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        self.folder = folder
        self.dtype = dtype
        self._parts: tuple[Any, Any] | None = None

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "B E"]:
        from transformers import AutoTokenizer, SiglipTextModel

        if self._parts is None:
            tokenizer = _load_auto(AutoTokenizer, self.folder)
            self._parts = tokenizer, _load_component(SiglipTextModel, self.folder, self.dtype)
        tokenizer, model = self._parts
        ids = tokenizer(
            [text.lower() for text in texts],
            padding="max_length",
            max_length=min(TEXT_TOKENS, model.config.max_position_embeddings),
            truncation=True,
            return_tensors="pt",
        )["input_ids"]
        return functional.normalize(model(input_ids=ids).pooler_output.float(), dim=-1)


def _load_auto(kind: Any, folder: Path) -> Any:
    """A config, preprocessor or tokenizer of transformers. Raises :class:`ModelError`."""
    try:
        return kind.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        told = str(error).splitlines()[0]
        raise ModelError(
            f"{folder} cannot be read as a {kind.__name__} ({told}); expected the files of SigLIP or CLAP there. "
            "Fetch the model again."
        ) from error


def _load_component(kind: Any, folder: Path, dtype: torch.dtype) -> nn.Module:
    """A part with its weights, whole or not at all; what belongs to the other half of a repository stays unread."""
    _load_auto(kind.config_class, folder)
    try:
        part, report = kind.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        told = str(error).splitlines()[0]
        raise WeightsError(
            f"The weights in {folder} cannot be read ({told}); expected safetensors of its config.json. Fetch the "
            "model again, or convert pickles with 'nextgpt convert folder'."
        ) from error
    faults = [*report["missing_keys"], *report["mismatched_keys"]]
    if faults:
        raise WeightsError(
            f"The weights in {folder} do not fit its config.json: {', '.join(map(str, faults))}. Take both from the "
            "same model."
        )
    return part.requires_grad_(False)
