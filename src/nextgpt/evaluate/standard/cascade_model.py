"""Cascade as a chat model: the same calls as :class:`~nextgpt.model.nextgpt.NextGPT`, with captions in between.

::

    media -> captions (the model itself describes them) -> LLM without alignment -> captions -> text encoders -> media

The LLM, the synthesizers and their text encoders are those of the model's folder; only the description of input media
uses the trained projections.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from nextgpt.config import read_config
from nextgpt.errors import ConversationError
from nextgpt.evaluate.caption_llm import MARKERS, CaptionLLM, CaptionMessage, CaptionPart
from nextgpt.evaluate.caption_synthesizer import CaptionSynthesizer, create_prompt_encoders
from nextgpt.evaluate.standard.items import CAPTION_REQUESTS
from nextgpt.message import (
    Conversation,
    Event,
    Medium,
    MediumFinished,
    Message,
    Reply,
    ReplyFinished,
    Sampling,
    Text,
    TextDelta,
)
from nextgpt.miniworld.language.canonical_captions import canonical_caption
from nextgpt.miniworld.language.description_parser import parse_description
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.model_dir import WEIGHTS_FILE, resolve_model_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.nano.dialogue_text import EDIT

MAX_CAPTION_TOKENS = 60


class Captioner:
    """Describes media with the model itself; each content once.

    Args:
        model: Model with trained input projections; ``None`` if there are none.
    """

    def __init__(self, model: NextGPT | None) -> None:
        self._model = model
        self._captions: dict[bytes, str] = {}

    def describe(self, media: Sequence[Medium]) -> list[str]:
        """Return one caption per medium. Raises :class:`ConversationError` without a model."""
        if media and self._model is None:
            raise ConversationError(
                f"The model folder has no {WEIGHTS_FILE}, so the cascade cannot describe media; expected text only. "
                "Train the input projection, or send no media."
            )
        new = list({medium.digest: medium for medium in media if medium.digest not in self._captions}.values())
        requests = [[medium, CAPTION_REQUESTS[medium.modality]] for medium in new]
        sampling = Sampling(modalities=("text",), max_tokens=MAX_CAPTION_TOKENS)
        replies = self._model.chat_batch(requests, sampling) if requests else []
        for medium, reply in zip(new, replies, strict=True):
            self._captions[medium.digest] = reply.text.strip()
        return [self._captions[medium.digest] for medium in media]


class Cascade:
    """Answers conversations by captions.

    Args:
        captioner: Describes input media.
        llm: Reads and writes captions.
        synthesizer: Synthesizes the captions of answers.
    """

    def __init__(self, captioner: Captioner, llm: CaptionLLM, synthesizer: CaptionSynthesizer) -> None:
        self.captioner = captioner
        self._llm = llm
        self.synthesizer = synthesizer

    @classmethod
    def from_pretrained(
        cls, name: str | Path, model: NextGPT | None = None, num_inference_steps: int | None = None
    ) -> Cascade:
        """Build the cascade of a model's own components; without trained weights it reads text only.

        Args:
            model: The loaded model, if there is one.

        Raises:
            ModelError: Unknown model, or a synthesizer without a text encoder.
        """
        model_dir = resolve_model_dir(name)
        config = read_config(model_dir)
        encoders = create_prompt_encoders(config, model_dir)
        is_trained = model is not None or (model_dir / WEIGHTS_FILE).is_file()
        if model is None:
            model = NextGPT.from_pretrained(model_dir) if is_trained else NextGPT.from_config(config, model_dir)
        llm = CaptionLLM(resolve_component_dir(config.llm.source, model_dir), config.llm.template)
        synthesizer = CaptionSynthesizer(model, encoders, num_inference_steps)
        return cls(Captioner(model if is_trained else None), llm, synthesizer)

    def chat_batch(
        self, conversations: Sequence[Conversation], sampling: Sampling | Sequence[Sampling] = Sampling()
    ) -> list[Reply]:
        """Reply to several conversations in one batch; tokens are chosen greedily."""
        samplings = [sampling] * len(conversations) if isinstance(sampling, Sampling) else list(sampling)
        media = [medium for conversation in conversations for medium in conversation.media]
        descriptions = map(self._to_caption, self.captioner.describe(media))
        captions = dict(zip((medium.digest for medium in media), descriptions, strict=True))
        requests = [[_captioned(message, captions) for message in conversation] for conversation in conversations]
        return self.answer_captioned(requests, samplings)

    def _to_caption(self, description: str) -> str:
        """Return a description in the form that the LLM was trained on: LLMs with markers read canonical captions."""
        spec = parse_description(description) if self._llm.format is MARKERS else None
        return canonical_caption(spec) if spec else description

    def answer_captioned(
        self, requests: Sequence[Sequence[CaptionMessage]], samplings: Sequence[Sampling]
    ) -> list[Reply]:
        """Reply to conversations whose media are captions already."""
        max_tokens = max((sampling.max_tokens for sampling in samplings), default=0)
        answers = [self._llm.format.split(text) for text in self._llm.write(requests, max_tokens)]
        answers = [[piece.replace(EDIT, "") for piece in pieces] for pieces in answers]
        return self.synthesizer.to_replies(answers, [sampling.seed for sampling in samplings])

    def chat(self, conversation: Conversation, sampling: Sampling = Sampling()) -> Reply:
        """Reply to one conversation."""
        return self.chat_batch([conversation], sampling)[0]

    def stream(self, conversation: Conversation, sampling: Sampling = Sampling()) -> Iterator[Event]:
        """Yield the events of a reply once it is complete."""
        reply = self.chat(conversation, sampling)
        for part in reply.parts:
            yield TextDelta(part.text) if isinstance(part, Text) else MediumFinished(part)
        yield ReplyFinished(reply)


def _captioned(message: Message, captions: dict[bytes, str]) -> CaptionMessage:
    parts = (
        part.text if isinstance(part, Text) else CaptionPart(part.modality, captions[part.digest])
        for part in message.parts
    )
    return CaptionMessage(message.role, tuple(parts))
