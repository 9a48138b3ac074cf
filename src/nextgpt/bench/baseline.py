"""The baseline: the same components without any optimization.

All components are loaded at once, text encoders included. Text and signal tokens are generated one by one
with ``transformers``' default ``generate``, over the complete conversation in every turn; all of its media are
encoded again. Media are synthesized one at a time in 50 steps, with guidance as two calls of the denoiser.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch
from torch import Tensor

from nextgpt.bench.workload import QUESTION, SPECS, Turn, question_about, unseen_images, with_image
from nextgpt.config import read_config
from nextgpt.message import Conversation, Image, Medium
from nextgpt.miniworld.language import canonical_caption
from nextgpt.model.encoding import load_encoder
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.llm.loading import load_language_model
from nextgpt.model.synthesis import LatentDiffusion, load_synthesizer
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder
from nextgpt.model.synthesis.schedule import DenoisingSchedule

STEPS = 50


class Baseline:
    """Measures the baseline. Each method does one piece of work and returns its seconds."""

    def __init__(self, model_dir: Path) -> None:

        config = read_config(model_dir)
        self._encoder = load_encoder(resolve_component_dir(config.encoder, model_dir))
        self._soft_tokens = config.input_projection.soft_tokens
        self._llm = load_language_model(
            resolve_component_dir(config.llm.source, model_dir),
            template=config.llm.template,
            soft_tokens=self._soft_tokens,
        )
        self._synthesizers: dict[str, tuple[LatentDiffusion, PromptEncoder]] = {}
        for modality, settings in config.synthesizers.items():
            folder = resolve_component_dir(settings.source, model_dir)
            synthesizer, conditioner = load_synthesizer(folder, modality, allow_native=False), PromptEncoder(folder)
            _load(synthesizer, conditioner)
            self._synthesizers[modality] = synthesizer, conditioner
        self._images: Iterator[Image] = unseen_images()

    def first_token_s(self) -> float:
        """Measure from a question about an image to the first token of the answer."""
        conversation = Conversation().with_message([next(self._images), QUESTION])
        start = time.perf_counter()
        self._generate(conversation, 1)
        return time.perf_counter() - start

    def token_s(self, turn: Turn) -> float:
        """Measure one token of a text answer after the first."""
        start = time.perf_counter()
        self._generate(turn.conversation, 1)
        first_token_end = time.perf_counter()
        self._generate(turn.conversation, turn.tokens)
        return max(time.perf_counter() - first_token_end - (first_token_end - start), 1e-9) / max(turn.tokens - 1, 1)

    def prefill(self, modality: str) -> None:
        """Generate the first token of the answer to a question about a medium."""
        self._generate(question_about(modality), 1)

    def medium_s(self, modality: str) -> float:
        """Measure one medium from its caption."""
        start = time.perf_counter()
        self.synthesize(modality)
        return time.perf_counter() - start

    def turn_s(self, turns: Sequence[Turn]) -> float:
        """Measure the average turn of a recorded conversation, with the same number of tokens and the same media."""
        image = next(self._images)
        start = time.perf_counter()
        for turn in turns:
            self._generate(with_image(turn.conversation, image), turn.tokens)
            for modality in turn.modalities:
                self.synthesize(modality)
        return (time.perf_counter() - start) / len(turns)

    @torch.inference_mode()
    def synthesize(self, modality: str) -> Medium:
        """Synthesize one medium."""
        synthesizer, conditioner = self._synthesizers[modality]
        condition = conditioner.encode([canonical_caption(SPECS[modality])])
        negative = conditioner.encode([""])
        denoiser, predict = synthesizer.components.denoiser, synthesizer.adapter.predict
        schedule = DenoisingSchedule.create(synthesizer.components.scheduler, STEPS)
        latents: Tensor = schedule.initial_latents(torch.randn(1, *synthesizer.latent_shape))
        for timestep in schedule.timesteps:
            model_input = schedule.model_input(latents, timestep)
            negative_prediction = predict(denoiser, model_input, timestep, negative)
            positive_prediction = predict(denoiser, model_input, timestep, condition)
            guided = negative_prediction + synthesizer.settings.guidance_scale * (
                positive_prediction - negative_prediction
            )
            latents = schedule.step(guided, timestep, latents, [])
        return synthesizer.decode(latents)[0]

    @torch.inference_mode()
    def _generate(self, conversation: Conversation, tokens: int) -> None:
        """Encode all media of the conversation and generate ``tokens`` tokens."""
        prompt = self._llm.build_prompt(conversation)
        if prompt.media:
            self._encoder.encode(prompt.media)
        # Soft and signal tokens cost as much as other tokens, so ordinary token ids replace them.
        length = prompt.length(self._soft_tokens)
        ids = torch.full((1, length), self._llm.vocabulary_size - 1)
        self._llm.transformer.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens
        )


def _load(synthesizer: LatentDiffusion, conditioner: PromptEncoder) -> None:
    """Load every component now."""
    parts = synthesizer.components
    _ = parts.denoiser, parts.autoencoder, parts.scheduler, conditioner.text_encoder, conditioner.tokenizer
    if "vocoder" in parts.index:
        _ = parts.vocoder
