"""Request and answer of ``POST /v1/completions``: text alone, for clients that know no chat."""

from __future__ import annotations

import secrets
import time
from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field

from nextgpt.serve.engine.base import RequestOutput
from nextgpt.serve.protocol.chat import ChatMessage, ChatRequest, OpenAIModel, Seed, StreamOptions, TokenLimit
from nextgpt.serve.protocol.chat_completion import Completion, FinishReason, Usage, build_usage
from nextgpt.serve.protocol.media import ShortText


class CompletionRequest(OpenAIModel):
    """Texts to answer. Each is one message of a user, because the model is trained on conversations."""

    model: str
    prompt: ShortText | Annotated[list[ShortText], Field(min_length=1, max_length=16)]
    n: int = Field(1, ge=1)
    seed: Seed | None = None
    temperature: float = Field(0.0, ge=0, le=2)
    top_p: float = Field(1.0, ge=0, le=1)
    max_tokens: TokenLimit | None = None
    stop: str | Annotated[list[str], Field(max_length=16)] = Field(default_factory=list)
    stream: bool = False
    stream_options: StreamOptions = Field(default_factory=StreamOptions)

    @property
    def prompts(self) -> list[str]:
        """The prompts."""
        return [self.prompt] if isinstance(self.prompt, str) else self.prompt

    def to_chat(self, prompt: str) -> ChatRequest:
        """Return the chat request for one of the prompts."""
        return ChatRequest(
            model=self.model,
            messages=[ChatMessage(role="user", content=prompt)],
            modalities=["text"],
            n=self.n,
            seed=self.seed,
            temperature=self.temperature,
            top_p=self.top_p,
            max_tokens=self.max_tokens,
            stop=self.stop,
        )


class CompletionChoice(BaseModel):
    """A text, or a piece of it in a stream."""

    index: int
    text: str
    finish_reason: FinishReason | None
    logprobs: None = None


class TextCompletion(Completion):
    """Answer of ``/v1/completions``, or an event of its stream."""

    object: Literal["text_completion"] = "text_completion"
    choices: list[CompletionChoice]
    usage: Usage | None = None


class TextCompletionBuilder:
    """Builds one answer or the chunks of one stream, all with the same id."""

    def __init__(self, model: str) -> None:
        completion_id = f"cmpl-{secrets.token_hex(16)}"
        self._fields: dict[str, Any] = {"id": completion_id, "created": int(time.time()), "model": model}

    def completion(self, outputs: Sequence[RequestOutput]) -> TextCompletion:
        """Build the answer from the output of each choice."""
        choices = [
            CompletionChoice(index=index, text=output.reply.text, finish_reason=output.finish_reason)
            for index, output in enumerate(outputs)
        ]
        return TextCompletion(choices=choices, usage=build_usage(outputs), **self._fields)

    def chunk(self, index: int, text: str, finish_reason: FinishReason | None = None) -> TextCompletion:
        """Build a chunk of one choice."""
        choice = CompletionChoice(index=index, text=text, finish_reason=finish_reason)
        return TextCompletion(choices=[choice], **self._fields)

    def usage_chunk(self, outputs: Sequence[RequestOutput]) -> TextCompletion:
        """Build the last chunk, which has the usage and no choice."""
        return TextCompletion(choices=[], usage=build_usage(outputs), **self._fields)
