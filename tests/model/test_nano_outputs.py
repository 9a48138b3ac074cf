"""nano answers a few requests as it did when its weights were embedded.

``nano_outputs.json`` holds the texts, and of each medium its means over blocks (images and videos, 0 to 255) or the RMS
of 16 segments (audio, times 255). Whoever embeds new weights records them anew, in the same commit.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nextgpt import Audio, Conversation, Image, NextGPT, Sampling, Video
from nextgpt.message import Medium

CONVERSATIONS = json.loads((Path(__file__).parent / "nano_outputs.json").read_text())
TOLERANCE = 2.0
"""On a scale of 255: batches and numbers of threads round sums differently."""


@pytest.fixture(scope="module")
def nano() -> NextGPT:
    return NextGPT.from_pretrained("nano")


@pytest.mark.parametrize("turns", CONVERSATIONS, ids=[turns[0]["user"] for turns in CONVERSATIONS])
def test_nano_answers_as_recorded(nano: NextGPT, turns: list[dict[str, Any]]):
    conversation = Conversation()
    for turn in turns:
        conversation = conversation.with_message(turn["user"])
        reply = nano.chat(conversation, sampling=Sampling(seed=turn["seed"]))
        conversation = conversation.with_reply(reply)
        media = [*reply.images, *reply.audios, *reply.videos]
        assert reply.text == turn["text"]
        assert len(media) == len(turn["media"])
        for medium, expected in zip(media, turn["media"], strict=True):
            np.testing.assert_allclose(block_means(medium), expected, atol=TOLERANCE)


def block_means(medium: Medium) -> np.ndarray:
    """Summarize an image in 4 x 4 blocks, a video in 2 x 2 blocks of every fifth frame, audio in 16 segments."""
    if isinstance(medium, Image):
        side = medium.image.width // 4
        return np.asarray(medium.image, np.float64).reshape(4, side, 4, side, 3).mean((1, 3)).ravel()
    if isinstance(medium, Video):
        return medium.frames.reshape(-1, 2, 32, 2, 32, 3).mean((2, 4))[::5].ravel()
    assert isinstance(medium, Audio)
    segments = medium.samples[0].astype(np.float64)
    return np.sqrt((segments[: len(segments) // 16 * 16].reshape(16, -1) ** 2).mean(1)) * 255
