"""The processes of a run, by accelerate and torch: DDP for trained weights, FSDP2 for frozen ones.

Trained weights are small and replicated; their gradients are averaged. Frozen weights may be sharded: each process
holds a slice of each layer, and layers are gathered while they are used. Independent of what is trained.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from nextgpt.errors import ConfigError
from nextgpt.train.config import Sharding


class DistributedContext:
    """This process among the processes of the run.

    Raises:
        ConfigError: The launcher announced another number of processes than there are.
    """

    def __init__(self, sharding: Sharding = "none") -> None:
        self.accelerator = Accelerator(cpu=not torch.cuda.is_available())
        self.sharding = sharding
        self.rank, self.world_size = self.accelerator.process_index, self.accelerator.num_processes
        self.device = self.accelerator.device
        self._check_world_size()

    @property
    def is_main(self) -> bool:
        """Return whether this process writes files and reports."""
        return self.rank == 0

    def _check_world_size(self) -> None:
        announced = int(os.environ.get("WORLD_SIZE", "1"))
        counted = round(self.all_reduce_sum([1.0])[0])
        if not announced == counted == self.world_size:
            raise ConfigError(
                f"The launcher announced {announced} processes, accelerate sees {self.world_size} and {counted} answer;"
                " expected the same number. Start with torchrun or accelerate launch, without another distributed type."
            )

    def all_reduce_sum(self, values: Sequence[float]) -> list[float]:
        """Sum each value over all processes."""
        if self.world_size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def gather(self, values: Sequence[str]) -> list[str]:
        """Return the values of all processes in order of rank."""
        if self.world_size == 1:
            return list(values)
        gathered: list[list[str]] = [[] for _ in range(self.world_size)]
        dist.all_gather_object(gathered, list(values))
        return [value for of_rank in gathered for value in of_rank]

    def wrap(self, module: nn.Module, layers: Sequence[nn.Module]) -> nn.Module:
        """Move a module to this device and distribute it; the frozen weights of ``layers`` may be sharded."""
        module.to(self.device)
        if self.world_size == 1:
            return module
        if self.sharding == "fsdp2":
            _shard(layers)
            return module
        return self.accelerator.prepare_model(module)

    def no_sync(self, module: nn.Module) -> AbstractContextManager:
        """Return a context in which gradients are accumulated, not averaged."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def average_gradients(self, module: nn.Module, parameters: Iterable[nn.Parameter]) -> None:
        """Average gradients over the processes unless DDP already did."""
        if self.world_size == 1 or isinstance(module, DistributedDataParallel):
            return
        for parameter in parameters:
            dist.all_reduce(parameter.grad)
            parameter.grad /= self.world_size

    def barrier(self) -> None:
        """Wait for all processes."""
        self.accelerator.wait_for_everyone()


def _shard(layers: Sequence[nn.Module]) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu", (dist.get_world_size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh, ignored_params={p for p in layer.parameters() if p.requires_grad})
