"""Cost of one turn in a model's real shapes with random weights, one component in memory at a time.

No weights are read. Each component is built from its config, filled with random numbers, run once and freed: the
encoder encodes one medium of each kind, the LLM prefills them and generates two tokens, every synthesizer takes one
denoising step and decodes. The outputs are meaningless; the costs are those of the real model.

Each row also shows the roofline: the larger of reading the weights once and of the arithmetic, at the memory bandwidth
and matrix multiplication speed that are measured on this machine first.
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
from benchmarks.random_weights.random_components import random_synthesizer
from benchmarks.random_weights.random_module import random_module
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from nextgpt.config import ModelConfig, read_config
from nextgpt.logging import ProgressCallback
from nextgpt.message import Audio, Image, Video
from nextgpt.modality import MODALITIES
from nextgpt.model.summary import build_llm, component_config_dir, count_parameters

PROMPT_TOKENS = 32
"""Text tokens of the prompt."""
BANDWIDTH_BYTES = 2**28
"""Size of the copy that measures memory bandwidth."""
MATRIX = 1024
"""Rows and columns of the matrix product that measures arithmetic."""
TRIALS = 3
"""Repetitions of each speed measurement; the fastest counts."""


@dataclass(frozen=True)
class ComponentCost:
    """Cost of one component's work."""

    name: str
    parameters: int
    dtype: str
    weights_gb: float
    """In units of 10^9 bytes."""
    load_s: float
    """Seconds to build and fill it."""
    run_s: float
    """Seconds of its work."""
    tflop: float
    """Operations of its work in units of 10^12: matrix products, convolutions and attention."""
    roofline_s: float
    """Seconds to read its weights once or to do these operations, whichever takes longer."""
    memory_gb: float
    """Peak memory while loading and running, in units of 10^9 bytes: of the process or of the GPU."""


@dataclass(frozen=True)
class TurnCost:
    """Cost of one turn by component."""

    model: str
    device: str
    bandwidth_gb_s: float
    tflop_s: Mapping[str, float]
    """By dtype."""
    components: tuple[ComponentCost, ...]

    @property
    def peak_gb(self) -> float:
        """Return the peak memory."""
        return max(component.memory_gb for component in self.components)

    def to_dict(self) -> dict[str, Any]:
        """Convert to the printed JSON object."""
        rows = [
            {k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(component).items()}
            for component in self.components
        ]
        return {
            "model": self.model,
            "device": self.device,
            "bandwidth_gb_s": round(self.bandwidth_gb_s, 2),
            "tflop_s": {dtype: round(speed, 4) for dtype, speed in self.tflop_s.items()},
            "peak_gb": round(self.peak_gb, 3),
            "components": rows,
        }


def measure_turn(
    name: str, folder: Path, *, device: str = "cpu", on_progress: ProgressCallback = lambda *_: None
) -> TurnCost:
    """Measure one turn of the model whose configs are in ``folder``. Raises :class:`~nextgpt.errors.ModelError`."""
    config = read_config(folder)
    turn = _TurnRunner(config, folder, device)
    total = 3 + 2 * len(config.synthesizers)
    components = []
    for component in turn.costs():
        components.append(component)
        on_progress("components", len(components), total)
    speeds = {str(dtype).removeprefix("torch."): speed / 1e12 for dtype, speed in turn.speeds.items()}
    return TurnCost(name, device, turn.bandwidth / 1e9, speeds, tuple(components))


class _TurnRunner:
    """Runs the steps of one turn and measures each."""

    def __init__(self, config: ModelConfig, folder: Path, device: str) -> None:
        self.config = config
        self.folder = folder
        self.device = device
        # bfloat16 halves the LLM; convolutions are slower in bfloat16 on CPUs.
        self.llm_dtype = torch.bfloat16
        self.dtype = torch.bfloat16 if device != "cpu" else torch.float32
        self.bandwidth = _bandwidth(device)
        self.speeds = {dtype: _matmul_speed(device, dtype) for dtype in (torch.float32, torch.bfloat16)}

    def costs(self) -> Iterator[ComponentCost]:
        """Yield the costs in the order of the data path."""
        features, cost = self._encode()
        yield cost
        hidden, costs = self._run_llm(features)
        yield from costs
        for modality in self.config.synthesizers:
            yield from self._synthesize(modality, hidden)

    def _encode(self) -> tuple[list[Any], ComponentCost]:
        from nextgpt.model.encoding import build_encoder

        def encode(encoder: Any) -> list[Any]:
            return encoder.encode([medium for medium, tower in _media() if tower in encoder.towers])

        component = self._load("encoder", lambda: build_encoder(self._config_dir("encoder")), self.dtype)
        return component.measure("encoder", encode)

    def _run_llm(self, features: list[Any]) -> tuple[Tensor, list[ComponentCost]]:
        from transformers import DynamicCache

        from nextgpt.model.input_projection import create_input_projection

        cache = DynamicCache()

        def prefill(llm: Any) -> Tensor:
            words = llm.get_input_embeddings()(torch.zeros(1, PROMPT_TOKENS, dtype=torch.long, device=self.device))
            projection = random_module(
                lambda: create_input_projection(self.config.input_projection, words.shape[-1]),
                torch.float32, self.device,
            )  # fmt: skip
            inputs = [replace(item, vectors=item.vectors.float()) for item in features]
            modalities = [medium.modality for medium, _ in _media()][: len(inputs)]
            soft = projection(inputs, modalities).flatten(0, 1)[None].to(words.dtype)  # (1, N * K, D)
            return forward(llm, torch.cat((soft, words), dim=1))

        def forward(llm: Any, embeddings: Tensor) -> Tensor:
            states = llm.base_model(inputs_embeds=embeddings, past_key_values=cache, use_cache=True).last_hidden_state
            llm.get_output_embeddings()(states[:, -1])
            return states

        component = self._load("llm", lambda: build_llm(self._config_dir("llm")), self.llm_dtype)
        hidden, first = component.measure("llm.first_token", prefill)
        _, next_one = component.measure("llm.token", lambda llm: forward(llm, hidden[:, -1:]))
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
        synthesizer = random_synthesizer(self._config_dir(modality), modality, dtype=self.dtype, device=self.device)
        components = synthesizer.components
        component = self._load(f"{modality}.denoiser", lambda: components.build_meta("denoiser"), self.dtype)
        step, cost = component.measure(
            f"{modality}.denoiser",
            lambda denoiser: next(components.run_with("denoiser", denoiser, lambda: synthesizer.denoise(
                condition, seeds=[0], num_inference_steps=1, guidance_scale=1))),
        )  # fmt: skip
        yield cost
        del component
        components.clear()
        component = self._load(f"{modality}.decoder", lambda: components.build_meta("vae"), torch.float32)
        _, cost = component.measure(
            f"{modality}.decoder", lambda vae: components.run_with("vae", vae, lambda: synthesizer.decode(step.latents))
        )
        components.clear()
        yield cost

    def _load(self, name: str, build: Callable[[], nn.Module], dtype: torch.dtype) -> _LoadedComponent:
        gc.collect()
        _reset_peak(self.device)
        start = time.perf_counter()
        module = random_module(build, dtype, self.device)
        _synchronize(self.device)
        return _LoadedComponent(module, dtype, time.perf_counter() - start, self)

    def _config_dir(self, component: str) -> Path:
        return component_config_dir(component, self.config.component_sources[component], self.folder)


@dataclass(frozen=True, eq=False)
class _LoadedComponent:
    """A loaded component, which may run several times."""

    module: nn.Module
    dtype: torch.dtype
    load_s: float
    turn: _TurnRunner

    def measure(self, name: str, work: Callable[[Any], Any]) -> tuple[Any, ComponentCost]:
        """Call ``work`` on the module and return its output and cost."""
        turn, counter = self.turn, FlopCounterMode(display=False)
        start = time.perf_counter()
        with torch.inference_mode(), counter:
            output = work(self.module)
        _synchronize(turn.device)
        run_s = time.perf_counter() - start
        size, operations = (sum(parameter.nbytes for parameter in self.module.parameters()), counter.get_total_flops())
        return output, ComponentCost(
            name,
            count_parameters(self.module),
            str(self.dtype).removeprefix("torch."),
            weights_gb=size / 1e9,
            load_s=self.load_s,
            run_s=run_s,
            tflop=operations / 1e12,
            roofline_s=max(size / turn.bandwidth, operations / turn.speeds[self.dtype]),
            memory_gb=_peak_gb(turn.device),
        )


def _media() -> list[tuple[Image | Audio | Video, str]]:
    """Return an image, six seconds of audio and ten seconds of video with the tower of each."""
    return [
        (Image(PIL.Image.new("RGB", (320, 240), "grey")), "vision"),
        (Audio(np.zeros((1, 6 * 16_000), np.float32), 16_000), "audio"),
        (Video(np.zeros((40, 240, 320, 3), np.uint8), 4.0), "vision"),
    ]


def _bandwidth(device: str) -> float:
    """Measure memory bandwidth in bytes per second by a copy, which reads and writes."""
    source = torch.ones(BANDWIDTH_BYTES, dtype=torch.uint8, device=device)
    target = torch.empty_like(source)
    return 2 * BANDWIDTH_BYTES / _min_seconds(lambda: target.copy_(source), device)


def _matmul_speed(device: str, dtype: torch.dtype) -> float:
    """Measure operations per second of a matrix product."""
    matrix = torch.ones(MATRIX, MATRIX, dtype=dtype, device=device)
    return 2 * MATRIX**3 / _min_seconds(lambda: matrix @ matrix, device)


def _min_seconds(work: Callable[[], object], device: str) -> float:
    """Return the fewest seconds of several runs after a warm-up."""
    seconds = []
    for _ in range(TRIALS + 1):
        start = time.perf_counter()
        work()
        _synchronize(device)
        seconds.append(time.perf_counter() - start)
    return min(seconds[1:])


def _synchronize(device: str) -> None:
    """Wait for the GPU."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def _reset_peak(device: str) -> None:
    """Reset the peak memory."""
    if device != "cpu":
        torch.cuda.reset_peak_memory_stats(device)
    else:
        Path("/proc/self/clear_refs").write_text("5")  # Linux: resets the peak to the current usage


def _peak_gb(device: str) -> float:
    """Return the peak memory since the reset."""
    if device != "cpu":
        return torch.cuda.max_memory_allocated(device) / 1e9
    status = Path("/proc/self/status").read_text()
    return next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) * 1024 / 1e9


def to_markdown(turn: TurnCost) -> str:
    """Format the costs as a Markdown table."""
    lines = [
        f"| {cost.name} | {cost.parameters:,} | {cost.dtype} | {cost.weights_gb:.2f} | {cost.load_s:.2f} | "
        f"{cost.run_s:.3g} | {cost.tflop:.3g} | {cost.roofline_s:.3g} | {cost.memory_gb:.2f} |"
        for cost in turn.components
    ]
    heading = "| component | parameters | dtype | weights GB | load s | run s | TFLOP | roofline s | peak GB |"
    speeds = ", ".join(f"{dtype} at {speed:.3g} TFLOP/s" for dtype, speed in turn.tflop_s.items())
    about = f"{turn.model} with random weights on {turn.device}: memory at {turn.bandwidth_gb_s:.1f} GB/s, {speeds}; "
    return (
        "\n".join([f"{about}at most {turn.peak_gb:.2f} GB in use", "", heading, "| --- " + "| ---: " * 8 + "|", *lines])
        + "\n"
    )
