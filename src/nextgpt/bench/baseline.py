"""The plain reference: the same parts, used as one would at first.

Everything is loaded at once, text encoders included. Words and signal tokens are generated one by one with
``transformers``' ``generate`` as it is set by default, over the whole conversation in every turn, whose media are all
encoded again. Media are made one at a time in fifty steps, with guidance as two calls of the denoiser.
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
    """Measures the plain way. Each method does one piece of work and tells its seconds.

    Args:
        home: The model's folder.
    """

    def __init__(self, home: Path) -> None:

        config = read_config(home)
        self._encoder = load_encoder(resolve_component_dir(config.encoder, home))
        self._soft_tokens = config.input_projection.soft_tokens
        self._llm = load_language_model(
            resolve_component_dir(config.llm.source, home),
            template=config.llm.template,
            soft_tokens=self._soft_tokens,
        )
        self._diffusion: dict[str, tuple[LatentDiffusion, PromptEncoder]] = {}
        for modality, settings in config.synthesizers.items():
            folder = resolve_component_dir(settings.source, home)
            synthesizer, conditioner = load_synthesizer(folder, modality), PromptEncoder(folder)
            _load(synthesizer, conditioner)
            self._diffusion[modality] = synthesizer, conditioner
        self._pictures: Iterator[Image] = unseen_images()

    def first_token_s(self) -> float:
        """From a question about a picture to the first token of the answer."""
        asked = Conversation().with_message([next(self._pictures), QUESTION])
        start = time.perf_counter()
        self._speak(asked, 1)
        return time.perf_counter() - start

    def token_s(self, exchange: Turn) -> float:
        """A token of an answer in words, after the first."""
        start = time.perf_counter()
        self._speak(exchange.before, 1)
        middle = time.perf_counter()
        self._speak(exchange.before, exchange.tokens)
        return max(time.perf_counter() - middle - (middle - start), 1e-9) / max(exchange.tokens - 1, 1)

    def hear(self, modality: str) -> None:
        """Answer a question about a medium."""
        self._speak(question_about(modality), 1)

    def medium_s(self, modality: str) -> float:
        """A medium, from its caption."""
        start = time.perf_counter()
        self.make(modality)
        return time.perf_counter() - start

    def turn_s(self, held: Sequence[Turn]) -> float:
        """A turn of a conversation that was held before, on average, with as many tokens and the same media."""
        picture = next(self._pictures)
        start = time.perf_counter()
        for exchange in held:
            self._speak(with_image(exchange.before, picture), exchange.tokens)
            for modality in exchange.modalities:
                self.make(modality)
        return (time.perf_counter() - start) / len(held)

    @torch.inference_mode()
    def make(self, modality: str) -> Medium:
        """Make one medium."""
        synthesizer, conditioner = self._diffusion[modality]
        condition = conditioner.encode([canonical_caption(SPECS[modality])])
        negative = conditioner.encode([""])
        denoiser, predict = synthesizer.components.denoiser, synthesizer.adapter.predict
        schedule = DenoisingSchedule.create(synthesizer.components.scheduler, STEPS)
        latents: Tensor = schedule.initial_latents(torch.randn(1, *synthesizer.latent_shape))
        for timestep in schedule.timesteps:
            noisy = schedule.model_input(latents, timestep)
            away = predict(denoiser, noisy, timestep, negative)
            towards = predict(denoiser, noisy, timestep, condition)
            guided = away + synthesizer.settings.guidance_scale * (towards - away)
            latents = schedule.step(guided, timestep, latents, [])
        return synthesizer.decode(latents)[0]

    @torch.inference_mode()
    def _speak(self, asked: Conversation, tokens: int) -> None:
        """Encode all that was given, and generate so many tokens."""
        prompt = self._llm.build_prompt(asked)
        if prompt.media:
            self._encoder.encode(prompt.media)
        # Soft and signal tokens cost what any token costs: as many of the vocabulary stand for them.
        length = prompt.length(self._soft_tokens)
        ids = torch.full((1, length), self._llm.vocabulary_size - 1)
        self._llm.transformer.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens
        )


def _load(synthesizer: LatentDiffusion, conditioner: PromptEncoder) -> None:
    """Read every part now."""
    parts = synthesizer.components
    _ = parts.denoiser, parts.autoencoder, parts.scheduler, conditioner.text_encoder, conditioner.tokenizer
    if "vocoder" in parts.index:
        _ = parts.vocoder
