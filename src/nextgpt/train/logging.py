"""Metrics of a run: JSON lines always; TensorBoard, wandb or trackio on request, by accelerate's trackers."""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from nextgpt.atomic_files import write_atomically
from nextgpt.errors import ConfigError
from nextgpt.message import Audio, Image, Part, Text, Video
from nextgpt.train.config import Tracker, TrainerConfig

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

MetricsCallback = Callable[[dict[str, float]], None]
PROJECT = "nextgpt"
Item = TypeVar("Item")


class Trackers:
    """The trackers of a run; none outside the main process."""

    def __init__(self, names: Sequence[Tracker], folder: Path, settings: Mapping[str, Any]) -> None:
        for name in names:
            if importlib.util.find_spec(name) is None:
                raise ConfigError(
                    f"engine.report_to names {name}, which is not installed; expected an installed tracker. "
                    f"Install it (pip install {name}), or remove it from the list."
                )
        self.trackers = [_start_tracker(name, folder) for name in names]
        for tracker in self.trackers:
            tracker.store_init_configuration(dict(_flatten_config(settings)))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Log the numbers of a step."""
        for tracker in self.trackers:
            tracker.log(dict(values), step=step)

    def log_samples(self, samples: Mapping[str, Sequence[Part]], step: int) -> None:
        """Log sample replies by name, to TensorBoard alone: images, audio, video frames and text."""
        for tracker in self.trackers:
            if tracker.name == "tensorboard":
                for name, parts in samples.items():
                    for number, part in enumerate(parts):
                        _log_part(tracker.writer, f"{name}/{number}", part, step)
                tracker.writer.flush()

    def finish(self) -> None:
        """Close the trackers."""
        for tracker in self.trackers:
            tracker.finish()


def _start_tracker(name: Tracker, folder: Path) -> GeneralTracker:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    kind = LOGGER_TYPE_TO_CLASS[name]
    tracker = kind(PROJECT, folder) if kind.requires_logging_directory else kind(PROJECT)
    tracker.start()
    return tracker


def _flatten_config(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield settings by dotted name, as trackers take them."""
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _flatten_config(value, f"{prefix}{name}.")
        elif value is not None:
            yield prefix + name, value if isinstance(value, int | float | str | bool) else str(value)


def _log_part(writer: Any, tag: str, part: Part, step: int) -> None:
    if isinstance(part, Text):
        writer.add_text(tag, part.text, step)
    elif isinstance(part, Image):
        writer.add_image(tag, np.asarray(part.image.convert("RGB")), step, dataformats="HWC")
    elif isinstance(part, Audio):
        writer.add_audio(tag, part.samples.mean(axis=0, keepdims=True), step, sample_rate=part.sample_rate_hz)
    elif isinstance(part, Video):
        writer.add_images(tag, part.frames, step, dataformats="NHWC")


class MetricsLogger:
    """Writes metrics to a file, to trackers and to a callback; measures the time spent waiting for data.

    Args:
        path: ``metrics.jsonl``; None outside the main process.
    """

    def __init__(
        self,
        path: Path | None,
        first_step: int,
        config: TrainerConfig,
        trackers: Trackers,
        on_metrics: MetricsCallback | None,
    ) -> None:
        self.path, self.config, self.trackers, self.on_metrics = path, config, trackers, on_metrics
        self.last_time, self.last_step, self.waiting_s = time.monotonic(), first_step, 0.0
        if path is not None:
            truncate_metrics(first_step, path)

    def timed_next(self, stream: Iterator[Item]) -> Item:
        """Return the next item and add the time it took to the waiting time."""
        started = time.monotonic()
        item = next(stream)
        self.waiting_s += time.monotonic() - started
        return item

    def log(self, step: int, values: Mapping[str, float], *, is_last: bool) -> None:
        """Write a line every ``log_steps`` steps and at the end."""
        is_due = step % self.config.log_steps == 0 or step == self.config.max_steps or is_last
        if self.path is None or not is_due:
            return
        now = time.monotonic()
        seconds = max(now - self.last_time, 1e-9)
        line = {
            **values,
            "step": step,
            "samples_per_s": (step - self.last_step) * self.config.batch_size / seconds,
            "waiting_share": self.waiting_s / seconds,
        }
        self.last_time, self.last_step, self.waiting_s = now, step, 0.0
        with self.path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        self.trackers.log({name: value for name, value in line.items() if name != "step"}, step)
        if self.on_metrics is not None:
            self.on_metrics(line)


def truncate_metrics(step: int, path: Path) -> None:
    """Remove the lines after ``step``, which a resumed run logs again, and a line that a kill cut off."""
    if not path.is_file():
        return
    lines = path.read_text().splitlines(keepends=True)
    kept = [line for line in lines if line.endswith("\n") and json.loads(line)["step"] <= step]
    write_atomically(path, lambda file: file.write_text("".join(kept)))
