"""Up to which size it pays to make media of two modalities at once, on a share of the cores each.

    python benchmarks/at_once.py [--model nano] [--threads 2] [--runs 3] [--json]

A model's picture and film synthesizers make the same media at once and in turn, for growing numbers of them. Seconds
are the least of the runs, by the wall clock, so the machine has to be idle. It is where ``LIGHT_STEP_MACS`` of
``nextgpt.model.synthesis.batching`` comes from.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

import torch

from nextgpt.logging import silence_libraries
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis import batching
from nextgpt.model.synthesis.batching import SynthesisRequest, synthesize_batch

MODALITIES = ("image", "video")
COUNTS = (1, 2, 4, 8, 16, 32)
NEVER, ALWAYS = 0.0, float("inf")


@dataclass(frozen=True)
class Measured:
    """So many media of each modality."""

    count: int
    step_gmacs: float
    """Of one step of the modality that takes more, all media together, in thousand millions."""
    in_turn_s: float
    at_once_s: float

    @property
    def share(self) -> float:
        """What at once takes of in turn."""
        return self.at_once_s / self.in_turn_s


@torch.inference_mode()
def measure(model: NextGPT, threads: int, runs: int, counts: tuple[int, ...] = COUNTS) -> Iterator[Measured]:
    """Make media both ways, run by run."""
    synthesizers = {name: model.synthesizer(name) for name in MODALITIES}
    for count in counts:
        orders = [
            SynthesisRequest((row, place), name, torch.randn(*synthesizers[name].condition_shape), seed=row)
            for row in range(count)
            for place, name in enumerate(MODALITIES)
        ]
        seconds: dict[float, list[float]] = {ALWAYS: [], NEVER: []}
        for _ in range(runs):
            for limit, found in seconds.items():
                found.append(_took(orders, synthesizers, threads, limit))
        macs = max(count * synthesizer.macs_per_step for synthesizer in synthesizers.values())
        yield Measured(count, macs / 1e9, min(seconds[NEVER]), min(seconds[ALWAYS]))


def _took(orders: list[SynthesisRequest], synthesizers: dict, threads: int, limit: float) -> float:
    before, batching.PARALLEL_MAX_MACS = batching.PARALLEL_MAX_MACS, limit
    start = time.perf_counter()
    for _ in synthesize_batch(orders, synthesizers.__getitem__, threads=threads):
        pass
    batching.PARALLEL_MAX_MACS = before
    return time.perf_counter() - start


def as_table(rows: list[Measured]) -> str:
    """Markdown."""
    lines = ["| media of each | a step, GMAC | in turn, s | at once, s | share |", "| ---: " * 5 + "|"]
    lines += [
        f"| {row.count} | {row.step_gmacs:.2f} | {row.in_turn_s:.3f} | {row.at_once_s:.3f} | {row.share:.2f} |"
        for row in rows
    ]
    return "\n".join(lines)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="nano")
    parser.add_argument(
        "--threads", type=int, default=torch.get_num_threads(), help="of torch, for both ways"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    silence_libraries()
    torch.set_num_threads(asked.threads)
    torch.set_flush_denormal(True)
    rows = list(measure(NextGPT.from_pretrained(asked.model), asked.threads, asked.runs))
    print(json.dumps([asdict(row) for row in rows]) if asked.json else as_table(rows))


if __name__ == "__main__":
    main()
