"""The losses of an alignment on a share of a batch, each with the number of terms that it is a mean over."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.message import Medium
from nextgpt.model.encoding.base import Features
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.alignment import condition_losses, first_signals_of, words_loss
from nextgpt.train.corpora import Batch, Item, Known
from nextgpt.train.engine import Objective
from nextgpt.train.hearing import hear
from nextgpt.train.stage import Stage

Encode = Callable[[Sequence[Medium]], Sequence[Features]]
Conditioner = Callable[[Sequence[str]], Float[Tensor, "B Q C"]]
"""What a text encoder says of captions."""


class AlignmentObjective(Objective):
    """A model in one of the three alignments. It hears features and captions' embeddings, never media."""

    def __init__(self, model: NextGPT, stage: Stage, *, condition_weight: float = 1.0) -> None:
        super().__init__()
        self.model = model
        self.stage = stage
        self.weights = {"words": 1.0} if "words" in stage.losses else {}
        if "conditions" in stage.losses:
            self.weights |= dict.fromkeys(model.config.synthesizers, condition_weight)
        self.layers = _layers(model)

    def terms(self, share: Batch) -> dict[str, int]:
        """Words, and media by modality, that are learned from."""
        found = {"words": sum(self._words(item) for item in share.items)} if "words" in self.weights else {}
        for item in share.items:
            for modality, _ in item.made:
                if modality in self.weights:
                    found[modality] = found.get(modality, 0) + 1
        return found

    def forward(self, share: Batch) -> dict[str, Tensor]:
        """The losses of a share whose features and targets are known."""
        items = share.items
        assert all(item.known for item in items), "features and targets come before the losses; see ready()"
        place = self.model.llm.signals.input
        features = [replace(f, vectors=f.vectors.to(place)) for item in items for f in item.known.features]
        thoughts = hear(self.model, [item.prompt for item in items], features)
        losses: dict[str, Tensor] = {}
        if "words" in self.stage.losses:
            first_signals = first_signals_of(self.model)
            losses["words"] = words_loss(thoughts, self.model.llm.signals.ids.first_id, first_signals)
        if "conditions" in self.stage.losses:
            known = {
                (modality, caption): target
                for item in items
                for (modality, caption), target in zip(item.made, item.known.targets, strict=True)
            }

            def targets(modality: str, captions: Sequence[str]) -> Float[Tensor, "B Q C"]:
                return torch.stack([known[modality, caption] for caption in captions]).to(place.device).float()

            losses |= condition_losses(self.model, thoughts, [item.example.captions for item in items], targets)
        return losses

    def _words(self, item: Item) -> int:
        """Positions of an example at which the choice of the next token is learned, as words_loss counts them."""
        first_id, first_signals = self.model.llm.signals.ids.first_id, set(first_signals_of(self.model))
        ids = [token for piece in item.prompt.stretches if piece.is_target for token in piece.ids]
        return sum(token < first_id or token in first_signals for token in ids)


def _layers(model: NextGPT) -> list[torch.nn.Module]:
    """The LLM's blocks, which hold nearly all of what is frozen."""
    return [
        block
        for module in model.llm.transformer.modules()
        if isinstance(module, torch.nn.ModuleList)
        for block in module
        if sum(parameter.numel() for parameter in block.parameters()) > 0
    ]


def ready(
    batches: Iterator[Batch], encode: Encode, conditioners: dict[str, Conditioner], *, has_targets: bool
) -> Iterator[Batch]:
    """Batches with the features of their given media and the conditions of their captions, computed where unknown."""
    for batch in batches:
        unknown = [item for item in batch.items if item.known is None]
        known = iter(_compute(unknown, encode, conditioners if has_targets else None))
        items = tuple(
            item if item.known else replace(item, given=(), known=next(known)) for item in batch.items
        )
        yield replace(batch, items=items)


@torch.no_grad()
def _compute(items: Sequence[Item], encode: Encode, conditioners: dict[str, Conditioner] | None) -> list[Known]:
    media = [medium for item in items for medium in item.given]
    features = iter(encode(media) if media else ())
    targets = _targets(items, conditioners) if conditioners is not None else {}
    return [
        Known(
            tuple(next(features) for _ in item.given),
            tuple(targets[made] for made in item.made) if conditioners is not None else (),
        )
        for item in items
    ]


def _targets(items: Sequence[Item], conditioners: dict[str, Conditioner]) -> dict[tuple[str, str], Tensor]:
    wanted = dict.fromkeys(made for item in items for made in item.made)
    found: dict[tuple[str, str], Tensor] = {}
    for modality in dict.fromkeys(modality for modality, _ in wanted):
        captions = [caption for name, caption in wanted if name == modality]
        conditions = conditioners[modality](captions).clone()  # what inference made takes part in no gradient
        found |= {(modality, caption): condition for caption, condition in zip(captions, conditions, strict=True)}
    return found
