"""One turn, for people or for programs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from nextgpt.cli import loading
from nextgpt.cli.screen import standard_screen
from nextgpt.cli.start import Start
from nextgpt.message import Reply, Text

STEPS = ("encoding", "llm", "output_projection", "image", "audio", "video")
"""What is timed, in the order of the path."""


def show(start: Start, text: str) -> None:
    """Take one turn and show it as it comes."""
    screen = standard_screen()
    with screen.waiting("loading the model"):
        model = loading.load(start.model, start.placement).model
    screen.tell(model.stream(start.say(text), start.sampling), start.folder)


def report(start: Start, text: str) -> dict[str, Any]:
    """Take one turn and give it as plain values."""
    loaded = loading.load(start.model, start.placement)
    reply = loaded.model.chat(start.say(text), start.sampling)
    return {
        "model": start.model,
        "seed": reply.seed,
        "parts": _parts(reply, reply.save(start.folder)),
        "dropped": list(reply.dropped),
        "timings_s": _timings_s(reply, loaded.seconds),
    }


def _parts(reply: Reply, paths: Sequence[Path]) -> list[dict[str, str]]:
    """Words and paths in speaking order; ``paths`` are those of the media, in order."""
    left = iter(paths)
    return [
        {"type": "text", "text": part.text}
        if isinstance(part, Text)
        else {"type": part.modality, "path": str(next(left))}
        for part in reply.parts
    ]


def _timings_s(reply: Reply, load_s: float) -> dict[str, float]:
    """Seconds of every step; one that was not taken took none. The total is that of the steps, loading included."""
    steps = {"load": load_s} | {step: reply.timings_s.get(step, 0.0) for step in STEPS}
    return {step: round(seconds, 4) for step, seconds in {**steps, "total": sum(steps.values())}.items()}
