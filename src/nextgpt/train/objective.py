"""The objective of the alignment stages: losses of a local batch, each with its number of terms."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import torch
from torch import Tensor
from torch.distributed.fsdp import FSDPModule

from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.dataset import LocalBatch, TrainingItem
from nextgpt.train.losses import (
    ConditionTargets,
    PredictedConditions,
    condition_losses,
    denoising_loss,
    first_signal_ids,
    lm_loss,
    predict_conditions,
    seeded_generator,
)
from nextgpt.train.prefix_forward import forward_frozen_prefix
from nextgpt.train.stages import Stage
from nextgpt.train.trainer import ZERO_LOSS, Objective


class AlignmentObjective(Objective):
    """A model in one of the three stages; its inputs are features, caption embeddings and latents, never media.

    Args:
        modality_weights: Factor on the losses of media by modality, 1 if missing.
    """

    def __init__(
        self, model: NextGPT, stage: Stage, modality_weights: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        super().__init__()
        self.model = model
        self.stage = stage
        self.loss_weights = {
            name: weight * modality_weights.get(name.partition(".")[2], 1.0)
            for loss, weight in stage.loss_weights.items()
            for name in _loss_names(loss, model.config.synthesizers)
        }
        self.layers = _transformer_blocks(model)

    def num_terms(self, batch: LocalBatch) -> dict[str, int]:
        """Return the number of target tokens, and of media by loss and modality."""
        items = batch.items
        terms = {"cross_entropy": sum(map(self._num_target_tokens, items))}
        media = Counter(modality for item in items for modality, _ in item.target_captions)
        terms |= {f"{loss}.{modality}": n for loss in self.stage.distances for modality, n in media.items()}
        if "denoising" in self.stage.loss_weights:
            with_latents = Counter(modality for item in items for modality, _ in _targets_with_latents(item))
            terms |= {f"denoising.{modality}": count for modality, count in with_latents.items()}
        return {name: count for name, count in terms.items() if name in self.loss_weights}

    def forward(self, batch: LocalBatch) -> dict[str, Tensor]:
        """Return the losses of a batch with encoder outputs."""
        items = batch.items
        assert all(item.encoded for item in items), "attach_encoder_outputs() comes before the losses"
        like = self.model.llm.signals.input
        features = [replace(f, vectors=f.vectors.to(like)) for item in items for f in item.encoded.features]
        sharded = any(isinstance(layer, FSDPModule) for layer in self.layers)
        output = forward_frozen_prefix(self.model, [item.prompt for item in items], features, sharded=sharded)
        losses = {ZERO_LOSS: 0.0 * output.hidden_states.sum()} if sharded else {}
        if "cross_entropy" in self.stage.loss_weights:
            offset = self.model.llm.signals.vocabulary.offset
            losses["cross_entropy"] = lm_loss(output, offset, first_signal_ids(self.model))
        if self.stage.loss_weights.keys() == {"cross_entropy"}:
            return losses
        predicted = predict_conditions(self.model, output, [item.example.captions for item in items])
        if self.stage.distances:
            losses |= condition_losses(predicted, _condition_targets(items, like.device), self.stage.distances)
        if "denoising" in self.stage.loss_weights:
            losses |= self._denoising_losses(predicted, items)
        return losses

    def _denoising_losses(
        self, predicted: Mapping[str, PredictedConditions], items: Sequence[TrainingItem]
    ) -> dict[str, Tensor]:
        losses = {}
        for modality, spans in predicted.items():
            latents = [items[row].encoded.latents[number] for row, number in spans.positions]
            indices = [index for index, value in enumerate(latents) if value is not None]
            if not indices:
                continue
            conditions = spans.conditions[indices]
            seeds = [[items[row].seed, number] for row, number in (spans.positions[index] for index in indices)]
            losses[f"denoising.{modality}"] = denoising_loss(
                self.model.synthesizer(modality),
                torch.stack([latents[index] for index in indices]).to(conditions.device),
                conditions,
                [seeded_generator(seed) for seed in seeds],
            )
        return losses

    def _num_target_tokens(self, item: TrainingItem) -> int:
        """Return the number of positions that :func:`lm_loss` averages over."""
        offset, first_ids = self.model.llm.signals.vocabulary.offset, set(first_signal_ids(self.model))
        ids = [token for span in item.prompt.token_spans if span.in_loss for token in span.ids]
        return sum(token < offset or token in first_ids for token in ids)


def _loss_names(loss: str, modalities: Iterable[str]) -> list[str]:
    """Return the names under which a loss is computed: one, or one per modality."""
    return [loss] if loss == "cross_entropy" else [f"{loss}.{modality}" for modality in modalities]


def _targets_with_latents(item: TrainingItem) -> list[tuple[str, str]]:
    pairs = zip(item.target_captions, item.encoded.latents, strict=True)
    return [target for target, latents in pairs if latents is not None]


def _condition_targets(items: Sequence[TrainingItem], device: torch.device) -> ConditionTargets:
    embeddings = {
        caption: target
        for item in items
        for caption, target in zip(item.target_captions, item.encoded.targets, strict=True)
    }
    return lambda modality, captions: (
        torch.stack([embeddings[modality, caption] for caption in captions]).to(device).float()
    )


def _transformer_blocks(model: NextGPT) -> list[torch.nn.Module]:
    """Return the LLM's blocks, which hold nearly all of the frozen weights."""
    return [
        block
        for module in model.llm.transformer.modules()
        if isinstance(module, torch.nn.ModuleList)
        for block in module
        if sum(parameter.numel() for parameter in block.parameters()) > 0
    ]
