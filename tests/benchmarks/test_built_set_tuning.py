"""Held-out requests are answered with the history of the set, and judged by the modalities of the reply."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from benchmarks.built_set_tuning import modality_outcomes

from nextgpt.data.record import Dialogue, MediaFile, Turn
from nextgpt.message import Conversation, Reply, Sampling, Text
from nextgpt.testing.scripted_model import tiny_image


class ImageModel:
    """Answers every request with an image."""

    def __init__(self) -> None:
        self.received: list[Conversation] = []

    def chat_batch(self, conversations: Sequence[Conversation], sampling: Sampling) -> list[Reply]:
        self.received += conversations
        return [Reply((Text("Here."), tiny_image()), 0) for _ in conversations]


def test_each_request_of_a_dialogue_is_judged_with_its_history(tmp_path: Path) -> None:
    tiny_image().save(tmp_path / "a.png")
    image = MediaFile("image", tmp_path / "a.png", caption="a red car")
    turns = (
        Turn("user", ("Draw a red car.",)),
        Turn("assistant", ("Here.", image)),
        Turn("user", ("What is it?",)),
        Turn("assistant", ("A car.",)),
    )
    model = ImageModel()
    assert modality_outcomes(model, [Dialogue("1", turns)]) == [True, False]  # type: ignore[arg-type]
    assert [len(conversation) for conversation in model.received] == [1, 3]
    assert [part.modality for part in model.received[1].messages[1].media] == ["image"]
