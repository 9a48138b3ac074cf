"""Names of systems, and what they are made of. A new system is a row of :data:`SYSTEMS`.

Heavy modules are imported when a system is created: scoring a finished run creates none.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.evaluate.standard.item_systems.base import ChatModel, ChatSystem, ItemSystem
from nextgpt.evaluate.standard.items import EvalItem

if TYPE_CHECKING:
    import nextgpt.evaluate.standard.cascade_model
    import nextgpt.model.nextgpt


@dataclass(frozen=True)
class EvaluatedModel:
    """The evaluated model and its cascade, loaded on first use; several suites share them."""

    name: str
    num_inference_steps: int | None = None

    @cached_property
    def direct(self) -> nextgpt.model.nextgpt.NextGPT:
        """The model with its projections."""
        from nextgpt.model.nextgpt import NextGPT

        return NextGPT.from_pretrained(self.name)

    @cached_property
    def cascade(self) -> nextgpt.evaluate.standard.cascade_model.Cascade:
        """Cascade of the model's components."""
        from nextgpt.evaluate.standard.cascade_model import Cascade

        return Cascade.from_pretrained(self.name, self.direct, self.num_inference_steps)


@dataclass(frozen=True)
class SystemContext:
    """Model and settings from which systems are created."""

    model: EvaluatedModel
    data: Path
    items: Sequence[EvalItem]

    def chat_system(self, model: ChatModel) -> ChatSystem:
        """Return the system of a chat model."""
        return ChatSystem(model, self.data, self.model.num_inference_steps)


def _true_caption(context: SystemContext, _: str) -> ItemSystem:
    from nextgpt.evaluate.standard.item_systems.true_caption import TrueCaptionSystem

    return TrueCaptionSystem(context.model.cascade, context.model.num_inference_steps)


def _truth(context: SystemContext, _: str) -> ItemSystem:
    from nextgpt.evaluate.standard.item_systems.truth import TruthSystem

    return TruthSystem(context.data)


def _shuffled(context: SystemContext, _: str) -> ItemSystem:
    from nextgpt.evaluate.standard.item_systems.truth import ShuffledSystem

    return ShuffledSystem(context.data, context.items)


def _unchanged(context: SystemContext, _: str) -> ItemSystem:
    from nextgpt.evaluate.standard.item_systems.truth import UnchangedSystem

    return UnchangedSystem(context.data)


def _pipeline(context: SystemContext, url: str) -> ItemSystem:
    from nextgpt.evaluate.standard.item_systems.openai_endpoint import OpenAIEndpoint
    from nextgpt.evaluate.standard.item_systems.pipeline import Pipeline

    cascade = context.model.cascade
    return context.chat_system(Pipeline(OpenAIEndpoint(url), cascade.captioner, cascade.synthesizer))


def _openai(context: SystemContext, url: str) -> ItemSystem:
    from nextgpt.evaluate.standard.item_systems.openai_endpoint import OpenAIChat, OpenAIEndpoint

    return context.chat_system(OpenAIChat(OpenAIEndpoint(url)))


SYSTEMS: Mapping[str, Callable[[SystemContext, str], ItemSystem]] = {
    "direct": lambda context, _: context.chat_system(context.model.direct),
    "cascade": lambda context, _: context.chat_system(context.model.cascade),
    "true-caption": _true_caption,
    "truth": _truth,
    "shuffled": _shuffled,
    "unchanged": _unchanged,
    "pipeline": _pipeline,
    "openai": _openai,
}
"""Creates each system from the context and what follows its name after a colon."""
WITH_URL = ("pipeline", "openai")


def create_system(name: str, context: SystemContext) -> ItemSystem:
    """Create a system by its name, such as ``cascade`` or ``openai:URL``. Raises :class:`ConfigError`."""
    check_system(name)
    kind, _, url = name.partition(":")
    return SYSTEMS[kind](context, url)


def check_system(name: str) -> None:
    """Raise :class:`ConfigError` if the name is unknown or lacks its URL."""
    kind, _, url = name.partition(":")
    if kind not in SYSTEMS:
        known = [f"{known}:URL" if known in WITH_URL else known for known in SYSTEMS]
        raise ConfigError(unknown_name_message("system", name, known))
    if (kind in WITH_URL) != bool(url):
        expected = f"{kind}:http://HOST:PORT/v1" if kind in WITH_URL else kind
        raise ConfigError(f"got the system {name!r}; expected {expected}.")
