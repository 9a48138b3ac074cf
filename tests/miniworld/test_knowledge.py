"""The description of what nano knows is complete, and its examples work."""

from __future__ import annotations

import pytest

from nextgpt import NextGPT
from nextgpt.miniworld.judge.media_judge import recognize_media
from nextgpt.miniworld.knowledge import EXAMPLES, knowledge_of
from nextgpt.miniworld.specs import ClipSpec, MediaSpec, ObjectSpec, SceneSpec, SoundSpec

# A red car has its natural color.
EXPECTED: dict[str, dict[str, object]] = {
    "Draw a red car on grass.": {"object": "car", "tint": "natural", "background": "grass"},
    "Play a flute.": {"source": "flute"},
    "Play a high piano.": {"source": "piano", "pitch": "high"},
    "Make a video of a green ball moving to the right.": {"object": "soccer ball", "tint": "green", "motion": "right"},
}


def values(spec: MediaSpec) -> dict[str, object]:
    """The attributes of a medium with one object or sound."""
    return vars(spec.objects[0]) | vars(spec) if isinstance(spec, SceneSpec) else vars(spec)


def test_only_embedded_models_are_described():
    assert knowledge_of("paper") is None
    lines = list(knowledge_of("nano").lines())
    assert lines[0].startswith("objects (")
    assert lines[-1].strip() == EXAMPLES[-1]


@pytest.mark.slow
def test_nano_follows_every_example():
    replies = NextGPT.from_pretrained("nano").chat_batch(EXAMPLES)
    specs = {text: recognize_media(reply.message.media) for text, reply in zip(EXAMPLES, replies, strict=True)}
    for text, expected in EXPECTED.items():
        [spec] = specs[text]
        assert expected.items() <= values(spec).items(), (text, spec)
        assert isinstance(spec, SceneSpec | SoundSpec | ClipSpec)
    [two] = specs["Draw a blue dog on the left and a yellow cat on the right."]
    dog, cat = ObjectSpec("dog", "blue", "left", "small"), ObjectSpec("cat", "yellow", "right", "small")
    assert set(two.objects) == {dog, cat}
