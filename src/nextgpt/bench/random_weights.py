"""A model of the real shapes with random weights: what one turn costs, one part in memory at a time.

No weights are read. Every part is built from its config, filled with numbers, does its work once, and makes room for
the next: a medium of each kind is encoded, the LLM hears them, says one token and then another, every synthesizer takes
one denoising step and decodes. What is made means nothing; its cost is that of the real model.

Beside each stands the floor that the machine sets: no work can be done faster than its weights are read once, nor than
its multiplications are done, at the speeds at which this machine copies memory and multiplies matrices of that type.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nextgpt.bench.filling import random_module
from nextgpt.bench.random_parts import random_synthesizer
from nextgpt.config import ModelConfig, read_config
from nextgpt.message import Audio, Image, Video
from nextgpt.modality import MODALITIES
from nextgpt.model.summary import build_llm, component_config_dir, count_parameters

PROMPT_TOKENS = 32
"""What the LLM hears besides soft tokens."""
BANDWIDTH_BYTES = 2**28
"""What is copied to learn how fast memory is."""
MATRIX = 1024
"""Rows and columns of what is multiplied to learn how fast arithmetic is."""
TRIALS = 3
"""Of each; the best counts."""


@dataclass(frozen=True)
class ComponentCost:
    """One part's work."""

    name: str
    parameters: int
    dtype: str
    weights_gb: float
    """10^9 bytes."""
    load_s: float
    """To build it and fill it with numbers."""
    run_s: float
    """Its work, once."""
    tflop: float
    """10^12 operations of its work: multiplications and additions of matrices, convolutions and attention."""
    floor_s: float
    """The longer of reading its weights once and of these operations, at this machine's speeds."""
    memory_gb: float
    """The most in use while it was loaded and worked, 10^9 bytes: of the process with all its libraries, or of the GPU.
    """


@dataclass(frozen=True)
class TurnCost:
    """One turn, part by part."""

    model: str
    device: str
    bandwidth_gb_s: float
    tflop_s: Mapping[str, float]
    """By type."""
    parts: tuple[ComponentCost, ...]

    @property
    def peak_gb(self) -> float:
        """The most that was in use."""
        return max(part.memory_gb for part in self.parts)

    def as_values(self) -> dict[str, Any]:
        """As ``nextgpt bench --random-weights --json`` prints it."""
        rows = [
            {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(part).items()}
            for part in self.parts
        ]
        return {
            "model": self.model,
            "device": self.device,
            "bandwidth_gb_s": round(self.bandwidth_gb_s, 2),
            "tflop_s": {dtype: round(speed, 4) for dtype, speed in self.tflop_s.items()},
            "peak_gb": round(self.peak_gb, 3),
            "parts": rows,
        }


def bench_random(
    name: str, folder: Path, *, device: str = "cpu", tell: Callable[[str, int, int], None] = lambda *_: None
) -> TurnCost:
    """Measure one turn of the model whose configs are in ``folder``. Raises :class:`~nextgpt.errors.ModelError`."""
    config = read_config(folder)
    turn = _Turn(config, folder, device)
    total = 3 + 2 * len(config.synthesizers)
    parts = []
    for part in turn.costs():
        parts.append(part)
        tell("parts", len(parts), total)
    speeds = {str(dtype).removeprefix("torch."): speed / 1e12 for dtype, speed in turn.speeds.items()}
    return TurnCost(name, device, turn.bandwidth / 1e9, speeds, tuple(parts))


class _Turn:
    """One turn: what each step hands to the next, and what it cost."""

    def __init__(self, config: ModelConfig, folder: Path, device: str) -> None:
        self.config = config
        self.folder = folder
        self.device = device
        # bfloat16 halves the LLM; narrow convolutions are slower in it on a CPU.
        self.narrow = torch.bfloat16
        self.wide = torch.bfloat16 if device != "cpu" else torch.float32
        self.bandwidth = _bandwidth(device)
        self.speeds = {dtype: _multiplications(device, dtype) for dtype in (torch.float32, torch.bfloat16)}

    def costs(self) -> Iterator[ComponentCost]:
        """Go through the parts in the order of the path."""
        features, cost = self._encode()
        yield cost
        hidden, costs = self._think(features)
        yield from costs
        for modality in self.config.synthesizers:
            yield from self._synthesize(modality, hidden)

    def _encode(self) -> tuple[list[Any], ComponentCost]:
        from nextgpt.model.encoding import build_encoder

        def encode(encoder: Any) -> list[Any]:
            return encoder.encode([medium for medium, tower in _media() if tower in encoder.towers])

        part = self._loaded("encoder", lambda: build_encoder(self._home("encoder")), self.wide)
        return part.work("encoder", encode)

    def _think(self, features: list[Any]) -> tuple[Tensor, list[ComponentCost]]:
        from transformers import DynamicCache

        from nextgpt.model.input_projection import create_input_projection

        cache = DynamicCache()

        def hear(llm: Any) -> Tensor:
            words = llm.get_input_embeddings()(
                torch.zeros(1, PROMPT_TOKENS, dtype=torch.long, device=self.device)
            )
            projection = random_module(
                lambda: create_input_projection(self.config.input_projection, words.shape[-1]),
                torch.float32, self.device,
            )  # fmt: skip
            heard = [replace(item, vectors=item.vectors.float()) for item in features]
            modalities = [medium.modality for medium, _ in _media()][: len(heard)]
            soft = projection(heard, modalities).flatten(0, 1)[None].to(words.dtype)  # (1, N * K, D)
            return think(llm, torch.cat((soft, words), dim=1))

        def think(llm: Any, embeddings: Tensor) -> Tensor:
            states = llm.base_model(
                inputs_embeds=embeddings, past_key_values=cache, use_cache=True
            ).last_hidden_state
            llm.get_output_embeddings()(states[:, -1])
            return states

        part = self._loaded("llm", lambda: build_llm(self._home("llm")), self.narrow)
        hidden, first = part.work("llm.first_token", hear)
        _, next_one = part.work("llm.token", lambda llm: think(llm, hidden[:, -1:]))
        return hidden, [first, next_one]

    def _synthesize(self, modality: str, hidden: Tensor) -> Iterator[ComponentCost]:
        from nextgpt.model.output_projection import create_output_projection

        settings = self.config.synthesizers[modality].output_projection
        projection = random_module(
            lambda: create_output_projection(settings, hidden.shape[-1]), torch.float32, self.device
        )
        signals = hidden[:, -MODALITIES[modality].signal_count :].float()
        condition = projection(signals, torch.zeros_like(signals[0]))
        del projection
        synthesizer = random_synthesizer(self._home(modality), modality, dtype=self.wide, device=self.device)
        parts = synthesizer.components
        part = self._loaded(f"{modality}.denoiser", lambda: parts.built("denoiser"), self.wide)
        step, cost = part.work(
            f"{modality}.denoiser",
            lambda denoiser: next(parts.holding("denoiser", denoiser, lambda: synthesizer.denoise(
                condition, seeds=[0], num_inference_steps=1, guidance_scale=1))),
        )  # fmt: skip
        yield cost
        del part
        parts.drop()
        part = self._loaded(f"{modality}.decoder", lambda: parts.built("vae"), torch.float32)
        _, cost = part.work(
            f"{modality}.decoder",
            lambda vae: parts.holding("vae", vae, lambda: synthesizer.decode(step.latents)),
        )
        parts.drop()
        yield cost

    def _loaded(self, name: str, build: Callable[[], nn.Module], dtype: torch.dtype) -> _Loaded:
        gc.collect()
        _forget_peak(self.device)
        start = time.perf_counter()
        module = random_module(build, dtype, self.device)
        _finish(self.device)
        return _Loaded(module, dtype, time.perf_counter() - start, self)

    def _home(self, part: str) -> Path:
        return component_config_dir(part, self.config.component_sources[part], self.folder)


@dataclass(frozen=True, eq=False)
class _Loaded:
    """A part in memory, which may work several times."""

    module: nn.Module
    dtype: torch.dtype
    load_s: float
    turn: _Turn

    def work(self, name: str, do: Callable[[Any], Any]) -> tuple[Any, ComponentCost]:
        """What the work makes, and what it cost."""
        turn, counter = self.turn, FlopCounterMode(display=False)
        start = time.perf_counter()
        with torch.inference_mode(), counter:
            made = do(self.module)
        _finish(turn.device)
        took = time.perf_counter() - start
        size, operations = (
            sum(parameter.nbytes for parameter in self.module.parameters()),
            counter.get_total_flops(),
        )
        return made, ComponentCost(
            name,
            count_parameters(self.module),
            str(self.dtype).removeprefix("torch."),
            weights_gb=size / 1e9,
            load_s=self.load_s,
            run_s=took,
            tflop=operations / 1e12,
            floor_s=max(size / turn.bandwidth, operations / turn.speeds[self.dtype]),
            memory_gb=_peak_gb(turn.device),
        )


def _media() -> list[tuple[Image | Audio | Video, str]]:
    """A picture, a sound of six seconds and a film of ten, each with its tower; of any content."""
    return [
        (Image(PIL.Image.new("RGB", (320, 240), "grey")), "vision"),
        (Audio(np.zeros((1, 6 * 16_000), np.float32), 16_000), "audio"),
        (Video(np.zeros((40, 240, 320, 3), np.uint8), 4.0), "vision"),
    ]


def _bandwidth(device: str) -> float:
    """Bytes a second at which memory is read, by a copy, which reads and writes."""
    source = torch.ones(BANDWIDTH_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * BANDWIDTH_BYTES / _best(lambda: target.copy_(source), device)


def _multiplications(device: str, dtype: torch.dtype) -> float:
    """Operations a second in the product of two matrices."""
    matrix = torch.ones(MATRIX, MATRIX, dtype=dtype, device=device)
    return 2 * MATRIX**3 / _best(lambda: matrix @ matrix, device)


def _best(do: Callable[[], object], device: str) -> float:
    """The least seconds that it takes, once it was done before."""
    seconds = []
    for _ in range(TRIALS + 1):
        start = time.perf_counter()
        do()
        _finish(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def _finish(device: str) -> None:
    """Wait until a GPU has done what it was asked."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def _forget_peak(device: str) -> None:
    """Begin to measure the most that is in use anew."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak starts again at what is in use now


def _peak_gb(device: str) -> float:
    """The most that was in use since then."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device) / 1e9
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024 / 1e9


def to_markdown(turn: TurnCost) -> str:
    """The costs as a table in Markdown."""
    lines = [
        f"| {part.name} | {part.parameters:,} | {part.dtype} | {part.weights_gb:.2f} | {part.load_s:.2f} | "
        f"{part.run_s:.3g} | {part.tflop:.3g} | {part.floor_s:.3g} | {part.memory_gb:.2f} |"
        for part in turn.parts
    ]
    heading = "| part | parameters | dtype | weights GB | load s | run s | TFLOP | floor s | peak GB |"
    speeds = ", ".join(f"{dtype} at {speed:.3g} TFLOP/s" for dtype, speed in turn.tflop_s.items())
    about = f"{turn.model} with random weights on {turn.device}: memory at {turn.bandwidth_gb_s:.1f} GB/s, {speeds}; "
    return (
        "\n".join(
            [
                f"{about}at most {turn.peak_gb:.2f} GB in use",
                "",
                heading,
                "| --- " + "| ---: " * 8 + "|",
                *lines,
            ]
        )
        + "\n"
    )
