"""Decoding speed of the LLM of ``small`` in each number format, against transformers' ``generate`` in float32.

    python benchmarks/decoding_speed.py [--formats int8_fbgemm] [--batch-sizes 1 8] [--tokens 16] [--rounds 3] [--json]

Systems take turns, and the least time per step counts. ``processor`` is the time of all threads, which other programs
change less. ``bound`` is the time in which the processor reads the weights once, at the speed with which it reads a
large tensor. ``agreement`` is the share of positions of a text at which the format and float32 predict the same token,
``divergence`` the Kullback-Leibler divergence (nats) from float32's predictions.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any, get_args

import torch
from torch import Tensor

from nextgpt.config import read_config
from nextgpt.logging import silence_libraries
from nextgpt.model.fused_linear import FusedDtype
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.llm.fused_decoder import FusedDecoder
from nextgpt.model.llm.kv_cache import BatchedKVCache
from nextgpt.model.llm.llama import load_llama
from nextgpt.model.model_dir import resolve_model_dir

PROMPT_LENGTH = 40
TEXT = Path(__file__).with_name("general-prompts.txt")
BYTES = {"float32": 4, "bfloat16": 2, "int8": 1, "int8_fbgemm": 1}
READ_BYTES = 2**28

Times = tuple[float, float]
"""Seconds of the clock and of all threads' processor time."""


@dataclass(frozen=True)
class Result:
    """One format at one batch size; times are per step, which gives one token per sequence."""

    format: str
    batch_size: int
    step_ms: float
    processor_ms: float
    tokens_per_s: float
    bound_ms: float
    ratio: float
    """Clock time of stock ``generate`` / that of the format."""
    processor_ratio: float
    agreement: float = 1.0
    divergence: float = 0.0


class StockDecoding:
    """``generate`` of transformers, in float32."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM

        self.model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()

    def generate(self, batch_size: int, tokens: int) -> None:
        ids = torch.full((batch_size, PROMPT_LENGTH), 100)
        self.model.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), max_new_tokens=tokens, min_new_tokens=tokens,
            do_sample=False,
        )  # fmt: skip

    def log_probabilities(self, ids: Sequence[int]) -> Tensor:
        return self.model(torch.tensor([ids])).logits[0].float().log_softmax(dim=-1)


class FusedDecoding:
    """The fused decoder with its cache and head, greedy."""

    def __init__(self, folder: Path, dtype: FusedDtype) -> None:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        transformer = load_llama(folder, config, dtype=torch.bfloat16)
        self.words = transformer.get_input_embeddings()
        self.decoder = FusedDecoder(transformer, dtype=dtype)

    def generate(self, batch_size: int, tokens: int) -> None:
        cache = BatchedKVCache([None] * batch_size, torch.device("cpu"))
        ids = torch.full((batch_size, PROMPT_LENGTH), 100)
        for _ in range(tokens):
            logits = self.decoder.head(self._hidden(ids, cache)[:, -1])
            ids = torch.from_numpy(logits.float().numpy().argmax(axis=-1))[:, None]

    def log_probabilities(self, ids: Sequence[int]) -> Tensor:
        cache = BatchedKVCache([None], torch.device("cpu"))
        return self.decoder.head(self._hidden(torch.tensor([ids]), cache))[0].float().log_softmax(dim=-1)

    def _hidden(self, ids: Tensor, cache: BatchedKVCache) -> Tensor:
        positions = torch.arange(ids.shape[1]).expand(ids.shape) + cache.mask.shape[1]
        mask = cache.extend(torch.ones(ids.shape, dtype=torch.bool))
        return self.decoder(self.words(ids), mask, positions, cache.cache)


def measure(work: Callable[[], object]) -> Times:
    """Measure one call."""
    clock, processor = time.perf_counter(), time.process_time()
    work()
    return time.perf_counter() - clock, time.process_time() - processor


def step_times(long: Sequence[Times], short: Sequence[Times], tokens: int) -> Times:
    """Return the least times of a step after the first token: long replies less replies of one token."""
    clock, processor = (
        (min(times[kind] for times in long) - min(times[kind] for times in short)) / (tokens - 1) for kind in (0, 1)
    )
    if clock <= 0 or processor <= 0:
        raise SystemExit(
            "Other programs disturb the measurement: more tokens took less time. Raise --tokens or --rounds."
        )
    return clock, processor


def read_bytes_per_s() -> float:
    """Measure how fast all threads read a tensor that no cache holds."""
    data = torch.ones(READ_BYTES // 4)
    return READ_BYTES / min(measure(data.sum)[0] for _ in range(5))


@torch.inference_mode()
def run(formats: Sequence[FusedDtype], batch_sizes: Sequence[int], tokens: int, rounds: int) -> list[Result]:
    """Measure all systems."""
    model_dir = resolve_model_dir("small")
    folder = resolve_component_dir(read_config(model_dir).llm.source, model_dir)
    bytes_per_s = read_bytes_per_s()
    systems: dict[str, StockDecoding | FusedDecoding] = {"float32": StockDecoding(folder)}
    systems |= {name: FusedDecoding(folder, name) for name in formats}
    num_weights = sum(parameter.numel() for parameter in systems["float32"].model.parameters())  # type: ignore[union-attr]
    ids = _text_ids(folder)
    expected = systems["float32"].log_probabilities(ids)
    results = []
    for batch_size in batch_sizes:
        long: dict[str, list[Times]] = {name: [] for name in systems}
        short: dict[str, list[Times]] = {name: [] for name in systems}
        for _ in range(rounds):
            for name, system in systems.items():
                long[name].append(measure(partial(system.generate, batch_size, tokens)))
                short[name].append(measure(partial(system.generate, batch_size, 1)))
        best = {name: step_times(long[name], short[name], tokens) for name in systems}
        for name, (clock, processor) in best.items():
            actual = systems[name].log_probabilities(ids)
            results.append(
                Result(
                    name,
                    batch_size,
                    1000 * clock,
                    1000 * processor,
                    batch_size / clock,
                    1000 * num_weights * BYTES[name] / bytes_per_s,
                    best["float32"][0] / clock,
                    best["float32"][1] / processor,
                    float((actual.argmax(dim=-1) == expected.argmax(dim=-1)).float().mean()),
                    float((expected.exp() * (expected - actual)).sum(dim=-1).mean()),
                )  # fmt: skip
            )
    return results


def _text_ids(folder: Path, length: int = 300) -> list[int]:
    from transformers import PreTrainedTokenizerFast

    tokenizer = PreTrainedTokenizerFast.from_pretrained(folder)
    return tokenizer.encode(TEXT.read_text(encoding="utf-8"))[:length]


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--formats", nargs="+", choices=get_args(FusedDtype), default=list(get_args(FusedDtype)))
    parser.add_argument("--batch-sizes", nargs="+", type=int, default=[1, 8])
    parser.add_argument("--tokens", type=int, default=16, help="tokens per reply, at least 2")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    if options.tokens < 2:
        parser.error("--tokens must be at least 2: the first token is not measured")
    silence_libraries()
    rows = [asdict(row) for row in run(options.formats, options.batch_sizes, options.tokens, options.rounds)]
    if options.json:
        print(json.dumps({"threads": torch.get_num_threads(), "rows": rows}))
        return
    print(" | ".join(rows[0]))
    for row in rows:
        print(" | ".join(f"{value:.4g}" if isinstance(value, float) else str(value) for value in row.values()))


if __name__ == "__main__":
    main()
