"""Checkpoints of a run: each a folder that is there whole or not at all, the latest few kept.

::

    step-00000200/
      trained.safetensors      every trained parameter
      optimizers.safetensors   moments, by optimizer, parameter and name
      state.json               the step, what optimizers hold beside tensors, and the loss scale

The place in the data and the random numbers need no file, as both are functions of the step.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from nextgpt.errors import ModelError

Export = Callable[[Path], None]
"""Writes more into a checkpoint, for example the model that it holds."""


@dataclass(frozen=True)
class Saved:
    """What a checkpoint holds beside weights."""

    optimizers: Sequence[Mapping[str, Any]]
    """Their state dicts; of an optimizer in slices, one for each process."""
    more: Mapping[str, Any]
    """What JSON can hold."""


@dataclass(frozen=True)
class Checkpoints:
    """The checkpoints in a folder."""

    folder: Path
    keep: int
    """How many of the latest stay."""
    export: Export = lambda folder: None

    @property
    def latest(self) -> Path | None:
        """The last one that is whole."""
        return max(self.folder.glob("step-????????"), default=None)

    def save(self, step: int, trained: Mapping[str, nn.Parameter], saved: Saved) -> None:
        """Write the state after ``step`` steps, then forget the oldest."""
        unfinished = self.folder / ".unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        weights = {name: p.detach().cpu().contiguous() for name, p in trained.items()}
        save_file(weights, unfinished / "trained.safetensors")
        tensors, rest = _flattened(saved.optimizers)
        save_file(tensors, unfinished / "optimizers.safetensors")
        state = {"step": step, "optimizers": rest, "more": dict(saved.more)}
        (unfinished / "state.json").write_text(json.dumps(state))
        self.export(unfinished)
        _flush(unfinished)
        target = self.folder / f"step-{step:08d}"
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
        _flush_names(self.folder)
        for old in sorted(self.folder.glob("step-????????"))[: -self.keep]:
            shutil.rmtree(old)

    def resume(self, trained: Mapping[str, nn.Parameter]) -> tuple[int, Saved | None]:
        """Take up the latest weights; return the number of steps done, 0 where there is none, and what else there is.

        Raises:
            ModelError: it holds other parameters than are trained here.
        """
        folder = self.latest
        if folder is None:
            return 0, None
        tensors = load_file(folder / "trained.safetensors")
        odd = sorted({name for name, _ in _shapes(tensors) ^ _shapes(trained)})
        if odd:
            raise ModelError(
                f"{folder} holds other parameters than this run trains (such as {', '.join(odd[:5])}); "
                "expected a checkpoint of the same recipe. Choose another work folder, or delete it."
            )
        for name, value in tensors.items():
            trained[name].data.copy_(value)
        state = json.loads((folder / "state.json").read_text())
        optimizers = _restored(load_file(folder / "optimizers.safetensors"), state["optimizers"])
        return state["step"], Saved(optimizers, state["more"])


def _shapes(tensors: Mapping[str, Tensor]) -> set[tuple[str, torch.Size]]:
    return {(name, tensor.shape) for name, tensor in tensors.items()}


def _flattened(states: Sequence[Mapping[str, Any]]) -> tuple[dict[str, Tensor], list[dict]]:
    """Tensors of optimizers' states as ``<optimizer>.<parameter>.<name>``, and all else as JSON takes it."""
    tensors: dict[str, Tensor] = {}
    rest: list[dict] = []
    for number, state in enumerate(states):
        plain: dict[str, dict] = {}
        for index, values in state["state"].items():
            plain[str(index)] = {name: v for name, v in values.items() if not isinstance(v, Tensor)}
            for name, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"{number}.{index}.{name}"] = value.detach().cpu().contiguous()
        rest.append({"state": plain, "param_groups": state["param_groups"]})
    return tensors, rest


def _restored(tensors: Mapping[str, Tensor], rest: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The states that :func:`_flattened` took apart."""
    states = [
        {"state": {int(i): dict(v) for i, v in of.pop("state").items()}, **of} for of in map(dict, rest)
    ]
    for name, value in tensors.items():
        owner, index, key = name.split(".", 2)
        states[int(owner)]["state"][int(index)][key] = value
    return states


def _flush(folder: Path) -> None:
    """Have the system write what it holds back, so that a power cut can't leave a whole name on half a file."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())


def _flush_names(folder: Path) -> None:
    """The same for the names in a folder."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
