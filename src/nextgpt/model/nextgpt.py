"""The whole system: encode media, project to soft tokens, generate, project to conditions, synthesize."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nextgpt.config import LoraConfig, ModelConfig, read_config, write_config
from nextgpt.errors import ConversationError, ModelError
from nextgpt.malloc import returning_freed_memory
from nextgpt.message import (
    Conversation,
    Event,
    Medium,
    MessageContent,
    Reply,
    ReplyFinished,
    Sampling,
    Via,
    damage_warnings,
)
from nextgpt.model import loading
from nextgpt.model.components import Component
from nextgpt.model.encoding.base import Encoder, Features
from nextgpt.model.feature_cache import FeatureCache
from nextgpt.model.input_projection import create_input_projection
from nextgpt.model.llm.generation import GenerationRequest, generate
from nextgpt.model.llm.json_constraint import check_schema
from nextgpt.model.llm.language_model import LanguageModel, LLMForwardOutput
from nextgpt.model.llm.prompt import Prompt
from nextgpt.model.llm.sampler import validate_sampling
from nextgpt.model.memory_plan import TRAINED, MemoryPlan, default_plan
from nextgpt.model.model_dir import WEIGHTS_FILE, resolve_model_dir
from nextgpt.model.output_projection import create_output_projection
from nextgpt.model.parallel import use_all_threads
from nextgpt.model.reply_assembler import ReplyAssembler
from nextgpt.model.retrieval import RetrievalIndex, check_via, retrieve
from nextgpt.model.summary import summarize_model
from nextgpt.model.synthesis.base import Synthesizer
from nextgpt.model.synthesis.batching import synthesize_batch
from nextgpt.model.synthesis_requests import build_synthesis_requests
from nextgpt.model.timing import StageTimer
from nextgpt.model.trained_weights import load_trained, save_trained
from nextgpt.model.truncation import truncate

MAX_RECORDED_EDITS = 1024
REPLY_FRACTION = 0.25
"""Part of the context that truncation keeps free for the reply; less if the reply's token limit is lower."""


class NextGPT(nn.Module):
    """Any mix of text, images, audio and video in; any mix of them out.

    Args:
        config: Architecture of the components and projections.
        components: Frozen components by name: ``encoder``, ``llm``, and one synthesizer per output modality.
            All but the LLM are loaded on first use. With offloading, answer one conversation at a time.
    """

    def __init__(self, config: ModelConfig, components: Mapping[str, Component]) -> None:
        super().__init__()
        self.config = config
        self.components = dict(components)
        self.llm: LanguageModel = self.components["llm"].get()
        self.input_projection = create_input_projection(config.input_projection, self.llm.hidden_size)
        self.output_projections = nn.ModuleDict(
            {
                modality: create_output_projection(synthesizer.output_projection, self.llm.hidden_size)
                for modality, synthesizer in config.synthesizers.items()
            }
        )
        self._features = FeatureCache()
        self._edited_digests: deque[bytes] = deque(maxlen=MAX_RECORDED_EDITS)
        """Digests of media made by editing; their spans in later prompts start with the edit token."""

    @classmethod
    def from_pretrained(
        cls,
        name: str | Path,
        *,
        device: str | torch.device | Mapping[str, str | torch.device] = "cpu",
        dtype: torch.dtype | str | Mapping[str, torch.dtype | str] | None = None,
        max_memory: str | int | None = None,
        allow_offload: bool = True,
        sampling: Literal["default", "published"] = "default",
    ) -> NextGPT:
        """Load the built-in ``nano``, a preset, a model folder or a Hub repository for inference.

        Args:
            device: One device, or one per component; ``auto`` spreads the LLM's layers over all devices.
            dtype: One dtype, or one per component; ``int8`` and ``int4`` quantize the LLM. Default: float32, and
                bfloat16 for denoisers on CPUs with matrix units (AMX); on a CPU large Llamas are decoded in the dtype
                that is fastest there (:mod:`nextgpt.model.llm.fused_decoder`).
            max_memory: Memory budget such as ``"6GB"``; chooses dtypes (at most ``dtype``) and offloading. See
                :mod:`nextgpt.model.memory_plan`.
            allow_offload: Allow components to be offloaded. Set to False to answer several requests at once.
            sampling: ``published`` for schedulers, steps, guidance and lengths of media of the published demo; see
                docs/paper-size.md.

        Raises:
            ConfigError: The options contradict each other.
            ModelError: Unknown model, missing or damaged component, or a budget that is too small.
        """
        model_dir = resolve_model_dir(name)
        config = read_config(model_dir)
        plan = loading.make_memory_plan(
            summarize_model(config, model_dir) if max_memory is not None else (),
            names=config.component_sources,
            device={k: str(v) for k, v in device.items()} if isinstance(device, Mapping) else str(device),
            dtype=dtype,
            max_memory=max_memory,
            allow_offload=allow_offload,
        )
        with returning_freed_memory():
            model = cls.from_config(config, model_dir, plan, sampling)
            load_trained(model, model_dir / WEIGHTS_FILE)
        return model

    @classmethod
    def from_config(
        cls, config: ModelConfig, model_dir: Path, plan: MemoryPlan | None = None, sampling: str = "default"
    ) -> NextGPT:
        """Assemble a model from frozen components and fresh trainable weights.

        Args:
            model_dir: Base of the relative paths in ``config``.
            plan: Default: float32 on the CPU, as for training.
        """
        plan = plan or default_plan(config.component_sources)
        model = cls(config, loading.lazy_components(config, model_dir, plan, sampling))
        placement = plan.placements[TRAINED]
        for module in (model.input_projection, model.output_projections, model.llm.signals):
            module.to(device=placement.device, dtype=getattr(torch, placement.dtype))
        return model.eval()

    def save_pretrained(self, model_dir: str | Path, *, dtype: torch.dtype | None = None) -> None:
        """Write a complete model folder: trained weights in ``dtype``, frozen components unchanged."""
        model_dir = Path(model_dir)
        model_dir.mkdir(parents=True, exist_ok=True)
        for name in self.config.bundled_components:
            self.components[name].save(model_dir / name)
        save_trained(self, model_dir / WEIGHTS_FILE, dtype=dtype)
        write_config(self.config.with_bundled_paths(), model_dir)  # last: a folder without it is no model

    def __reduce__(self) -> NoReturn:
        """Refuse to be pickled or copied: components are loaded lazily, from folders."""
        raise ModelError(
            "A NextGPT model cannot be pickled or copied; expected a folder or its name. Write it with "
            "save_pretrained and load it with from_pretrained in the other process."
        )

    def add_lora(self, config: LoraConfig) -> None:
        """Add fresh trainable LoRA adapters to the LLM and record them in the model's config."""
        self.llm.add_lora(**config.model_dump())
        llm = self.config.llm.model_copy(update={"lora": config})
        self.config = self.config.model_copy(update={"llm": llm})

    # ---- training ----------------------------------------------------------------------------------------------

    def forward(self, prompts: Sequence[Prompt], features: Sequence[Features]) -> LLMForwardOutput:
        """Run the LLM over complete prompts; ``features`` belong to all their media, in order."""
        modalities = [medium.modality for prompt in prompts for medium in prompt.media]
        soft = self.input_projection(features, modalities)  # (N, K, D)
        return self.llm(self.llm.embed_prompts(prompts, soft))

    def project_conditions(self, modality: str, hidden: Float[Tensor, "B S D"]) -> Float[Tensor, "B Q C"]:
        """Project hidden states at signal tokens to conditions of the modality's synthesizer."""
        return self.output_projections[modality](hidden, self.llm.span_embeddings(modality))

    # ---- inference ---------------------------------------------------------------------------------------------

    def chat(
        self,
        content: MessageContent | Conversation,
        sampling: Sampling = Sampling(),
        *,
        via: Via = "generate",
        index: RetrievalIndex | None = None,
    ) -> Reply:
        """Reply to a conversation, or to a first message.

        Args:
            via: Whether media are generated, retrieved from ``index``, or the better of both (``auto``); see
                :mod:`nextgpt.model.retrieval`.
            index: A :class:`nextgpt.data.index.MediaIndex` of a model with the same text encoders.
        """
        return self.chat_batch([content], sampling, via=via, index=index)[0]

    def chat_batch(
        self,
        conversations: Sequence[MessageContent | Conversation],
        sampling: Sampling | Sequence[Sampling] = Sampling(),
        *,
        via: Via = "generate",
        index: RetrievalIndex | None = None,
    ) -> list[Reply]:
        """Reply to several conversations in one batch; each reply equals its single one except for rounding.

        Args:
            sampling: One for all conversations, or one per conversation.
            via: See :meth:`chat`.
            index: See :meth:`chat`.
        """
        samplings = [sampling] * len(conversations) if isinstance(sampling, Sampling) else list(sampling)
        replies: list[Reply | None] = [None] * len(conversations)
        events = self._generate_events(list(map(_to_conversation, conversations)), samplings, via=via, index=index)
        for row, event in events:
            if isinstance(event, ReplyFinished):
                replies[row] = event.reply
        return [reply for reply in replies if reply is not None]

    def stream(
        self,
        content: MessageContent | Conversation,
        sampling: Sampling = Sampling(),
        *,
        previews: bool = False,
        via: Via = "generate",
        index: RetrievalIndex | None = None,
    ) -> Iterator[Event]:
        """Reply as :meth:`chat` does and yield text, progress and media as they arrive.

        Closing the iterator cancels. With ``previews`` every denoising step carries a rough medium.
        """
        conversations = [_to_conversation(content)]
        for _, event in self._generate_events(conversations, [sampling], previews=previews, via=via, index=index):
            yield event

    @torch.inference_mode()
    def _generate_events(
        self,
        conversations: Sequence[Conversation],
        samplings: Sequence[Sampling],
        *,
        previews: bool = False,
        via: Via = "generate",
        index: RetrievalIndex | None = None,
    ) -> Iterator[tuple[int, Event]]:
        check_via(via, index)
        use_all_threads()
        timer, media_timer = StageTimer(), StageTimer()
        assemblers = [ReplyAssembler() for _ in conversations]
        requests = [self.make_request(*row) for row in zip(conversations, samplings, strict=True)]

        with timer.time("encoding"):
            soft = self.encode_media([medium for request in requests for medium in request.prompt.media])
        with timer.time("llm"):
            llm = self.components["llm"].get()  # onload it: the encoder may have displaced it
        for row, llm_event in timer.time_each("llm", generate(llm, requests, soft)):
            yield from ((row, event) for event in assemblers[row].on_llm_event(llm_event))
        with timer.time("output_projection"):
            outputs = [assembler.llm_output for assembler in assemblers]
            synthesis_requests = build_synthesis_requests(outputs, conversations, samplings, self.project_conditions)
        if via != "generate":
            with timer.time("retrieval"):
                retrieved, synthesis_requests = retrieve(synthesis_requests, via, index)
            for (row, part), item in retrieved.items():
                events = assemblers[row].on_synthesis_event(part, item.medium, item.attribution)
                yield from ((row, event) for event in events)
        synthesis = synthesize_batch(
            synthesis_requests, self.synthesizer, previews=previews, threads=self._synthesis_threads, timer=media_timer
        )
        with closing(synthesis):
            for (row, part), synthesis_event in timer.time_each("media", synthesis):
                yield from ((row, event) for event in assemblers[row].on_synthesis_event(part, synthesis_event))

        total = sum(timer.seconds.values())
        timer.seconds.pop("media", None)  # modalities may overlap, so each has its own seconds
        timings_s = media_timer.seconds | timer.seconds | {"total": total}
        for row, (assembler, sampling) in enumerate(zip(assemblers, samplings, strict=True)):
            self.record_edits(assembler.edited_media_digests)
            reply = Reply(
                assembler.parts,
                sampling.seed,
                assembler.llm_output.dropped,
                timings_s,
                requests[row].truncated_turns,
                damage_warnings(conversations[row]),
                attributions=assembler.attributions,
            )
            yield row, ReplyFinished(reply)

    # ---- single steps, also used by the serving engines --------------------------------------------------------

    def make_request(self, conversation: Conversation, sampling: Sampling) -> GenerationRequest:
        """Build and validate the LLM request for a conversation; the oldest turns are removed if it is too long."""
        reserved = min(sampling.max_tokens, int(self.llm.context_length * REPLY_FRACTION))
        fits = partial(self.llm.fits_context, reserved_tokens=reserved, is_edit=self._was_edited)
        truncated = truncate(conversation, fits)
        prompt = self.llm.build_prompt(truncated.conversation, is_edit=self._was_edited)
        validate_sampling(sampling, self.modalities)
        if sampling.json_schema is not None:
            check_schema(sampling.json_schema)
        return GenerationRequest(
            prompt,
            sampling,
            modalities=("text",) if sampling.json_schema else sampling.modalities or self.modalities,
            editable=tuple({medium.modality for medium in conversation.media}),
            truncated_turns=truncated.num_turns,
        )

    def encode_media(
        self, media: Sequence[Medium], features: Sequence[Features] | None = None
    ) -> Float[Tensor, "N K D"]:
        """Return the soft tokens of ``media``, in order; pass ``features`` if they were encoded elsewhere."""
        inputs = self.encode(media) if features is None else _to_device_of(self.llm.signals.input, features)
        return self.input_projection(inputs, [medium.modality for medium in media])

    def encode(self, media: Sequence[Medium]) -> list[Features]:
        """Return the features of ``media``, in order, on the input projection's device; cached by content."""
        if not media:
            return []
        features = self._features.get_or_encode(media, lambda new: self.encoder.encode(new))
        return _to_device_of(self.llm.signals.input, features)

    def record_edits(self, digests: Iterable[bytes]) -> None:
        """Record media that were made by editing, so that later prompts mark their spans as edits."""
        self._edited_digests.extend(digests)

    @property
    def encoder(self) -> Encoder:
        """The encoder, loaded on first use."""
        return self.components["encoder"].get()

    def synthesizer(self, modality: str) -> Synthesizer:
        """Return the synthesizer of a modality, loaded on first use."""
        return self.components[modality].get()

    @property
    def modalities(self) -> tuple[str, ...]:
        """Output modalities, ``text`` first."""
        return ("text", *self.config.synthesizers)

    @property
    def _synthesis_threads(self) -> int:
        """Number of torch threads that modalities synthesized in parallel may share."""
        can_offload = any(component.can_offload for component in self.components.values())
        return 1 if can_offload else torch.get_num_threads()

    def _was_edited(self, medium: Medium) -> bool:
        return medium.digest in self._edited_digests


def _to_device_of(reference: Tensor, features: Sequence[Features]) -> list[Features]:
    """Move features to the device and dtype of ``reference``."""
    return [replace(item, vectors=item.vectors.to(reference)) for item in features]


def _to_conversation(content: MessageContent | Conversation) -> Conversation:
    conversation = content if isinstance(content, Conversation) else Conversation().with_message(content)
    if conversation.messages and conversation.messages[-1].role != "user":
        raise ConversationError(
            f"The last message has the role {conversation.messages[-1].role}; expected user. "
            "Add a user message with Conversation.with_message."
        )
    return conversation
