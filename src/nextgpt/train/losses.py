"""Losses of the alignment stages: cross-entropy, condition distances, denoising."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor

from nextgpt.errors import ConfigError
from nextgpt.model.llm.language_model import NO_TOKEN_ID, LLMForwardOutput
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.base import Conditions, Latents
from nextgpt.model.synthesis.latent_diffusion import LatentDiffusion
from nextgpt.model.synthesis.training_noise import add_noise
from nextgpt.train.stages import Distance

ConditionTargets = Callable[[str, Sequence[str]], Float[Tensor, "B Q C"]]
"""``(modality, captions) -> conditions`` by the text encoder of the modality's synthesizer."""


def lm_loss(output: LLMForwardOutput, signal_offset: int, first_signal_ids: Sequence[int]) -> Float[Tensor, ""]:
    """Return the next-token cross-entropy on the assistant's text and on the first signal token of each span.

    The rest of a span is forced during generation, so it need not be learned (GILL, arXiv 2305.17216, section 3).
    """
    ids, in_loss = output.prompts.input_ids[:, 1:], output.prompts.loss_mask[:, 1:]
    is_free = (ids < signal_offset) | torch.isin(ids, torch.tensor(first_signal_ids, device=ids.device))
    selected = in_loss & is_free & (ids != NO_TOKEN_ID)
    logits = output.lm_head(output.hidden_states[:, :-1][selected]).float()
    return F.cross_entropy(logits, ids[selected])


def first_signal_ids(model: NextGPT) -> list[int]:
    """Return the token ids that start a span: the edit token, and the first signal token of each modality."""
    vocabulary = model.llm.signals.vocabulary
    return [vocabulary.edit, *(vocabulary.span_ids(modality)[0] for modality in model.config.synthesizers)]


@dataclass(frozen=True, eq=False)
class PredictedConditions:
    """Predicted conditions for all signal-token spans of one modality in a batch."""

    conditions: Float[Tensor, "B Q C"]
    captions: tuple[str, ...]
    positions: tuple[tuple[int, int], ...]
    """Example, and index among the example's spans."""


def predict_conditions(
    model: NextGPT, output: LLMForwardOutput, captions: Sequence[Sequence[str]]
) -> dict[str, PredictedConditions]:
    """Return the conditions at all signal-token spans by modality; ``captions`` are those of each example's spans."""
    flat, length = output.hidden_states.flatten(0, 1), output.hidden_states.shape[1]  # (B * T, D)
    spans: dict[str, list[tuple[range, str, tuple[int, int]]]] = {}
    rows = zip(output.prompts.input_ids.tolist(), captions, strict=True)
    for row, (ids, row_captions) in enumerate(rows):
        row_spans = model.llm.signals.vocabulary.spans(ids)
        for number, (span, caption) in enumerate(zip(row_spans, row_captions, strict=True)):
            flat_range = range(row * length + span.start, row * length + span.stop)
            spans.setdefault(span.modality, []).append((flat_range, caption, (row, number)))
    predicted = {}
    for modality, modality_spans in spans.items():
        ranges, span_captions, positions = zip(*modality_spans, strict=True)
        indices = torch.tensor([list(flat_range) for flat_range in ranges], device=flat.device)
        hidden = F.embedding(indices, flat)  # (n, S, D)
        conditions = model.project_conditions(modality, hidden).float()
        predicted[modality] = PredictedConditions(conditions, span_captions, positions)
    return predicted


def mse(predicted: Float[Tensor, "B Q C"], target: Float[Tensor, "B Q C"]) -> Float[Tensor, ""]:
    """Return the mean squared error of all elements."""
    return (predicted - target).square().mean()


def l2(predicted: Float[Tensor, "B Q C"], target: Float[Tensor, "B Q C"]) -> Float[Tensor, ""]:
    """Return the mean length of difference vectors, as in the published code (its loss has no square)."""
    return (predicted - target).norm(dim=-1).mean()


def cosine(predicted: Float[Tensor, "B Q C"], target: Float[Tensor, "B Q C"]) -> Float[Tensor, ""]:
    """Return one minus the mean cosine similarity of vectors, for targets of unit length (AudioLDM)."""
    return 1 - F.cosine_similarity(predicted, target, dim=-1).mean()


CONDITION_DISTANCES: Mapping[Distance, Callable[[Tensor, Tensor], Tensor]] = {"mse": mse, "l2": l2, "cosine": cosine}
"""Each is a mean over the media of a batch."""


def condition_losses(
    predicted: Mapping[str, PredictedConditions], targets: ConditionTargets, distances: Sequence[Distance] = ("mse",)
) -> dict[str, Tensor]:
    """Return the mean distances between conditions and caption embeddings, by names such as ``l2.image``."""
    losses = {}
    for modality, spans in predicted.items():
        embeddings = targets(modality, spans.captions)  # (B, Q, C)
        if spans.conditions.shape != embeddings.shape:
            raise ConfigError(
                f"The {modality} output projection returns {tuple(spans.conditions.shape[1:])} (queries, "
                f"condition_width); its synthesizer's text encoder returns {tuple(embeddings.shape[1:])}. Set "
                f"synthesizers.{modality}.output_projection accordingly."
            )
        for name in distances:
            losses[f"{name}.{modality}"] = CONDITION_DISTANCES[name](spans.conditions, embeddings)
    return losses


def denoising_loss(
    synthesizer: LatentDiffusion, latents: Latents, conditions: Conditions, generators: Sequence[torch.Generator]
) -> Float[Tensor, ""]:
    """Return the mean squared error of the frozen denoiser on noisy latents under ``conditions``.

    The paper's latent denoising loss: gradients reach the conditions through the denoiser. The target is what each
    denoiser was trained to predict (the published code assumes noise, which Stable Diffusion 2 does not predict).

    Args:
        generators: One per medium.
    """
    noised = add_noise(synthesizer.components.scheduler, latents.float(), generators)
    predicted = synthesizer.predict(noised.latents, noised.timesteps, conditions)
    return (predicted - noised.target).square().mean()


def seeded_generator(seed: Sequence[int]) -> torch.Generator:
    """Return a generator that depends on all numbers of ``seed``."""
    return torch.Generator().manual_seed(int(np.random.SeedSequence(seed).generate_state(1)[0]))
