"""Settings of the training loop, shared by all recipes."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt

Sharding = Literal["none", "fsdp2"]
Tracker = Literal["tensorboard", "wandb", "trackio"]
Fraction = Annotated[float, Field(ge=0, le=1)]


class TrainerConfig(BaseModel):
    """Length, learning rates and precision of a run: everything that changes what is learned."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_steps: PositiveInt
    """Optimizer steps."""
    batch_size: PositiveInt
    """Samples per optimizer step, over all processes; the unit depends on the recipe and its data."""
    learning_rate: NonNegativeFloat = 1e-3
    """Peak learning rate of AdamW."""
    muon_learning_rate: NonNegativeFloat | None = None
    """Peak learning rate of Muon for the hidden matrices. None: AdamW trains all parameters."""
    lr_multipliers: dict[str, float] = {}
    """Factor on both learning rates by module name, for example ``{input_projection: 0.1}``."""
    weight_decay: NonNegativeFloat = 0.01
    warmup_steps: NonNegativeInt = 100
    """Steps in which the learning rates rise linearly to their peaks."""
    min_lr_ratio: Fraction = 0.0
    """Learning rate at the last step as a fraction of the peak."""
    lr_scheduler_type: Literal["linear", "cosine"] = "linear"
    """Shape of the decay after the warm-up."""
    max_grad_norm: PositiveFloat = 1.0
    """Norm to which gradients are clipped."""
    ema_decay: Fraction | None = None
    """Decay of the exponential moving average of the weights that is the result. None: the last weights are."""
    bf16: bool | None = None
    """Autocast to bfloat16; weights and optimizers stay float32. None: on accelerators, and on CPUs that
    compute matrix products faster in it."""
    compile: bool = False
    """Compile the trained network; pays off after some minutes."""
    seed: int = 0
    log_steps: PositiveInt = 20
    """Steps between lines of ``metrics.jsonl``."""
    save_steps: PositiveInt = 500
    """Steps between checkpoints."""


class EngineConfig(BaseModel):
    """Execution and reporting of a run: nothing here changes what is learned, up to rounding."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    num_workers: NonNegativeInt = 2
    """Data workers per training process. 0: media are decoded in the training process."""
    micro_batch_size: PositiveInt | None = None
    """Examples per forward pass; gradients are accumulated. None: the whole local batch."""
    sharding: Sharding = "none"
    """``fsdp2`` shards the frozen LLM over the processes."""
    gradient_checkpointing: bool = False
    """Recompute the LLM's activations in the backward pass: less memory, about a third slower. The stage
    ``decoding-alignment`` stores few activations anyway."""
    save_total_limit: PositiveInt = 2
    """Maximum number of checkpoints that are kept."""
    report_to: tuple[Tracker, ...] = ()
    """Trackers that receive metrics besides ``metrics.jsonl``."""
    sample_steps: PositiveInt | None = None
    """Steps between sample replies of the model in training. None: no samples."""
    num_samples: NonNegativeInt = 4
    """Requests per sampling; always the same ones, taken from the sources in turn."""
