"""The whole system: media are encoded, projected, thought about, projected again and synthesized."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nextgpt.config import LoraConfig, ModelConfig
from nextgpt.errors import ConversationError
from nextgpt.message import Conversation, Event, Finished, Medium, Reply, Sampling, Says
from nextgpt.model.at_once import claim_threads
from nextgpt.model.clock import Clock
from nextgpt.model.encoding.base import Encoder, Features
from nextgpt.model.feature_cache import FeatureCache
from nextgpt.model.input_projection import create_input_projection
from nextgpt.model.llm.generation import Request, generate
from nextgpt.model.llm.language_model import LanguageModel, Thoughts
from nextgpt.model.llm.sampling import check
from nextgpt.model.llm.thought import MediumSegment
from nextgpt.model.llm.weaving import Prompt
from nextgpt.model.ordering import order
from nextgpt.model.output_projection import create_output_projection
from nextgpt.model.parts import Part
from nextgpt.model.rendering import render
from nextgpt.model.synthesis.base import Synthesizer
from nextgpt.model.telling import Teller


class NextGPT(nn.Module):
    """Any mix of text, images, audio and video in; any mix of them out.

    Args:
        config: How the parts are joined.
        parts: The frozen parts by name: ``encoder``, ``llm``, and one synthesizer a modality that can be answered.
            All but the LLM are loaded when first needed. Where some take turns, answer one conversation at a time.
    """

    def __init__(self, config: ModelConfig, parts: Mapping[str, Part]) -> None:
        super().__init__()
        self.config = config
        self.parts = dict(parts)
        self.llm: LanguageModel = self.parts["llm"].loaded
        self.input_projection = create_input_projection(config.input_projection, self.llm.width)
        self.output_projections = nn.ModuleDict(
            {
                modality: create_output_projection(synthesizer.output_projection, self.llm.width)
                for modality, synthesizer in config.synthesizers.items()
            }
        )
        self._features = FeatureCache()
        self._edits: deque[bytes] = deque(maxlen=1024)
        """Digests of what was made by editing, so that a later turn remembers it so."""

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | Mapping[str, str] = "cpu",
        dtype: torch.dtype | str | Mapping[str, torch.dtype | str] | None = None,
        max_memory: str | int | None = None,
        takes_turns: bool = True,
    ) -> NextGPT:
        """Load the embedded ``nano``, a folder, or a repository of the Hub, ready to answer.

        Args:
            device: For all parts, or by their names; ``auto`` spreads the layers of the LLM over what there is.
            dtype: Likewise; ``int8`` and ``int4`` quantise the LLM. Left out, it is float32; denoisers are bfloat16 on
                processors with matrix units, where that halves their time.
            max_memory: A budget such as ``"6GB"``, which chooses types (``dtype`` at the widest) and which parts take
                turns in memory; see :mod:`nextgpt.model.plan`.
            takes_turns: Whether they may; not where several answers are made at once, as by a server.

        Raises:
            ConfigError: Settings that do not go together.
            ModelError: No such model, a part of it is missing or damaged, or it does not fit the budget.
        """
        from nextgpt.model.folder import load_model

        return load_model(name, device=device, dtype=dtype, max_memory=max_memory, takes_turns=takes_turns)

    def save_pretrained(self, folder: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Write a whole model folder; what was trained is stored in ``dtype``, frozen parts as they are."""
        from nextgpt.model.folder import save_model

        save_model(self, Path(folder), dtype=dtype)

    def adapt(self, settings: LoraConfig) -> None:
        """Give the LLM fresh trainable LoRA; it is saved with the rest of what is trained."""
        self.llm.adapt(**settings.model_dump())
        llm = self.config.llm.model_copy(update={"lora": settings})
        self.config = self.config.model_copy(update={"llm": llm})

    # ---- the path, as training goes it -------------------------------------------------------------------------

    def forward(self, prompts: Sequence[Prompt], features: Sequence[Features]) -> Thoughts:
        """Hear whole woven conversations at once; ``features`` are those of all their media, in order."""
        modalities = [medium.modality for prompt in prompts for medium in prompt.media]
        soft = self.input_projection(features, modalities)  # (N, K, D)
        return self.llm(self.llm.embed(prompts, soft))

    def condition(self, modality: str, hidden: Float[Tensor, "B S D"]) -> Float[Tensor, "B Q C"]:
        """Conditions of a modality's synthesizer, from hidden states at runs of its signal tokens."""
        return self.output_projections[modality](hidden, self.llm.signals.rows(modality))

    # ---- the path, as an answer goes it ------------------------------------------------------------------------

    def chat(self, says: Says | Conversation, sampling: Sampling = Sampling()) -> Reply:
        """Answer a conversation, or what a person says to begin one."""
        return self.chat_batch([says], sampling)[0]

    def chat_batch(
        self,
        conversations: Sequence[Says | Conversation],
        sampling: Sampling | Sequence[Sampling] = Sampling(),
    ) -> list[Reply]:
        """Answer several conversations side by side, each as if it were alone but for rounding.

        Args:
            sampling: For all, or one for each.
        """
        samplings = [sampling] * len(conversations) if isinstance(sampling, Sampling) else list(sampling)
        replies: list[Reply | None] = [None] * len(conversations)
        for row, event in self._answer([_conversation(says) for says in conversations], samplings):
            if isinstance(event, Finished):
                replies[row] = event.reply
        return [reply for reply in replies if reply is not None]

    def stream(
        self, says: Says | Conversation, sampling: Sampling = Sampling(), *, has_previews: bool = False
    ) -> Iterator[Event]:
        """Answer as :meth:`chat` does, telling words, steps and media as they come. Closing the iterator cancels.

        With ``has_previews`` every step brings a rough picture of what is being made.
        """
        for _, event in self._answer([_conversation(says)], [sampling], has_previews=has_previews):
            yield event

    @torch.inference_mode()
    def _answer(
        self,
        conversations: Sequence[Conversation],
        samplings: Sequence[Sampling],
        *,
        has_previews: bool = False,
    ) -> Iterator[tuple[int, Event]]:
        claim_threads()
        clock, media_clock, tellers = Clock(), Clock(), [Teller() for _ in conversations]
        requests = [self.request(*row) for row in zip(conversations, samplings, strict=True)]
        with clock.measure("encoding"):
            soft = self.hear([medium for request in requests for medium in request.prompt.media])  # (N, K, D)
        with clock.measure("llm"):
            llm = self.parts["llm"].loaded  # it may have made room for the encoder
        for row, spoken in clock.each(generate(llm, requests, soft), lambda _: "llm"):
            yield from ((row, event) for event in tellers[row].hear(spoken))
        with clock.measure("output_projection"):
            thoughts = [teller.thought for teller in tellers]
            orders = order(thoughts, conversations, samplings, self.condition)  # conditions: (Q, C) each
        made = render(
            orders, self.synthesizer, has_previews=has_previews, threads=self._threads, clock=media_clock
        )
        with closing(made):
            for (row, position), event in clock.each(made, lambda _: "media"):
                yield from ((row, told) for told in tellers[row].show(position, event))
        timings = media_clock.seconds | clock.seconds | {"total": sum(clock.seconds.values())}
        timings.pop(
            "media", None
        )  # what is made at once overlaps, so the seconds of each modality were told apart
        for row, (teller, sampling) in enumerate(zip(tellers, samplings, strict=True)):
            self.remember_edits(teller)
            yield row, Finished(Reply(teller.parts, sampling.seed, teller.thought.dropped, timings))

    # ---- what the path needs on its way ------------------------------------------------------------------------

    def request(self, conversation: Conversation, sampling: Sampling) -> Request:
        """A conversation as the language model is asked to answer it; raises what is wrong with either."""
        prompt = self.llm.weave(conversation, is_edit=self._is_edit)
        check(sampling, self.modalities)
        return Request(
            prompt,
            sampling,
            modalities=sampling.modalities or self.modalities,
            sources=tuple({medium.modality for medium in conversation.media}),
        )

    def hear(
        self, media: Sequence[Medium], features: Sequence[Features] | None = None
    ) -> Float[Tensor, "N K D"]:
        """Soft tokens of media, in order; ``features`` where the media were encoded elsewhere."""
        found = self.encode(media) if features is None else _moved(features, self.llm.signals.input)
        return self.input_projection(found, [medium.modality for medium in media])

    def remember_edits(self, teller: Teller) -> None:
        """Note which media of a whole answer are edits, so that a later turn remembers them so."""
        self.note_edits(edits_of(teller))

    def note_edits(self, digests: Iterable[bytes]) -> None:
        """Note media, by their digests, that are edits."""
        self._edits.extend(digests)

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded when first asked for."""
        return self.parts["encoder"].loaded

    def synthesizer(self, modality: str) -> Synthesizer:
        """The synthesizer of a modality, loaded when first asked for."""
        return self.parts[modality].loaded

    @property
    def modalities(self) -> tuple[str, ...]:
        """What can be answered."""
        return ("text", *self.config.synthesizers)

    def encode(self, media: Sequence[Medium]) -> list[Features]:
        """Features of media, in order, where the input projection is; remembered by content."""
        if not media:
            return []
        return _moved(self._features.features(media, self.encoder.encode), self.llm.signals.input)

    @property
    def _threads(self) -> int:
        """How many threads of torch media made at once may share."""
        return 1 if any(part.takes_turns for part in self.parts.values()) else torch.get_num_threads()

    def _is_edit(self, medium: Medium) -> bool:
        return medium.digest in self._edits


def edits_of(teller: Teller) -> list[bytes]:
    """Digests of the media of a whole answer that are edits."""
    return [
        part.digest
        for part, segment in zip(teller.parts, teller.thought.segments, strict=True)
        if isinstance(segment, MediumSegment) and segment.is_edit
    ]


def _moved(features: Sequence[Features], place: Tensor) -> list[Features]:
    """Features on the device and in the precision of ``place``."""
    return [replace(item, vectors=item.vectors.to(place)) for item in features]


def _conversation(says: Says | Conversation) -> Conversation:
    conversation = says if isinstance(says, Conversation) else Conversation().say(says)
    if conversation.messages and conversation.messages[-1].role != "user":
        raise ConversationError(
            f"The last message is the {conversation.messages[-1].role}'s; expected the user's, to answer it. "
            "Say something with Conversation.say."
        )
    return conversation
