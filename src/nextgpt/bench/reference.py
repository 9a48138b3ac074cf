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

from nextgpt.bench.workload import CONTENTS, QUESTION, Exchange, about, pictures, with_picture
from nextgpt.config import read_config
from nextgpt.message import Conversation, Image, Medium
from nextgpt.miniworld.language import canonical_caption
from nextgpt.model.encoding import load_encoder
from nextgpt.model.llm.folder import load_language_model
from nextgpt.model.parts import find_folder
from nextgpt.model.synthesis import LatentDiffusion, load_synthesizer
from nextgpt.model.synthesis.schedule import Schedule
from nextgpt.model.synthesis.text_encoding import TextConditioner

STEPS = 50


class Reference:
    """Measures the plain way. Each method does one piece of work and tells its seconds.

    Args:
        home: The model's folder.
    """

    def __init__(self, home: Path) -> None:
        import peft  # noqa: F401 - a plain program imports what its model was trained with

        config = read_config(home)
        self._encoder = load_encoder(find_folder(config.encoder, home))
        self._soft_tokens = config.input_projection.soft_tokens
        self._llm = load_language_model(
            find_folder(config.llm.source, home), template=config.llm.template, soft_tokens=self._soft_tokens
        )
        self._diffusion: dict[str, tuple[LatentDiffusion, TextConditioner]] = {}
        for modality, settings in config.synthesizers.items():
            folder = find_folder(settings.source, home)
            synthesizer, conditioner = load_synthesizer(folder, modality), TextConditioner(folder)
            _load(synthesizer, conditioner)
            self._diffusion[modality] = synthesizer, conditioner
        self._pictures: Iterator[Image] = pictures()

    def first_token_s(self) -> float:
        """From a question about a picture to the first token of the answer."""
        asked = Conversation().say([next(self._pictures), QUESTION])
        start = time.perf_counter()
        self._speak(asked, 1)
        return time.perf_counter() - start

    def token_s(self, exchange: Exchange) -> float:
        """A token of an answer in words, after the first."""
        start = time.perf_counter()
        self._speak(exchange.before, 1)
        middle = time.perf_counter()
        self._speak(exchange.before, exchange.tokens)
        return max(time.perf_counter() - middle - (middle - start), 1e-9) / max(exchange.tokens - 1, 1)

    def hear(self, modality: str) -> None:
        """Answer a question about a medium."""
        self._speak(about(modality), 1)

    def medium_s(self, modality: str) -> float:
        """A medium, from its caption."""
        start = time.perf_counter()
        self.make(modality)
        return time.perf_counter() - start

    def turn_s(self, held: Sequence[Exchange]) -> float:
        """A turn of a conversation that was held before, on average, with as many tokens and the same media."""
        picture = next(self._pictures)
        start = time.perf_counter()
        for exchange in held:
            self._speak(with_picture(exchange.before, picture), exchange.tokens)
            for modality in exchange.modalities:
                self.make(modality)
        return (time.perf_counter() - start) / len(held)

    @torch.inference_mode()
    def make(self, modality: str) -> Medium:
        """Make one medium."""
        synthesizer, conditioner = self._diffusion[modality]
        condition = conditioner.encode([canonical_caption(CONTENTS[modality])])
        negative = conditioner.encode([""])
        denoiser, predict = synthesizer.parts.denoiser, synthesizer.kind.predict
        schedule = Schedule.start(synthesizer.parts.scheduler, STEPS)
        latents: Tensor = schedule.first_latents(torch.randn(1, *synthesizer.latent_shape))
        for timestep in schedule.timesteps:
            noisy = schedule.model_input(latents, timestep)
            away = predict(denoiser, noisy, timestep, negative)
            towards = predict(denoiser, noisy, timestep, condition)
            guided = away + synthesizer.settings.guidance * (towards - away)
            latents = schedule.step(guided, timestep, latents, [])
        return synthesizer.decode(latents)[0]

    @torch.inference_mode()
    def _speak(self, asked: Conversation, tokens: int) -> None:
        """Encode all that was given, and generate so many tokens."""
        prompt = self._llm.weave(asked)
        if prompt.media:
            self._encoder.encode(prompt.media)
        # Soft and signal tokens cost what any token costs: as many of the vocabulary stand for them.
        length = prompt.length(self._soft_tokens)
        ids = torch.full((1, length), self._llm.vocabulary_size - 1)
        self._llm.transformer.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens
        )


def _load(synthesizer: LatentDiffusion, conditioner: TextConditioner) -> None:
    """Read every part now."""
    parts = synthesizer.parts
    _ = parts.denoiser, parts.autoencoder, parts.scheduler, conditioner.text_encoder, conditioner.tokenizer
    if "vocoder" in parts.index:
        _ = parts.vocoder
