"""Build prompts: a conversation as token spans with a placeholder per input medium.

This module handles tokens and templates, not tensors; :meth:`~.language_model.LanguageModel.embed_prompts` fills the
placeholders.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from nextgpt.message import Conversation, Medium, Message, Text
from nextgpt.model.llm.signal_tokens import SignalVocabulary
from nextgpt.model.llm.tokenizer import SafeTokenizer
from nextgpt.prompt_template import MODALITY, Template


@dataclass(frozen=True)
class TokenSpan:
    """Consecutive token ids."""

    ids: tuple[int, ...]
    in_loss: bool = False
    """True for tokens that the assistant generates, which training predicts."""


@dataclass(frozen=True)
class MediaPlaceholder:
    """Position of an input medium, to be filled with K soft tokens."""

    medium: Medium


@dataclass(frozen=True)
class Prompt:
    """A tokenized conversation with media placeholders."""

    pieces: tuple[TokenSpan | MediaPlaceholder, ...]

    @property
    def media(self) -> list[Medium]:
        """Input media in the order of their placeholders."""
        return [piece.medium for piece in self.pieces if isinstance(piece, MediaPlaceholder)]

    @property
    def token_spans(self) -> list[TokenSpan]:
        """Token spans in order."""
        return [piece for piece in self.pieces if isinstance(piece, TokenSpan)]

    @property
    def token_ids(self) -> list[int]:
        """All token ids in order, without placeholders."""
        return [token_id for span in self.token_spans for token_id in span.ids]

    def length(self, soft_tokens: int) -> int:
        """Return the number of positions, with ``soft_tokens`` per medium."""
        return sum(len(piece.ids) if isinstance(piece, TokenSpan) else soft_tokens for piece in self.pieces)

    def cache_keys(self, soft_tokens: int) -> list[Hashable]:
        """Return one key per position: the token id, or (digest, k) for soft token k of a medium."""
        return [
            key
            for piece in self.pieces
            for key in (
                piece.ids if isinstance(piece, TokenSpan) else ((piece.medium.digest, k) for k in range(soft_tokens))
            )
        ]


_Piece = tuple[str | int | Medium, bool]
"""Text, the id of a special or signal token, or an input medium; and whether it is in the loss."""


@dataclass(frozen=True)
class PromptBuilder:
    """Formats conversations with a template.

    Messages::

        user: "What is" <image> "?"    assistant: "A cat, look:" <generated image>    user: "Thanks"

    Prompt, with ``nano``'s template and ``add_generation_prompt``::

        <|user|> What is [placeholder] ? <|end|> <|assistant|> A cat, look: [IMG0][IMG1][IMG2][IMG3] <|end|>
        <|user|> Thanks <|end|> <|assistant|>
    """

    tokenizer: SafeTokenizer
    template: Template
    signals: SignalVocabulary

    def build(
        self,
        conversation: Conversation,
        *,
        add_generation_prompt: bool,
        is_edit: Callable[[Medium], bool] = lambda medium: False,
    ) -> Prompt:
        """Build the prompt of a conversation.

        Args:
            add_generation_prompt: End with the prefix of an assistant turn.
            is_edit: Whether a generated medium was an edit; its span then starts with the edit token.
        """
        pieces = _join_text(self._conversation_pieces(conversation, add_generation_prompt, is_edit))
        if self.template.trims_text:
            pieces = _trim_text(list(pieces))
        return Prompt(tuple(_merge_spans(self._encode(pieces))))

    def _conversation_pieces(
        self, conversation: Conversation, add_generation_prompt: bool, is_edit: Callable[[Medium], bool]
    ) -> Iterator[_Piece]:
        roles = [message.role for message in conversation]
        delimiters = self.template.turn_delimiters(roles, add_generation_prompt=add_generation_prompt)
        yield from self._template_pieces(delimiters[0])
        for message, delimiter in zip(conversation, delimiters[1:], strict=True):
            yield from self._message_pieces(message, is_edit)
            end = self.template.end_of_turn
            if message.role == "assistant" and delimiter.startswith(end):
                yield from self._template_pieces(end, in_loss=True)
                delimiter = delimiter[len(end) :]
            yield from self._template_pieces(delimiter)

    def _message_pieces(self, message: Message, is_edit: Callable[[Medium], bool]) -> Iterator[_Piece]:
        in_loss = message.role == "assistant"
        for part in message.parts:
            if isinstance(part, Text):
                yield part.text, in_loss
            elif in_loss:
                edit = (self.signals.edit,) if is_edit(part) else ()
                yield from ((token_id, True) for token_id in (*edit, *self.signals.span_sequence(part.modality)))
            else:
                yield from self._template_pieces(self.template.media_prefix.replace(MODALITY, part.modality))
                yield part, False
                yield from self._template_pieces(self.template.media_suffix.replace(MODALITY, part.modality))

    def _template_pieces(self, text: str, in_loss: bool = False) -> Iterator[_Piece]:
        return ((piece, in_loss) for piece in self.tokenizer.split_special_tokens(text))

    def _encode(self, pieces: Iterator[_Piece]) -> Iterator[TokenSpan | MediaPlaceholder]:
        for content, in_loss in pieces:
            if isinstance(content, str):
                yield TokenSpan(tuple(self.tokenizer.encode(content)), in_loss)
            elif isinstance(content, int):
                yield TokenSpan((content,), in_loss)
            else:
                yield MediaPlaceholder(content)


def _join_text(pieces: Iterator[_Piece]) -> Iterator[_Piece]:
    """Join adjacent texts, so that they are tokenized together.

    Assistant text stays separate from the template's text, as during generation.
    """
    text, text_in_loss = "", False
    for content, in_loss in pieces:
        if text and not (isinstance(content, str) and in_loss == text_in_loss):
            yield text, text_in_loss
            text = ""
        if isinstance(content, str):
            text, text_in_loss = text + content, in_loss
        else:
            yield content, in_loss
    if text:
        yield text, text_in_loss


def _trim_text(pieces: list[_Piece]) -> Iterator[_Piece]:
    """Remove whitespace next to special tokens and media, as the tokenizer of the first release did."""
    for index, (content, in_loss) in enumerate(pieces):
        if isinstance(content, str):
            if index > 0 and not isinstance(pieces[index - 1][0], str):
                content = content.lstrip()
            if index + 1 < len(pieces) and not isinstance(pieces[index + 1][0], str):
                content = content.rstrip()
        if content != "":
            yield content, in_loss


def _merge_spans(pieces: Iterator[TokenSpan | MediaPlaceholder]) -> Iterator[TokenSpan | MediaPlaceholder]:
    """Merge adjacent token spans with equal ``in_loss``."""
    last: TokenSpan | None = None
    for piece in pieces:
        if isinstance(piece, TokenSpan) and last is not None and piece.in_loss == last.in_loss:
            last = TokenSpan(last.ids + piece.ids, piece.in_loss)
            continue
        if last is not None:
            yield last
            last = None
        if isinstance(piece, TokenSpan):
            last = piece
        else:
            yield piece
    if last is not None:
        yield last
