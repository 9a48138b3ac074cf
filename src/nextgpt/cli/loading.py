"""A model that is loaded while the person types."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from nextgpt.cli.memory import Placement
from nextgpt.message import Conversation, Event, Reply, Sampling

QUIET = {
    "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    "TRANSFORMERS_VERBOSITY": "error",
    "DIFFUSERS_VERBOSITY": "error",
}
"""What keeps libraries from writing between the words of the chat; a setting of the person's own wins."""


@runtime_checkable
class Chatter(Protocol):
    """The little of a model that a chat needs."""

    def stream(self, says: Conversation, sampling: Sampling) -> Iterator[Event]:
        """Answer a conversation, event by event."""
        ...

    def chat(self, says: Conversation, sampling: Sampling) -> Reply:
        """Answer a conversation."""
        ...


@dataclass(frozen=True)
class Loaded:
    """A model, and the seconds that it took to import and read."""

    model: Chatter
    seconds: float


def keep_libraries_quiet() -> None:
    """Ask libraries that are imported from here on to print nothing."""
    for setting, value in QUIET.items():
        os.environ.setdefault(setting, value)


def load(name: str, placement: Placement = Placement()) -> Loaded:
    """Load a model. Raises :class:`~nextgpt.errors.ModelError`."""
    start = time.perf_counter()
    keep_libraries_quiet()
    from nextgpt import NextGPT

    model = NextGPT.from_pretrained(name, **placement.options())
    return Loaded(model, time.perf_counter() - start)


@contextmanager
def loading(name: str, placement: Placement = Placement()) -> Iterator[Callable[[], Loaded]]:
    """Load a model in the background; what is yielded waits for it, and raises what loading raised."""
    with ThreadPoolExecutor(max_workers=1) as pool:
        yield pool.submit(load, name, placement).result
