"""The losses of an alignment on a share of a batch, each with the number of terms that it is a mean over."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from nextgpt.message import Medium
from nextgpt.model.encoding.base import Features
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.alignment import (
    Said,
    Targets,
    condition_losses,
    first_signals_of,
    said_conditions,
    words_loss,
)
from nextgpt.train.corpora import Batch, Item, Known
from nextgpt.train.denoising import denoising_loss, seeded
from nextgpt.train.engine import ZERO_LOSS, Objective
from nextgpt.train.hearing import hear
from nextgpt.train.stage import Stage

Encode = Callable[[Sequence[Medium]], Sequence[Features]]
Conditioner = Callable[[Sequence[str]], Float[Tensor, "B Q C"]]
"""What a text encoder says of captions."""
ToLatents = Callable[[Sequence[Medium]], Float[Tensor, "B F Z h w"]]
"""What an autoencoder makes of media."""


class AlignmentObjective(Objective):
    """A model in one of the three alignments. It hears features, captions' embeddings and latents, never media."""

    def __init__(self, model: NextGPT, stage: Stage) -> None:
        super().__init__()
        self.model = model
        self.stage = stage
        self.loss_weights = {
            name: weight
            for loss, weight in stage.loss_weights.items()
            for name in _names(loss, model.config.synthesizers)
        }
        self.layers = _layers(model)

    def terms(self, share: Batch) -> dict[str, int]:
        """Words, and media by loss and modality, that are learned from."""
        found = (
            {"words": sum(self._words(item) for item in share.items)} if "words" in self.loss_weights else {}
        )
        made = Counter(modality for item in share.items for modality, _ in item.made)
        found |= {f"{loss}.{modality}": n for loss in self.stage.distances for modality, n in made.items()}
        if "denoising" in self.stage.loss_weights:
            there = Counter(modality for item in share.items for modality, _ in _with_latents(item))
            found |= {f"denoising.{modality}": count for modality, count in there.items()}
        return {name: count for name, count in found.items() if name in self.loss_weights}

    def forward(self, share: Batch) -> dict[str, Tensor]:
        """The losses of a share whose features and targets are known."""
        items = share.items
        assert all(item.known for item in items), "features and targets come before the losses; see ready()"
        place = self.model.llm.signals.input
        features = [replace(f, vectors=f.vectors.to(place)) for item in items for f in item.known.features]
        is_sharded = any(isinstance(layer, FSDPModule) for layer in self.layers)
        thoughts = hear(self.model, [item.prompt for item in items], features, is_sharded=is_sharded)
        losses = {ZERO_LOSS: 0.0 * thoughts.hidden_states.sum()} if is_sharded else {}
        if "words" in self.stage.loss_weights:
            first_signals = first_signals_of(self.model)
            losses["words"] = words_loss(thoughts, self.model.llm.signals.vocabulary.offset, first_signals)
        if self.stage.loss_weights.keys() == {"words"}:
            return losses
        said = said_conditions(self.model, thoughts, [item.example.captions for item in items])
        if self.stage.distances:
            losses |= condition_losses(said, _targets_of(items, place.device), self.stage.distances)
        if "denoising" in self.stage.loss_weights:
            losses |= self._denoising_losses(said, items)
        return losses

    def _denoising_losses(self, said: Mapping[str, Said], items: Sequence[Item]) -> dict[str, Tensor]:
        """For each modality, what the diffusion model fails to tell of noisy media, given the conditions."""
        losses = {}
        for modality, runs in said.items():
            known = [items[row].known.latents[number] for row, number in runs.places]
            chosen = [index for index, latents in enumerate(known) if latents is not None]
            if not chosen:
                continue
            conditions = runs.conditions[chosen]
            seeds = [[items[row].seed, number] for row, number in (runs.places[index] for index in chosen)]
            losses[f"denoising.{modality}"] = denoising_loss(
                self.model.synthesizer(modality),
                torch.stack([known[index] for index in chosen]).to(conditions.device),
                conditions,
                [seeded(seed) for seed in seeds],
            )
        return losses

    def _words(self, item: Item) -> int:
        """Positions of an example at which the choice of the next token is learned, as words_loss counts them."""
        offset, first_signals = self.model.llm.signals.vocabulary.offset, set(first_signals_of(self.model))
        ids = [token for piece in item.prompt.token_spans if piece.in_loss for token in piece.ids]
        return sum(token < offset or token in first_signals for token in ids)


def _names(loss: str, modalities: Iterable[str]) -> list[str]:
    """The losses of a kind: one, or one a modality."""
    return [loss] if loss == "words" else [f"{loss}.{modality}" for modality in modalities]


def _with_latents(item: Item) -> list[tuple[str, str]]:
    """Modality and caption of what an item makes and whose latents are known."""
    return [made for made, latents in zip(item.made, item.known.latents, strict=True) if latents is not None]


def _targets_of(items: Sequence[Item], device: torch.device) -> Targets:
    known = {
        (modality, caption): target
        for item in items
        for (modality, caption), target in zip(item.made, item.known.targets, strict=True)
    }
    return lambda modality, captions: (
        torch.stack([known[modality, caption] for caption in captions]).to(device).float()
    )


def _layers(model: NextGPT) -> list[torch.nn.Module]:
    """The LLM's blocks, which hold nearly all of what is frozen."""
    return [
        block
        for module in model.llm.transformer.modules()
        if isinstance(module, torch.nn.ModuleList)
        for block in module
        if sum(parameter.numel() for parameter in block.parameters()) > 0
    ]


@dataclass(frozen=True)
class Frozen:
    """What computes what a stage needs to know of its batches."""

    encode: Encode
    conditioners: Mapping[str, Conditioner] = field(default_factory=dict)
    """By modality; none, where no loss asks for targets."""
    to_latents: Mapping[str, ToLatents] = field(default_factory=dict)
    """By modality; none, where no loss asks for latents."""


def ready(batches: Iterator[Batch], frozen: Frozen) -> Iterator[Batch]:
    """Batches with what is needed of features, conditions and latents, computed where unknown."""
    for batch in batches:
        known = iter(_compute([item for item in batch.items if item.known is None], frozen))
        items = tuple(
            item if item.known else replace(item, given=(), opened=(), known=next(known))
            for item in batch.items
        )
        yield replace(batch, items=items)


@torch.no_grad()
def _compute(items: Sequence[Item], frozen: Frozen) -> list[Known]:
    media = [medium for item in items for medium in item.given]
    features = iter(frozen.encode(media) if media else ())
    targets = _targets(items, frozen.conditioners) if frozen.conditioners else {}
    latents = iter(_latents([medium for item in items for medium in item.opened], frozen.to_latents))
    return [
        Known(
            tuple(next(features) for _ in item.given),
            tuple(targets[made] for made in item.made) if targets else (),
            tuple(next(latents) for _ in item.opened),
        )
        for item in items
    ]


def _targets(items: Sequence[Item], conditioners: Mapping[str, Conditioner]) -> dict[tuple[str, str], Tensor]:
    wanted = dict.fromkeys(made for item in items for made in item.made)
    found: dict[tuple[str, str], Tensor] = {}
    for modality in dict.fromkeys(modality for modality, _ in wanted):
        captions = [caption for name, caption in wanted if name == modality]
        conditions = conditioners[modality](captions).clone()  # what inference made takes part in no gradient
        found |= {
            (modality, caption): condition for caption, condition in zip(captions, conditions, strict=True)
        }
    return found


def _latents(media: Sequence[Medium | None], to_latents: Mapping[str, ToLatents]) -> list[Tensor | None]:
    """Latents of media in order, None where there is none; each modality's together."""
    found: list[Tensor | None] = [None] * len(media)
    for modality, convert in to_latents.items():
        places = [index for index, medium in enumerate(media) if medium and medium.modality == modality]
        if places:
            for index, latents in zip(
                places, convert([media[index] for index in places]).clone(), strict=True
            ):
                found[index] = latents
    return found
