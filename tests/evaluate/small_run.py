"""A small run with items of every modality, for the tests of what reads runs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nextgpt.conversation_file import MediumEntry, TextEntry
from nextgpt.evaluate.standard.items import EvalItem, medium, user_message
from nextgpt.evaluate.standard.records import ItemRecord
from nextgpt.evaluate.standard.run_folder import RunFolder, RunManifest, create_run, data_fingerprint
from nextgpt.media.types import Audio, Video
from nextgpt.testing.scripted_model import tiny_image

COLOURS = {"truth": (40, 90, 220), "direct": (60, 130, 220), "cascade": (220, 120, 40), "shuffled": (120, 120, 120)}
KINDS = ("image", "audio", "video", "text", "image", "audio", "video", "text")


def make_medium(kind: str, colour: tuple[int, int, int]) -> Any:
    """Return a small medium that differs by colour, or by pitch."""
    if kind == "image":
        return tiny_image(colour)
    if kind == "audio":
        samples = np.sin(np.arange(16_000, dtype=np.float32) * colour[0] / 800)[None] * np.float32(0.3)
        return Audio(samples, sample_rate_hz=16_000)
    frames = np.zeros((8, 32, 32, 3), np.uint8)
    for index in range(8):
        frames[index, :, 4 * index : 4 * index + 4] = colour
    return Video(frames, fps=8.0)


def make_run(path: Path, systems: tuple[str, ...] = ("cascade", "direct"), *, has_truth: bool = True) -> RunFolder:
    """Write a run with items of every modality, and their data beside it."""
    data = path.parent / "data"
    data.mkdir(parents=True, exist_ok=True)
    items = []
    for index, kind in enumerate(KINDS):
        true = make_medium("image" if kind == "text" else kind, COLOURS["truth"]).save(data / f"{index:02d}")
        entry = MediumEntry(type="image" if kind == "text" else kind, path=true.name)
        is_text = kind == "text"
        request = user_message("What is this?", entry) if is_text else user_message(f"Make a {kind} of thing {index}.")
        items.append(
            EvalItem(
                id=f"item-{index}",
                suite="small",
                request=request,
                target_caption="" if is_text else f"thing {index}",
                references=(f"It is thing {index}.",) if is_text and has_truth else (),
                reference_media=() if is_text or not has_truth else (entry,),
                expected_modalities=() if is_text else (kind,),
            )
        )
    manifest = RunManifest(
        suite="small", protocol="A test.", model="none", seed=0, limit=8, batch_size=4, data=str(data),
        data_fingerprint=data_fingerprint(items, data),
    )  # fmt: skip
    run = create_run(path, manifest, items)
    for system in systems:
        run.append(system, [_record(run, system, item, kind) for item, kind in zip(items, KINDS, strict=True)])
    return run


def _record(run: RunFolder, system: str, item: EvalItem, kind: str) -> ItemRecord:
    parts: tuple[Any, ...] = (TextEntry(type="text", text=f"Here is the {kind}."),)
    if kind != "text":
        folder = run.system_dir(system) / "media" / item.id
        folder.mkdir(parents=True)
        file = make_medium(kind, COLOURS[system]).save(folder / "00")
        parts = (*parts, medium(kind, str(file.relative_to(run.system_dir(system)))))
    return ItemRecord(id=item.id, parts=parts)
