"""One process or many: how a training is spread, by accelerate and torch.

What is trained is small and replicated, its gradients averaged (DDP). What is frozen may be sharded (FSDP2): every
process keeps a slice of each layer, and layers are gathered while they are used. Knows nothing of what is trained.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
import torch.distributed as dist
from accelerate import Accelerator
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from nextgpt.errors import ConfigError
from nextgpt.train.settings import Sharding


class Processes:
    """The processes of this run, of which this is one.

    Raises:
        ConfigError: the launcher promised another number of processes than there are.
    """

    def __init__(self, sharding: Sharding = "none") -> None:
        self.accelerator = Accelerator(cpu=not torch.cuda.is_available())
        self.sharding = sharding
        self.rank, self.world_size = self.accelerator.process_index, self.accelerator.num_processes
        self.device = self.accelerator.device
        self._check_world()

    @property
    def is_main(self) -> bool:
        """Whether this is the one that writes and tells."""
        return self.rank == 0

    def _check_world(self) -> None:
        promised = int(os.environ.get("WORLD_SIZE", "1"))
        counted = round(self.all_reduce_sum([1.0])[0])
        if not promised == counted == self.world_size:
            raise ConfigError(
                f"The launcher promised {promised} processes, accelerate sees {self.world_size} and {counted} answer; "
                "expected the same number. Start with torchrun or accelerate launch, and set no other distributed type."
            )

    def all_reduce_sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over all processes."""
        if self.world_size == 1:
            return list(values)
        tensor = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(tensor)
        return tensor.tolist()

    def gather(self, values: Sequence[str]) -> list[str]:
        """The values of all processes, in order of their ranks."""
        if self.world_size == 1:
            return list(values)
        found: list[list[str]] = [[] for _ in range(self.world_size)]
        dist.all_gather_object(found, list(values))
        return [value for of_one in found for value in of_one]

    def wrap(self, module: nn.Module, layers: Sequence[nn.Module]) -> nn.Module:
        """Place a module here and spread it; ``layers`` are those whose frozen weights may be sharded."""
        module.to(self.device)
        if self.world_size == 1:
            return module
        if self.sharding == "fsdp2":
            _shard(layers)
            return module
        return self.accelerator.prepare_model(module)

    def no_sync(self, module: nn.Module) -> AbstractContextManager:
        """Within it gradients are only added up, not averaged."""
        return module.no_sync() if isinstance(module, DistributedDataParallel) else nullcontext()

    def average_gradients(self, module: nn.Module, trained: Mapping[str, nn.Parameter]) -> None:
        """Average gradients over the processes where DDP did not."""
        if self.world_size == 1 or isinstance(module, DistributedDataParallel):
            return
        for parameter in trained.values():
            dist.all_reduce(parameter.grad)
            parameter.grad /= self.world_size

    def wait(self) -> None:
        """Wait until all processes are here."""
        self.accelerator.wait_for_everyone()


def _shard(layers: Sequence[nn.Module]) -> None:
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    mesh = init_device_mesh("cuda" if torch.cuda.is_available() else "cpu", (dist.get_world_size(),))
    for layer in layers:
        fully_shard(layer, mesh=mesh, ignored_params={p for p in layer.parameters() if p.requires_grad})


def gathered(losses: Mapping[str, Tensor], names: Sequence[str]) -> list[float]:
    """Values in the order of ``names``, 0 where there is none."""
    return [float(losses[name].detach()) if name in losses else 0.0 for name in names]
