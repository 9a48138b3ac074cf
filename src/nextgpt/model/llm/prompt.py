"""A conversation as one woven sequence: token ids, with a slot wherever a person gave a medium.

Knows tokens and templates, not tensors; :meth:`~.language_model.LanguageModel.embed` fills the slots.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator
from dataclasses import dataclass

from nextgpt.message import Conversation, Medium, Message, Text
from nextgpt.model.llm.signal_tokens import SignalVocabulary
from nextgpt.model.llm.template import MODALITY, Template
from nextgpt.model.llm.tokenizer import SafeTokenizer


@dataclass(frozen=True)
class TokenSpan:
    """A stretch of token ids."""

    ids: tuple[int, ...]
    in_loss: bool = False
    """Whether the assistant says it: what training teaches."""


@dataclass(frozen=True)
class MediaPlaceholder:
    """The place of a given medium; K soft tokens come here."""

    medium: Medium


@dataclass(frozen=True)
class Prompt:
    """A woven conversation."""

    pieces: tuple[TokenSpan | MediaPlaceholder, ...]

    @property
    def media(self) -> list[Medium]:
        """What is to be encoded, in the order of the slots."""
        return [piece.medium for piece in self.pieces if isinstance(piece, MediaPlaceholder)]

    @property
    def token_spans(self) -> list[TokenSpan]:
        """The stretches of tokens, in order."""
        return [piece for piece in self.pieces if isinstance(piece, TokenSpan)]

    @property
    def token_ids(self) -> list[int]:
        """All token ids in order, media left out."""
        return [token_id for stretch in self.token_spans for token_id in stretch.ids]

    def length(self, soft_tokens: int) -> int:
        """Positions in the LLM, with ``soft_tokens`` for each medium."""
        return sum(len(piece.ids) if isinstance(piece, TokenSpan) else soft_tokens for piece in self.pieces)

    def cache_keys(self, soft_tokens: int) -> list[Hashable]:
        """One key a position: the token id, or (digest, k) for soft token k of a medium. Equal keys, equal content."""
        return [
            key
            for piece in self.pieces
            for key in (
                piece.ids
                if isinstance(piece, TokenSpan)
                else ((piece.medium.digest, k) for k in range(soft_tokens))
            )
        ]


_Piece = tuple[str | int | Medium, bool]
"""Words, the id of a marker or signal token, or a given medium; and whether the assistant says it."""


@dataclass(frozen=True)
class PromptBuilder:
    """Lays conversations out by a template.

    Before, as messages::

        user: "What is" <picture> "?"    assistant: "A cat, look:" <picture made>    user: "Thanks"

    after, with ``nano``'s template and ``add_generation_prompt``::

        <|user|> What is [slot] ? <|end|> <|assistant|> A cat, look: [IMG0][IMG1][IMG2][IMG3] <|end|>
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
        """Lay out a conversation.

        ``add_generation_prompt`` opens a turn of the assistant at the end. ``is_edit`` says whether a medium that the assistant
        made was an edit, which its run then says too.
        """
        atoms = self._conversation_pieces(conversation, add_generation_prompt, is_edit)
        return Prompt(tuple(_merge_spans(self._encode(_join_text(atoms)))))

    def _conversation_pieces(
        self, conversation: Conversation, add_generation_prompt: bool, is_edit: Callable[[Medium], bool]
    ) -> Iterator[_Piece]:
        roles = [message.role for message in conversation]
        turn_delimiters = self.template.turn_delimiters(roles, add_generation_prompt=add_generation_prompt)
        yield from self._template_pieces(turn_delimiters[0])
        for message, delimiter in zip(conversation, turn_delimiters[1:], strict=True):
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
                yield from ((token_id, True) for token_id in (*edit, *self.signals.span_ids(part.modality)))
            else:
                yield from self._template_pieces(self.template.media_prefix.replace(MODALITY, part.modality))
                yield part, False
                yield from self._template_pieces(self.template.media_suffix.replace(MODALITY, part.modality))

    def _template_pieces(self, text: str, in_loss: bool = False) -> Iterator[_Piece]:
        return ((piece, in_loss) for piece in self.tokenizer.split_special_tokens(text))

    def _encode(self, atoms: Iterator[_Piece]) -> Iterator[TokenSpan | MediaPlaceholder]:
        for content, in_loss in atoms:
            if isinstance(content, str):
                yield TokenSpan(tuple(self.tokenizer.encode(content)), in_loss)
            elif isinstance(content, int):
                yield TokenSpan((content,), in_loss)
            else:
                yield MediaPlaceholder(content)


def _join_text(atoms: Iterator[_Piece]) -> Iterator[_Piece]:
    """Join words that stand side by side, so that they are tokenized as one text.

    Words of the assistant stay apart from the template's, as they do while it speaks.
    """
    words, is_spoken = "", False
    for content, in_loss in atoms:
        if words and not (isinstance(content, str) and in_loss == is_spoken):
            yield words, is_spoken
            words = ""
        if isinstance(content, str):
            words, is_spoken = words + content, in_loss
        else:
            yield content, in_loss
    if words:
        yield words, is_spoken


def _merge_spans(pieces: Iterator[TokenSpan | MediaPlaceholder]) -> Iterator[TokenSpan | MediaPlaceholder]:
    """Join stretches of tokens that stand side by side and are alike."""
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
