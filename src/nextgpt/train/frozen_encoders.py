"""Outputs of the frozen components that a batch needs: features, caption embeddings, latents."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.message import Medium
from nextgpt.model.encoding.base import Features
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder
from nextgpt.train.dataset import EncodedItem, LocalBatch, TrainingItem
from nextgpt.train.stages import Stage

EncodeMedia = Callable[[Sequence[Medium]], Sequence[Features]]
EncodePrompts = Callable[[Sequence[str]], Float[Tensor, "B Q C"]]
"""Captions to the conditions of a synthesizer, by its own text encoder."""
EncodeLatents = Callable[[Sequence[Medium]], Float[Tensor, "B F Z h w"]]


@dataclass(frozen=True)
class FrozenEncoders:
    """The frozen components that a stage needs."""

    encode: EncodeMedia
    encode_prompts: Mapping[str, EncodePrompts] = field(default_factory=dict)
    """Text encoders by modality; empty if no loss uses caption embeddings."""
    encode_latents: Mapping[str, EncodeLatents] = field(default_factory=dict)
    """Autoencoders by modality; empty if no loss uses latents."""

    @classmethod
    def of(cls, model: NextGPT, model_dir: Path, stage: Stage) -> FrozenEncoders:
        """Return the frozen components of a model that the losses of a stage use, each loaded on first use."""
        modalities = model.config.synthesizers
        return cls(
            lambda media: model.encoder.encode(media),
            lazy_prompt_encoders(model, model_dir) if stage.distances else {},
            {modality: partial(_encode_latents, model, modality) for modality in modalities}
            if "denoising" in stage.loss_weights
            else {},
        )


def lazy_prompt_encoders(model: NextGPT, model_dir: Path) -> dict[str, EncodePrompts]:
    """Return the text encoder of each synthesizer, loaded on first use."""
    device = model.llm.signals.input.device
    return {
        modality: LazyPromptEncoder(resolve_component_dir(synthesizer.source, model_dir), device)
        for modality, synthesizer in model.config.synthesizers.items()
    }


def _encode_latents(model: NextGPT, modality: str, media: Sequence[Medium]) -> Tensor:
    return model.synthesizer(modality).encode(media)


class LazyPromptEncoder:
    """A text encoder that is loaded on first use."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        self._encoder: PromptEncoder | None = None

    def __call__(self, captions: Sequence[str]) -> Tensor:
        self._encoder = self._encoder or PromptEncoder(self.folder, device=self.device)
        return self._encoder.encode(captions)


def attach_encoder_outputs(batches: Iterator[LocalBatch], encoders: FrozenEncoders) -> Iterator[LocalBatch]:
    """Yield batches with the encoder outputs of every item, computed unless they come from the cache."""
    for batch in batches:
        computed = iter(_encode_items([item for item in batch.items if item.encoded is None], encoders))
        items = tuple(
            item if item.encoded else replace(item, input_media=(), target_media=(), encoded=next(computed))
            for item in batch.items
        )
        yield replace(batch, items=items)


@torch.no_grad()
def _encode_items(items: Sequence[TrainingItem], encoders: FrozenEncoders) -> list[EncodedItem]:
    media = [medium for item in items for medium in item.input_media]
    features = iter(encoders.encode(media) if media else ())
    targets = _encode_captions(items, encoders.encode_prompts) if encoders.encode_prompts else {}
    target_media = [medium for item in items for medium in item.target_media]
    latents = iter(_encode_target_media(target_media, encoders.encode_latents))
    return [
        EncodedItem(
            tuple(next(features) for _ in item.input_media),
            tuple(targets[caption] for caption in item.target_captions) if targets else (),
            tuple(next(latents) for _ in item.target_media),
        )
        for item in items
    ]


def _encode_captions(
    items: Sequence[TrainingItem], encode_prompts: Mapping[str, EncodePrompts]
) -> dict[tuple[str, str], Tensor]:
    unique = dict.fromkeys(caption for item in items for caption in item.target_captions)
    embeddings: dict[tuple[str, str], Tensor] = {}
    for modality in dict.fromkeys(modality for modality, _ in unique):
        captions = [caption for name, caption in unique if name == modality]
        conditions = encode_prompts[modality](captions).clone()  # inference tensors can't take part in autograd
        embeddings |= {(modality, caption): row for caption, row in zip(captions, conditions, strict=True)}
    return embeddings


def _encode_target_media(
    media: Sequence[Medium | None], encode_latents: Mapping[str, EncodeLatents]
) -> list[Tensor | None]:
    """Return the latents of media in order, None for missing ones; each modality is encoded as one batch."""
    latents: list[Tensor | None] = [None] * len(media)
    for modality, encode in encode_latents.items():
        indices = [index for index, medium in enumerate(media) if medium and medium.modality == modality]
        if indices:
            rows = encode([media[index] for index in indices]).clone()
            for index, row in zip(indices, rows, strict=True):
                latents[index] = row
    return latents
