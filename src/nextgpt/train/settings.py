"""What recipes on corpora say beside :class:`~nextgpt.train.fit.FitConfig`: sources, and how a run is spread."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict

Direction = Literal["captioning", "generation"]
BatchMixing = Literal["examples", "batches"]
Sharding = Literal["none", "fsdp2", "zero2"]
Tracker = Literal["tensorboard", "wandb", "trackio"]


class SourceConfig(BaseModel):
    """One corpus of a training."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Path
    format: str | None = None
    """A name of :data:`nextgpt.data.formats.FORMATS`; None tells it by the file."""
    media: Path | None = None
    """Where its media lie; None: beside the file."""
    weight: float = 1.0
    """How often it is drawn from, beside the others."""
    task: Direction | None = None
    """Whether pairs are described or drawn; None: as the stage needs it, both in turn where it needs both."""
    limit: int | None = None
    """Take the first rows only."""


class EngineConfig(BaseModel):
    """How a run is carried out and what it shows; none of it changes what is learned, up to rounding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_workers: int = 2
    """Processes beside each training process that decode media; 0 decodes in line."""
    micro_batch_size: int | None = None
    """Examples that go through the model at once; gradients of several are added up. None: a process's whole share."""
    sharding: Sharding = "none"
    """``fsdp2`` shards the frozen LLM over the processes; ``zero2`` gradients and optimizer, by DeepSpeed."""
    gradient_checkpointing: bool = False
    """Compute the LLM's activations again for gradients in place of keeping them: less memory, about a third slower.
    The decoding-side alignment keeps next to none anyway."""
    save_total_limit: int = 2
    """Checkpoints that are kept, the latest."""
    report_to: tuple[Tracker, ...] = ()
    """Where metrics go beside ``metrics.jsonl``."""
    sample_steps: int | None = None
    """Let the model in training answer every so many steps; None: never."""
    num_samples: int = 4
    """Requests that it then answers, always the same, taken from the sources in turn."""
