"""Conversations in which every modality is given, made and edited."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor

from nextgpt.message import Conversation
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video
from nextgpt.train.alignment import Example

QUERIES, CONDITION_WIDTH = 6, 16
"""Of the conditions of :func:`nextgpt.testing.tiny_model`."""


@pytest.fixture
def targets() -> Callable[[str, Sequence[str]], Tensor]:
    """What text encoders would say: numbers that depend on modality and caption alone."""

    def say(modality: str, captions: Sequence[str]) -> Tensor:
        seeds = [sum(f"{modality}: {caption}".encode()) for caption in captions]
        generators = [torch.Generator().manual_seed(seed) for seed in seeds]
        return torch.stack([torch.randn(QUERIES, CONDITION_WIDTH, generator=g) for g in generators])

    return say


@pytest.fixture
def examples() -> list[Example]:
    """Two conversations: questions about media, and requests for media, one of them an edit."""
    asked = (
        Conversation()
        .with_message(["What is this?", tiny_image(), "And this?", tiny_audio()])
        .with_message("A red square, and a tone.", role="assistant")
        .with_message([tiny_video(), "And this?"])
        .with_message("It is getting bright.", role="assistant")
    )
    made = (
        Conversation()
        .with_message("Draw a cat")
        .with_message(["Here it is.", tiny_image((0, 255, 0))], role="assistant")
        .with_message("Make it blue, with its sound and a film")
        .with_message([tiny_image((0, 0, 255)), "There.", tiny_audio(), tiny_video()], role="assistant")
    )
    captions = ("cat center", "blue cat center", "cat sound", "cat moving left")
    return [Example(asked), Example(made, captions, edits=frozenset({1}))]
