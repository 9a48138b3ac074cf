"""What a run tells while it goes: a line of JSON always, and TensorBoard, wandb or trackio where they are asked for.

Trackers are accelerate's. Samples go to TensorBoard as pictures, sounds, frames of films and words.
"""

from __future__ import annotations

import importlib.util
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from nextgpt.errors import ConfigError
from nextgpt.message import Audio, Image, Part, Text, Video
from nextgpt.train.fit import TrainerConfig, truncate_metrics
from nextgpt.train.settings import Tracker

if TYPE_CHECKING:
    from accelerate.tracking import GeneralTracker

PROJECT = "nextgpt"


class Trackers:
    """The trackers of a run; none in any process but the main one."""

    def __init__(self, names: Sequence[Tracker], folder: Path, settings: Mapping[str, Any]) -> None:
        for name in names:
            if importlib.util.find_spec(name) is None:
                raise ConfigError(
                    f"engine.report_to names {name}, which is not installed; expected an installed tracker. "
                    f"Install it (pip install {name}), or leave it out."
                )
        self.trackers = [_started(name, folder) for name in names]
        for tracker in self.trackers:
            tracker.store_init_configuration(dict(_flat(settings)))

    def log(self, values: Mapping[str, float], step: int) -> None:
        """Tell numbers of a step."""
        for tracker in self.trackers:
            tracker.log(dict(values), step=step)

    def show(self, samples: Mapping[str, Sequence[Part]], step: int) -> None:
        """Show what the model in training made, by name; TensorBoard alone shows it."""
        for tracker in self.trackers:
            if tracker.name == "tensorboard":
                for name, parts in samples.items():
                    for number, part in enumerate(parts):
                        _show(tracker.writer, f"{name}/{number}", part, step)
                tracker.writer.flush()

    def finish(self) -> None:
        """Close them."""
        for tracker in self.trackers:
            tracker.finish()


def _started(name: Tracker, folder: Path) -> GeneralTracker:
    from accelerate.tracking import LOGGER_TYPE_TO_CLASS

    kind = LOGGER_TYPE_TO_CLASS[name]
    tracker = kind(PROJECT, folder) if kind.requires_logging_directory else kind(PROJECT)
    tracker.start()
    return tracker


def _flat(settings: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Settings as trackers take them: one level, plain values."""
    found: list[tuple[str, Any]] = []
    for name, value in settings.items():
        if isinstance(value, Mapping):
            found += _flat(value, f"{prefix}{name}.")
        elif value is not None:
            found.append(
                (prefix + name, value if isinstance(value, int | float | str | bool) else str(value))
            )
    return found


def _show(writer: Any, tag: str, part: Part, step: int) -> None:
    if isinstance(part, Text):
        writer.add_text(tag, part.text, step)
    elif isinstance(part, Image):
        writer.add_image(tag, np.asarray(part.image.convert("RGB")), step, dataformats="HWC")
    elif isinstance(part, Audio):
        writer.add_audio(tag, part.samples.mean(axis=0, keepdims=True), step, sample_rate=part.sample_rate_hz)
    elif isinstance(part, Video):
        writer.add_images(tag, part.frames, step, dataformats="NHWC")


class Log:
    """Metrics as JSON lines, to trackers and to whoever watches; measures the time that is spent on waiting for data.

    Args:
        path: ``metrics.jsonl``; the main process alone has one.
    """

    def __init__(
        self,
        path: Path | None,
        first: int,
        config: TrainerConfig,
        trackers: Trackers,
        report: Callable[[dict[str, float]], None] | None,
    ) -> None:
        self.path, self.config, self.trackers, self.report = path, config, trackers, report
        self.started, self.last, self.waiting_s = time.monotonic(), first, 0.0
        if path is not None:
            truncate_metrics(first, path)

    def waited(self, take: Callable[[], Any]) -> Any:
        """What ``take`` gives; the time that it takes is remembered."""
        started = time.monotonic()
        share = take()
        self.waiting_s += time.monotonic() - started
        return share

    def tell(self, done: int, values: Mapping[str, float], *, is_last: bool) -> None:
        """Write a line every ``log_every`` steps and at the end."""
        is_due = done % self.config.log_steps == 0 or done == self.config.max_steps or is_last
        if self.path is None or not is_due:
            return
        now = time.monotonic()
        seconds = max(now - self.started, 1e-9)
        line = {
            **values,
            "step": done,
            "samples_per_s": (done - self.last) * self.config.batch_size / seconds,
            "waiting_share": self.waiting_s / seconds,
        }
        self.started, self.last, self.waiting_s = now, done, 0.0
        with self.path.open("a") as metrics:
            metrics.write(json.dumps(line) + "\n")
        self.trackers.log({name: value for name, value in line.items() if name != "step"}, done)
        if self.report is not None:
            self.report(line)
