"""An encoder with free licences: SigLIP for images and video, CLAP for audio, both from transformers.

The two models have separate spaces and different widths. Shorter vectors are zero-padded to the common width; give
each modality its own input projection (``shared: false``), which learns to read its space.

A folder has ``config.json`` (:class:`SiglipClapConfig`) and two unchanged repositories: ``vision/`` and ``audio/``.
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
from nextgpt.model.encoding.preprocessing.audio import clip_starts_s
from nextgpt.model.memory_errors import raise_if_out_of_memory

IMAGE_BATCH_SIZE = 32
"""Images per forward pass of SigLIP; bounds the memory of long videos."""
TEXT_TOKENS = 64
"""Padded length of texts in SigLIP's training."""


class SiglipClapConfig(BaseModel):
    """``config.json`` of the encoder; sizes are those of the two models' own configs."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Literal["siglip_clap"] = "siglip_clap"
    features: Literal["pooled", "patches"] = "pooled"
    """Number of vectors: one per image, frame or audio clip, or one per patch of it."""
    frames: int = Field(default=8, ge=1)
    """Frames per video, evenly spaced."""
    clips: int = Field(default=3, ge=1)
    """Audio clips, evenly spaced, each of CLAP's input length (10 s); duplicates are encoded once."""

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that it encodes."""
        return ("text", "image", "audio", "video")


class SiglipClap(nn.Module):
    """SigLIP and CLAP as one :class:`~nextgpt.model.encoding.base.Encoder`.

    Args:
        vision: A ``SiglipVisionModel``.
        audio: A ``ClapAudioModelWithProjection``.
        image_processor: Images to inputs of ``vision``.
        audio_processor: Mono audio to inputs of ``audio``, a ``ClapFeatureExtractor``.
        text_embedder: Texts to vectors of the image space.
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
        width = audio.config.hidden_size if config.features == "patches" else audio.config.projection_dim
        if width > self.width:
            raise ModelError(
                f"CLAP's vectors have width {width}; expected at most SigLIP's {self.width}, to which they are "
                "padded. Use a larger SigLIP."
            )

    @property
    def width(self) -> int:
        """Size E of all vectors."""
        return self.vision.config.hidden_size

    @property
    def modalities(self) -> tuple[str, ...]:
        """Modalities that it encodes."""
        return self.config.modalities

    @property
    def towers(self) -> dict[str, nn.Module]:
        """Vision and audio model."""
        return {"vision": self.vision, "audio": self.audio}

    @torch.no_grad()
    def encode(self, media: Sequence[Medium]) -> list[Features]:
        """Return the features of media, in order. Raises :class:`ModelError` for an unsupported modality."""
        return [Features(self._encode_medium(medium)) for medium in media]

    @torch.no_grad()
    def embed_media(self, media: Sequence[Medium]) -> Float[Tensor, "B E"]:
        """Return one vector of norm 1 per medium: the mean of its features."""
        pooled = [features.vectors.float().mean(dim=0) for features in self.encode(media)]
        return functional.normalize(torch.stack(pooled), dim=-1) if pooled else torch.zeros(0, self.width)

    @torch.no_grad()
    def embed_text(self, texts: Sequence[str]) -> Float[Tensor, "B E"]:
        """Return one vector per text, in the space of images and video; audio has another."""
        return self._text_embedder(texts)

    def _encode_medium(self, medium: Any) -> Float[Tensor, "P E"]:
        if medium.modality == "image":
            return self._encode_images([medium.image])
        if medium.modality == "video":
            return self._encode_images(_sample_frames(medium.frames, self.config.frames))
        if medium.modality == "audio":
            return self._encode_audio(medium)
        raise ModelError(
            f"The encoder does not support {medium.modality}; it takes image, video, audio. Use ImageBind for other "
            "modalities."
        )

    def _encode_images(self, images: Sequence[PIL.Image.Image]) -> Float[Tensor, "P E"]:
        inputs = self._image_processor([image.convert("RGB") for image in images], return_tensors="pt")
        pixels = inputs["pixel_values"].to(next(self.vision.parameters()))
        vectors = []
        for batch in pixels.split(IMAGE_BATCH_SIZE):
            outputs = self.vision(pixel_values=batch)
            if self.config.features == "patches":
                vectors.append(outputs.last_hidden_state.flatten(0, 1))
            else:
                vectors.append(functional.normalize(outputs.pooler_output, dim=-1))
        return torch.cat(vectors)

    def _encode_audio(self, audio: Audio) -> Float[Tensor, "P E"]:
        rate, length = self._audio_processor.sampling_rate, self._audio_processor.nb_max_samples
        samples = resample(to_mono(audio), rate).samples[0]
        starts = clip_starts_s(len(samples) / rate, length / rate, self.config.clips)
        clips = [samples[(first := round(start * rate)) : first + length] for start in starts]
        inputs = self._audio_processor(clips, sampling_rate=rate, return_tensors="pt")
        outputs = self.audio(input_features=inputs["input_features"].to(next(self.audio.parameters())))
        if self.config.features == "patches":
            vectors = outputs.last_hidden_state.flatten(2).mT.flatten(0, 1)  # (clips x frequency x time, C)
        else:
            vectors = functional.normalize(outputs.audio_embeds, dim=-1)
        return functional.pad(vectors, (0, self.width - vectors.shape[-1]))


def _sample_frames(frames: np.ndarray, count: int) -> list[PIL.Image.Image]:
    indices = dict.fromkeys(uniform_indices(len(frames), count).tolist())
    return [PIL.Image.fromarray(frames[index]) for index in indices]


def load_siglip_clap(folder: Path, config: SiglipClapConfig, *, dtype: torch.dtype) -> SiglipClap:
    """Load an encoder for inference; SigLIP's text model is loaded on first use.

    Raises:
        ModelError: A file of one of the models is missing or unreadable.
        WeightsError: Weights are missing or damaged, or do not fit their config.
    """
    from transformers import ClapAudioModelWithProjection, SiglipVisionModel

    vision, audio = (
        _load_component(kind, folder / name, dtype)
        for kind, name in ((SiglipVisionModel, "vision"), (ClapAudioModelWithProjection, "audio"))
    )
    return _assemble(folder, config, vision, audio, dtype)


def build_siglip_clap(folder: Path, config: SiglipClapConfig) -> SiglipClap:
    """Build an encoder from its configs, without weights."""
    from transformers import ClapAudioConfig, ClapAudioModelWithProjection, SiglipVisionConfig, SiglipVisionModel

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
    """SigLIP's text model, loaded on first use; replies do not need it."""

    def __init__(self, folder: Path, dtype: torch.dtype) -> None:
        self.folder = folder
        self.dtype = dtype
        self._loaded: tuple[Any, Any] | None = None

    def __call__(self, texts: Sequence[str]) -> Float[Tensor, "B E"]:
        from transformers import AutoTokenizer, SiglipTextModel

        if self._loaded is None:
            tokenizer = _load_auto(AutoTokenizer, self.folder)
            self._loaded = tokenizer, _load_component(SiglipTextModel, self.folder, self.dtype)
        tokenizer, model = self._loaded
        ids = tokenizer(
            [text.lower() for text in texts],
            padding="max_length",
            max_length=min(TEXT_TOKENS, model.config.max_position_embeddings),
            truncation=True,
            return_tensors="pt",
        )["input_ids"]
        return functional.normalize(model(input_ids=ids).pooler_output.float(), dim=-1)


def _load_auto(cls: Any, folder: Path) -> Any:
    """Load a config, preprocessor or tokenizer of transformers. Raises :class:`ModelError`."""
    try:
        return cls.from_pretrained(folder, local_files_only=True)
    except (OSError, ValueError, KeyError) as error:
        reason = str(error).splitlines()[0]
        raise ModelError(
            f"{folder} cannot be read as a {cls.__name__} ({reason}); expected the files of SigLIP or CLAP there. "
            "Download the model again."
        ) from error


def _load_component(cls: Any, folder: Path, dtype: torch.dtype) -> nn.Module:
    """Load a model with all its weights; weights of the repository's other model are skipped."""
    _load_auto(cls.config_class, folder)
    try:
        model, report = cls.from_pretrained(
            folder, dtype=dtype, use_safetensors=True, local_files_only=True, output_loading_info=True
        )
    except (SafetensorError, OSError, ValueError, RuntimeError, MemoryError) as error:
        raise_if_out_of_memory(error, folder)
        reason = str(error).splitlines()[0]
        raise WeightsError(
            f"The weights in {folder} cannot be read ({reason}); expected safetensors of its config.json. Download the "
            "model again, or convert pickles with 'nextgpt convert folder'."
        ) from error
    mismatches = [*report["missing_keys"], *report["mismatched_keys"]]
    if mismatches:
        raise WeightsError(
            f"The weights in {folder} do not fit its config.json: {', '.join(map(str, mismatches))}. Use both from "
            "the same model."
        )
    return model.requires_grad_(False)
