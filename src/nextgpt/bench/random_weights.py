"""A model of the real shapes with random weights: what one turn costs, one part in memory at a time.

No weights are read. Every part is built from its config, filled with numbers, does its work once, and makes room for
the next: a medium of each kind is encoded, the LLM hears them and says one token, every synthesizer takes one denoising
step and decodes. What is made means nothing; its cost is that of the real model.
"""

from __future__ import annotations

import gc
import resource
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import torch
from torch import Tensor, nn

from nextgpt.bench.filling import filled
from nextgpt.bench.random_parts import random_synthesizer
from nextgpt.config import ModelConfig, read_config
from nextgpt.message import Audio, Image, Video
from nextgpt.modality import MODALITIES
from nextgpt.model.description import build_llm, count, part_folder

PROMPT_TOKENS = 32
"""What the LLM hears besides soft tokens."""
BANDWIDTH_BYTES = 2**28
"""What is copied to learn how fast memory is."""


@dataclass(frozen=True)
class PartCost:
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
    floor_s: float
    """To read its weights once, at the speed at which this machine copies memory; no work can be faster."""
    memory_gb: float
    """10^9 bytes in use while it works: of the process, or of the GPU."""


@dataclass(frozen=True)
class TurnCost:
    """One turn, part by part."""

    model: str
    device: str
    bandwidth_gb_s: float
    parts: tuple[PartCost, ...]

    @property
    def peak_gb(self) -> float:
        """The most that was in use."""
        return max(part.memory_gb for part in self.parts)

    def as_values(self) -> dict[str, Any]:
        """As ``nextgpt bench --random-weights --json`` prints it."""
        rows = [{k: round(v, 5) if isinstance(v, float) else v for k, v in asdict(part).items()} for part in self.parts]
        return {
            "model": self.model,
            "device": self.device,
            "bandwidth_gb_s": round(self.bandwidth_gb_s, 2),
            "peak_gb": round(self.peak_gb, 3),
            "parts": rows,
        }


def bench_random(
    name: str, folder: Path, *, device: str = "cpu", tell: Callable[[str, int, int], None] = lambda *_: None
) -> TurnCost:
    """Measure one turn of the model whose configs are in ``folder``. Raises :class:`~nextgpt.errors.ModelError`."""
    config = read_config(folder)
    bandwidth = _bandwidth(device)
    total = 2 + 2 * len(config.synthesizers)
    parts = []
    for part in _Turn(config, folder, device, bandwidth).costs():
        parts.append(part)
        tell("parts", len(parts), total)
    return TurnCost(name, device, bandwidth / 1e9, tuple(parts))


class _Turn:
    """One turn: what each step hands to the next, and what it cost."""

    def __init__(self, config: ModelConfig, folder: Path, device: str, bandwidth: float) -> None:
        self.config = config
        self.folder = folder
        self.device = device
        self.bandwidth = bandwidth
        # bfloat16 halves the LLM; narrow convolutions are slower in it on a CPU.
        self.narrow = torch.bfloat16
        self.wide = torch.bfloat16 if device != "cpu" else torch.float32

    def costs(self) -> Iterator[PartCost]:
        """Go through the parts in the order of the path."""
        features, cost = self._encode()
        yield cost
        hidden, cost = self._think(features)
        yield cost
        for modality in self.config.synthesizers:
            yield from self._synthesize(modality, hidden)

    def _encode(self) -> tuple[list[Any], PartCost]:
        from nextgpt.model.encoding import ImageBind
        from nextgpt.model.encoding.folder import read_encoder_config

        sizes = read_encoder_config(self._home("encoder"))
        media = [medium for medium, tower in _media() if tower in sizes.towers]
        return self._measured("encoder", lambda: ImageBind(sizes), self.wide, lambda encoder: encoder.encode(media))

    def _think(self, features: list[Any]) -> tuple[Tensor, PartCost]:
        from nextgpt.model.input_projection import create_input_projection

        def say_one_token(llm: Any) -> Tensor:
            words = llm.get_input_embeddings()(torch.zeros(1, PROMPT_TOKENS, dtype=torch.long, device=self.device))
            projection = filled(
                lambda: create_input_projection(self.config.input_projection, words.shape[-1]),
                torch.float32, self.device,
            )  # fmt: skip
            heard = [replace(item, vectors=item.vectors.float()) for item in features]
            modalities = [medium.modality for medium, _ in _media()][: len(heard)]
            soft = projection(heard, modalities).flatten(0, 1)[None].to(words.dtype)  # (1, N * K, D)
            hidden = llm.base_model(inputs_embeds=torch.cat((soft, words), dim=1)).last_hidden_state
            llm.get_output_embeddings()(hidden[:, -1])
            return hidden

        return self._measured("llm", lambda: build_llm(self._home("llm")), self.narrow, say_one_token)

    def _synthesize(self, modality: str, hidden: Tensor) -> Iterator[PartCost]:
        from nextgpt.model.output_projection import create_output_projection

        settings = self.config.synthesizers[modality].output_projection
        projection = filled(
            lambda: create_output_projection(settings, hidden.shape[-1]), torch.float32, self.device
        )
        signals = hidden[:, -MODALITIES[modality].signal_count :].float()
        condition = projection(signals, torch.zeros_like(signals[0]))
        synthesizer = random_synthesizer(self._home(modality), modality, dtype=self.wide, device=self.device)
        parts = synthesizer.parts
        step, cost = self._measured(
            f"{modality}.denoiser",
            lambda: parts.built("denoiser"),
            self.wide,
            lambda denoiser: next(parts.holding("denoiser", denoiser, lambda: synthesizer.steps(
                condition, seeds=[0], num_steps=1, guidance=1))),
        )  # fmt: skip
        yield cost
        parts.drop()
        _, cost = self._measured(
            f"{modality}.decoder",
            lambda: parts.built("vae"),
            torch.float32,
            lambda vae: parts.holding("vae", vae, lambda: synthesizer.decode(step.latents)),
        )
        parts.drop()
        yield cost

    def _measured(
        self, name: str, build: Callable[[], nn.Module], dtype: torch.dtype, work: Callable[[Any], Any]
    ) -> tuple[Any, PartCost]:
        start = time.perf_counter()
        module = filled(build, dtype, self.device)
        _finish(self.device)
        loaded = time.perf_counter()
        with torch.inference_mode():
            made = work(module)
        _finish(self.device)
        done = time.perf_counter()
        size = sum(parameter.nbytes for parameter in module.parameters())
        cost = PartCost(
            name, count(module), str(dtype).removeprefix("torch."), size / 1e9, loaded - start, done - loaded,
            size / self.bandwidth, _memory_gb(self.device),
        )  # fmt: skip
        del module
        gc.collect()
        return made, cost

    def _home(self, part: str) -> Path:
        return part_folder(part, self.config.sources[part], self.folder)


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
    target.copy_(source)
    _finish(device)
    start = time.perf_counter()
    target.copy_(source)
    _finish(device)
    return 2 * BANDWIDTH_BYTES / (time.perf_counter() - start)


def _finish(device: str) -> None:
    """Wait until a GPU has done what it was asked."""
    if device != "cpu":
        torch.cuda.synchronize(device)


def _memory_gb(device: str) -> float:
    """The most that was in use so far: of the GPU since the last part, or of the process in all."""
    if device == "cpu":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e9
    used = torch.cuda.max_memory_allocated(device) / 1e9
    torch.cuda.reset_peak_memory_stats(device)
    return used


def as_table(turn: TurnCost) -> str:
    """The costs as a table in Markdown."""
    lines = [
        f"| {part.name} | {part.parameters:,} | {part.dtype} | {part.weights_gb:.2f} | {part.load_s:.2f} | "
        f"{part.run_s:.3g} | {part.floor_s:.3g} | {part.memory_gb:.2f} |"
        for part in turn.parts
    ]
    heading = "| part | parameters | dtype | weights GB | load s | run s | floor s | peak GB |"
    about = f"{turn.model} with random weights on {turn.device}, memory at {turn.bandwidth_gb_s:.1f} GB/s; "
    return "\n".join(
        [f"{about}at most {turn.peak_gb:.2f} GB in use", "", heading, "| --- " + "| ---: " * 7 + "|", *lines]
    ) + "\n"
