"""LLM that reads and writes captions in place of media: the text side of the cascade, without any alignment.

Any instruct LLM works: a system message and examples ask it to write ``<image>a caption</image>`` in place of a medium.
nano's own LLM was pretrained on captions between special tokens (:mod:`nextgpt.nano.dialogue_text`); it needs neither.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from nextgpt.message import Role
from nextgpt.modality import MODALITIES
from nextgpt.model.llm.loading import load_tokenizer
from nextgpt.model.llm.tokenizer import SafeTokenizer
from nextgpt.nano.dialogue_text import CLOSE, EDIT
from nextgpt.prompt_template import MODALITY, PromptTemplate, create_template

MAX_FLOAT32_WIDTH = 1024
"""LLMs up to this width run in float32, as in the full model; larger ones in the dtype of their weights."""
INSTRUCTIONS = (
    "You answer with text, images, audio clips and videos. In place of a medium you write a caption that describes it "
    "completely, between tags: <image>…</image>, <audio>…</audio> or <video>…</video>. Media of the user are given to "
    "you in the same way. Make a medium only if the user asks for one; answer questions with text."
)


@dataclass(frozen=True)
class CaptionPart:
    """A medium as its caption."""

    modality: str
    caption: str
    is_edit: bool = False
    """True for an edit of the last medium of its modality; LLMs with markers read that."""


@dataclass(frozen=True)
class CaptionMessage:
    """A message whose media are captions."""

    role: Role
    parts: tuple[str | CaptionPart, ...]


EXAMPLES = (
    CaptionMessage("user", ("Draw a cat that sleeps on a sofa.",)),
    CaptionMessage("assistant", ("Here it is. ", CaptionPart("image", "A cat sleeps on a sofa."))),
    CaptionMessage("user", (CaptionPart("audio", "Rain falls on a roof."), "What is this?")),
    CaptionMessage("assistant", ("This is the sound of rain on a roof.",)),
    CaptionMessage("user", ("I want to hear a piano.",)),
    CaptionMessage("assistant", ("Here it is. ", CaptionPart("audio", "A piano plays a short melody."))),
    CaptionMessage("user", (CaptionPart("image", "A red car on a street."), "Make it blue.")),
    CaptionMessage("assistant", ("Here it is. ", CaptionPart("image", "A blue car on a street."))),
    CaptionMessage("user", ("What is the capital of Italy?",)),
    CaptionMessage("assistant", ("The capital of Italy is Rome.",)),
    CaptionMessage("user", ("Show me a video of a dog that runs.",)),
    CaptionMessage("assistant", ("Here it is. ", CaptionPart("video", "A dog runs."))),
)
"""Turns before the conversation, which show the notation to LLMs that were not trained on it."""


@dataclass(frozen=True)
class CaptionFormat:
    """Notation of captions in prompts and answers."""

    opening: str
    """Text before a caption; ``{modality}`` is replaced by its name."""
    closing: str
    system: str = ""
    """System message that explains the notation."""
    examples: tuple[CaptionMessage, ...] = ()
    """Turns that show the notation, before the conversation."""

    def write(self, modality: str, caption: str) -> str:
        """Return a caption between its delimiters."""
        return "".join((self._named(self.opening, modality), caption, self._named(self.closing, modality)))

    def split(self, answer: str) -> list[str]:
        """Split an answer into text, modality, caption, text, ..., text; an unclosed caption ends with the answer."""
        opening = re.escape(self.opening).replace(re.escape(MODALITY), f"({'|'.join(MODALITIES)})")
        closing = re.escape(self.closing).replace(re.escape(MODALITY), r"\1")
        pieces = re.split(rf"{opening}(.*?)(?:{closing}|\Z)", answer, flags=re.DOTALL)
        return [piece if index % 3 == 1 else piece.strip(" ") for index, piece in enumerate(pieces)]

    @staticmethod
    def _named(delimiter: str, modality: str) -> str:
        return delimiter.replace(MODALITY, modality)


MARKERS = CaptionFormat(f"<|{MODALITY}|>", CLOSE)
"""Special tokens of LLMs that were pretrained on captions, such as nano's."""
TAGS = CaptionFormat(f"<{MODALITY}>", f"</{MODALITY}>", INSTRUCTIONS, EXAMPLES)
"""Tags for any instruct LLM."""


class CaptionLLM:
    """Causal LM that answers conversations by greedy decoding.

    Args:
        folder: Transformers folder.
        template: Name or fields of the prompt template, as in a model's ``config.json``.

    Raises:
        ModelError: The folder has no tokenizer, or the template is unknown.
    """

    def __init__(self, folder: Path, template: str | PromptTemplate) -> None:
        from transformers import AutoConfig, AutoModelForCausalLM

        tokenizer = load_tokenizer(folder)
        self._tokenizer = SafeTokenizer(tokenizer)
        self._template = create_template(template, tokenizer)
        has_markers = CLOSE in tokenizer.get_added_vocab()
        self.format = MARKERS if has_markers else TAGS
        config = AutoConfig.from_pretrained(folder, local_files_only=True).get_text_config()
        dtype = torch.float32 if config.hidden_size <= MAX_FLOAT32_WIDTH else "auto"
        self._transformer = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True).eval()
        self._context_length = config.max_position_embeddings
        end = self._tokenizer.split_special_tokens(self._template.end_of_turn)
        self._end_ids = sorted({piece for piece in (*end[:1], tokenizer.eos_token_id) if isinstance(piece, int)})

    @torch.inference_mode()
    def write(self, conversations: Sequence[Sequence[CaptionMessage]], max_tokens: int) -> list[str]:
        """Return one answer per conversation, with captions in the notation of :attr:`format`."""
        prompts = [self._prompt(messages)[-(self._context_length - max_tokens) :] for messages in conversations]
        longest = max(map(len, prompts), default=0)
        padding = [longest - len(prompt) for prompt in prompts]
        input_ids = torch.tensor([[0] * pad + prompt for pad, prompt in zip(padding, prompts, strict=True)])
        mask = torch.tensor([[0] * pad + [1] * (longest - pad) for pad in padding])
        output = self._transformer.generate(
            input_ids=input_ids,
            attention_mask=mask,
            max_new_tokens=max_tokens,
            do_sample=False,
            eos_token_id=self._end_ids,
            pad_token_id=self._end_ids[0],
        )
        return [self._decode(row) for row in output[:, longest:].tolist()]

    def _prompt(self, messages: Sequence[CaptionMessage]) -> list[int]:
        """Tokenize template, text and captions; nothing in a text or caption becomes a special token."""
        if self.format.system and messages[0].role != "system":
            messages = [CaptionMessage("system", (self.format.system,)), *self.format.examples, *messages]
        roles = [message.role for message in messages]
        first, *others = self._template.turn_delimiters(roles, add_generation_prompt=True)
        ids = self._encode_template(first)
        for message, delimiter in zip(messages, others, strict=True):
            for part in message.parts:
                if isinstance(part, str):
                    ids += self._tokenizer.encode(part)
                    continue
                opening, closing = self.format.write(part.modality, "\0").split("\0")
                if part.is_edit and self.format is MARKERS:
                    opening = EDIT + opening
                ids += self._encode_template(opening) + self._tokenizer.encode(part.caption)
                ids += self._encode_template(closing)
            ids += self._encode_template(delimiter)
        return ids

    def _encode_template(self, text: str) -> list[int]:
        return [
            token_id
            for piece in self._tokenizer.split_special_tokens(text)
            for token_id in ([piece] if isinstance(piece, int) else self._tokenizer.encode(piece))
        ]

    def _decode(self, ids: list[int]) -> str:
        end = next((index for index, token_id in enumerate(ids) if token_id in self._end_ids), len(ids))
        has_markers = self.format is MARKERS
        text = str(self._tokenizer.hf_tokenizer.decode(ids[:end], skip_special_tokens=not has_markers))
        for stop in self._template.stop_strings:
            text = text.partition(stop)[0]
        return text.strip()
