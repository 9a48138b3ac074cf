"""Checkpoints of a run: each a folder that is there whole or not at all, the latest few kept.

::

    step-00000200/
      trained.safetensors      every trained parameter
      optimizers.safetensors   moments, by optimizer, parameter and name
      state.json               the step, and what optimizers hold beside tensors

The place in the data and the random numbers need no file, as both are functions of the step.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn
from torch.optim import Optimizer

from nextgpt.errors import ModelError

Export = Callable[[Path], None]
"""Writes more into a checkpoint, for example the model that it holds."""


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

    def save(self, step: int, trained: Mapping[str, nn.Parameter], optimizers: Sequence[Optimizer]) -> None:
        """Write the state after ``step`` steps, then forget the oldest."""
        unfinished = self.folder / ".unfinished"
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        weights = {name: p.detach().cpu().contiguous() for name, p in trained.items()}
        save_file(weights, unfinished / "trained.safetensors")
        tensors, rest = _flattened(optimizers)
        save_file(tensors, unfinished / "optimizers.safetensors")
        (unfinished / "state.json").write_text(json.dumps({"step": step, "optimizers": rest}))
        self.export(unfinished)
        _flush(unfinished)
        target = self.folder / f"step-{step:08d}"
        shutil.rmtree(target, ignore_errors=True)
        unfinished.rename(target)
        for old in sorted(self.folder.glob("step-????????"))[: -self.keep]:
            shutil.rmtree(old)

    def resume(self, trained: Mapping[str, nn.Parameter], optimizers: Sequence[Optimizer]) -> int:
        """Take up the latest state; return the number of steps done, 0 where there is none.

        Raises:
            ModelError: it holds other parameters than are trained here.
        """
        folder = self.latest
        if folder is None:
            return 0
        tensors = load_file(folder / "trained.safetensors")
        odd = sorted({n for n, _ in _shapes(tensors) ^ _shapes(trained)})
        state = json.loads((folder / "state.json").read_text())
        if odd or len(state["optimizers"]) != len(optimizers):
            raise ModelError(
                f"{folder} holds other parameters than this run trains (such as {', '.join(odd[:5]) or 'of Muon'}); "
                "expected a checkpoint of the same recipe. Choose another work folder, or delete it."
            )
        for name, value in tensors.items():
            trained[name].data.copy_(value)
        _restore(optimizers, load_file(folder / "optimizers.safetensors"), state["optimizers"])
        return state["step"]


def _shapes(tensors: Mapping[str, Tensor]) -> set[tuple[str, torch.Size]]:
    return {(name, tensor.shape) for name, tensor in tensors.items()}


def _flattened(optimizers: Sequence[Optimizer]) -> tuple[dict[str, Tensor], list[dict]]:
    """Tensors of the optimizers' states as ``<optimizer>.<parameter>.<name>``, and all else as JSON takes it."""
    tensors: dict[str, Tensor] = {}
    rest: list[dict] = []
    for number, optimizer in enumerate(optimizers):
        state = optimizer.state_dict()
        plain: dict[str, dict] = {}
        for index, values in state["state"].items():
            plain[str(index)] = {name: v for name, v in values.items() if not isinstance(v, Tensor)}
            for name, value in values.items():
                if isinstance(value, Tensor):
                    tensors[f"{number}.{index}.{name}"] = value.detach().cpu().contiguous()
        rest.append({"state": plain, "param_groups": state["param_groups"]})
    return tensors, rest


def _restore(optimizers: Sequence[Optimizer], tensors: Mapping[str, Tensor], rest: Sequence[dict]) -> None:
    for number, (optimizer, saved) in enumerate(zip(optimizers, rest, strict=True)):
        state: dict[int, dict] = {int(index): dict(values) for index, values in saved["state"].items()}
        for name, value in tensors.items():
            owner, index, key = name.split(".", 2)
            if int(owner) == number:
                state[int(index)][key] = value
        optimizer.load_state_dict({"state": state, "param_groups": saved["param_groups"]})


def _flush(folder: Path) -> None:
    """Have the system write what it holds back, so that a power cut can't leave a whole name on half a file."""
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
