"""Checkpoints of a run: each is a complete folder or does not exist; the latest few are kept.

::

    step-00000200/
      trained.safetensors      every trained parameter
      average.safetensors      their moving average, if fit.ema_decay is set
      optimizers.safetensors   moments by optimizer, parameter and name
      state.json               step, and the optimizer state that is not tensors

The position in the data and the random numbers need no file: both are functions of the step.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nextgpt.atomic_files import flush
from nextgpt.errors import ModelError

Export = Callable[[Path], None]
"""Writes further files into a checkpoint folder, such as the model."""


@dataclass(frozen=True)
class TrainingState:
    """Checkpoint contents besides the trained weights."""

    optimizers: Sequence[Mapping[str, Any]]
    """State dicts."""
    average: Mapping[str, Tensor] = field(default_factory=dict)
    """Moving average by parameter name; empty without one."""


@dataclass(frozen=True)
class CheckpointManager:
    """The checkpoints in a folder."""

    folder: Path
    save_total_limit: int
    export: Export = lambda folder: None

    @property
    def latest(self) -> Path | None:
        """Return the last complete checkpoint."""
        return max(self.folder.glob("step-????????"), default=None)

    def save(self, step: int, trained: Mapping[str, nn.Parameter], state: TrainingState) -> None:
        """Write the state after ``step`` steps, then delete the oldest checkpoints.

        Raises:
            ModelError: It cannot be written; the last checkpoint stays.
        """
        try:
            self._save(step, trained, state)
        except (OSError, SafetensorError) as error:
            kept = self.latest
            raise ModelError(
                f"The checkpoint of step {step} cannot be written to {self.folder} ({error}); expected enough space "
                f"and the right to write. Free some space and run the command again: it continues from "
                f"{kept.name if kept else 'the beginning'}."
            ) from error

    def _save(self, step: int, trained: Mapping[str, nn.Parameter], state: TrainingState) -> None:
        unfinished = self.folder / ".unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        _save_tensors(trained, unfinished / "trained.safetensors")
        if state.average:
            _save_tensors(state.average, unfinished / "average.safetensors")
        tensors, plain = _flatten_optimizers(state.optimizers)
        _save_tensors(tensors, unfinished / "optimizers.safetensors")
        (unfinished / "state.json").write_text(json.dumps({"step": step, "optimizers": plain}))
        self.export(unfinished)
        _fsync_files(unfinished)
        target = self.folder / f"step-{step:08d}"
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
        flush(self.folder)
        for old in sorted(self.folder.glob("step-????????"))[: -self.save_total_limit]:
            obsolete = self.folder / ".obsolete"  # a folder that is half deleted must not look like a checkpoint
            shutil.rmtree(obsolete, ignore_errors=True)
            old.rename(obsolete)
            shutil.rmtree(obsolete)

    def resume(self, trained: Mapping[str, nn.Parameter]) -> tuple[int, TrainingState | None]:
        """Load the latest weights into ``trained``; return the number of completed steps and the other state.

        Raises:
            ModelError: The checkpoint holds other parameters.
        """
        folder = self.latest
        if folder is None:
            return 0, None
        tensors = load_file(folder / "trained.safetensors")
        mismatched = sorted({name for name, _ in _shapes(tensors) ^ _shapes(trained)})
        if mismatched:
            raise ModelError(
                f"{folder} holds other parameters than this run trains (such as {', '.join(mismatched[:5])}); "
                "expected a checkpoint of the same recipe. Choose another work folder, or delete it."
            )
        for name, value in tensors.items():
            trained[name].data.copy_(value)
        plain = json.loads((folder / "state.json").read_text())
        optimizers = _unflatten_optimizers(load_file(folder / "optimizers.safetensors"), plain["optimizers"])
        average = folder / "average.safetensors"
        return plain["step"], TrainingState(optimizers, load_file(average) if average.is_file() else {})


def _save_tensors(tensors: Mapping[str, Tensor], path: Path) -> None:
    save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, path)


def _shapes(tensors: Mapping[str, Tensor]) -> set[tuple[str, tuple[int, ...]]]:
    return {(name, tuple(tensor.shape)) for name, tensor in tensors.items()}


def _flatten_optimizers(states: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    """Split optimizer states into tensors by ``<optimizer>.<parameter>.<name>`` and JSON values."""
    tensors: dict[str, Tensor] = {}
    plain: list[dict[str, Any]] = []
    for number, state in enumerate(states):
        values_of: dict[str, dict[str, Any]] = {}
        for index, values in state["state"].items():
            values_of[str(index)] = {name: v for name, v in values.items() if not isinstance(v, Tensor)}
            tensors |= {f"{number}.{index}.{n}": v for n, v in values.items() if isinstance(v, Tensor)}
        plain.append({"state": values_of, "param_groups": state["param_groups"]})
    return tensors, plain


def _unflatten_optimizers(tensors: Mapping[str, Tensor], plain: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Invert :func:`_flatten_optimizers`."""
    states: list[dict[str, Any]] = []
    for state in plain:
        values_of = {int(index): dict(values) for index, values in state["state"].items()}
        groups = [  # JSON has no tuples
            {key: tuple(v) if isinstance(v, list) and key != "params" else v for key, v in group.items()}
            for group in state["param_groups"]
        ]
        states.append({"state": values_of, "param_groups": groups})
    for name, value in tensors.items():
        number, index, key = name.split(".", 2)
        states[int(number)]["state"][int(index)][key] = value
    return states


def _fsync_files(folder: Path) -> None:
    """Flush files to disk, so that after a power failure no file with its final name is incomplete."""
    for path in folder.rglob("*"):
        if path.is_file():
            flush(path)
