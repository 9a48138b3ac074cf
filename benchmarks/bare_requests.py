"""Messages that are the name of one object: how many are answered with an image of it.

    python benchmarks/bare_requests.py small [--json]

Of each object's image, only its description in the answer is read, so the row is about the LLM and not about synthesis.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Mapping, Sequence

from nextgpt import Conversation, NextGPT
from nextgpt.logging import silence_libraries
from nextgpt.message import Reply, Sampling
from nextgpt.miniworld.language.description_parser import parse_descriptions
from nextgpt.miniworld.language.lexicon import indefinite, noun
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import SceneSpec

FORMS: Mapping[str, Callable[[str], str]] = {
    "cat": lambda name: name,
    "a cat": lambda name: indefinite(noun(name)),
    "Draw a cat.": lambda name: f"Draw {indefinite(noun(name))}.",
}
"""Message for the name of an object, by its form for a cat."""
BATCH_SIZE = 16


def measure(model_name: str, names: Sequence[str]) -> dict[str, int]:
    """Return how many of the objects ``names`` are answered with an image of them, by form of the message."""
    model = NextGPT.from_pretrained(model_name)
    counts = {}
    for form, message in FORMS.items():
        conversations = [Conversation().with_message(message(name)) for name in names]
        replies: list[Reply] = []
        for start in range(0, len(names), BATCH_SIZE):
            replies += model.chat_batch(conversations[start : start + BATCH_SIZE], Sampling(max_tokens=40))
        counts[form] = sum(_is_image_of(reply, name) for reply, name in zip(replies, names, strict=True))
    return counts


def _is_image_of(reply: Reply, name: str) -> bool:
    specs = parse_descriptions(reply.text)
    is_scene = len(specs) == 1 and isinstance(specs[0], SceneSpec)
    modalities = [medium.modality for medium in reply.message.media]
    return is_scene and modalities == ["image"] and [obj.object for obj in specs[0].objects] == [name]


def main() -> None:
    """Print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="small")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    silence_libraries()
    counts = measure(options.model, tuple(OBJECTS))
    if options.json:
        print(json.dumps(counts, indent=2))
        return
    print("message", f"of {len(OBJECTS)}", sep=" | ")
    for form, count in counts.items():
        print(form, count, sep=" | ")


if __name__ == "__main__":
    main()
