"""Settings of the training loop, shared by all recipes."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict

Sharding = Literal["none", "fsdp2"]
Tracker = Literal["tensorboard", "wandb", "trackio"]


class TrainerConfig(BaseModel):
    """Length, learning rates and precision of a run: everything that changes what is learned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_steps: int
    batch_size: int
    """Samples per optimizer step, over all processes; the unit depends on the recipe and its data."""
    learning_rate: float = 1e-3
    """Peak learning rate of AdamW."""
    muon_learning_rate: float | None = None
    """Peak learning rate of Muon for the hidden matrices. None: AdamW trains all parameters."""
    lr_multipliers: dict[str, float] = {}
    """Factor on both learning rates by module name, for example ``{input_projection: 0.1}``."""
    weight_decay: float = 0.01
    warmup_steps: int = 100
    min_lr_ratio: float = 0.0
    """Learning rate at the last step as a fraction of the peak."""
    lr_scheduler_type: Literal["linear", "cosine"] = "linear"
    """Shape of the decay after the warm-up."""
    max_grad_norm: float = 1.0
    ema_decay: float | None = None
    """Decay of the moving average of the weights, which is then the result. None: the last weights are."""
    bf16: bool | None = None
    """Autocast to bfloat16; weights and optimizers stay float32. None: on accelerators, and on CPUs that
    compute matrix products faster in it."""
    compile: bool = False
    """Compile the trained network; pays off after some minutes."""
    seed: int = 0
    log_steps: int = 20
    save_steps: int = 500


class EngineConfig(BaseModel):
    """Execution and reporting of a run: nothing here changes what is learned, up to rounding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_workers: int = 2
    """Data workers per training process. 0: media are decoded in the training process."""
    micro_batch_size: int | None = None
    """Examples per forward pass; gradients are accumulated. None: the whole local batch."""
    sharding: Sharding = "none"
    """``fsdp2`` shards the frozen LLM over the processes."""
    gradient_checkpointing: bool = False
    """Recompute the LLM's activations in the backward pass: less memory, about a third slower. Decoding-side alignment
    stores almost none anyway."""
    save_total_limit: int = 2
    """Maximum number of checkpoints that are kept."""
    report_to: tuple[Tracker, ...] = ()
    """Trackers that receive metrics besides ``metrics.jsonl``."""
    sample_steps: int | None = None
    """Steps between sample replies of the model in training. None: no samples."""
    num_samples: int = 4
    """Requests per sampling; always the same ones, taken from the sources in turn."""
