"""Time that the feature cache saves per modality at nano size, and the difference of the losses with and without it.

    python benchmarks/feature_cache.py [--steps 6] [--batch-size 32] [--json]

The same batches are prepared twice, alternately: from media and captions, and from the cache of ``nextgpt data cache``.
Then the losses and gradients of both are computed. Times are CPU time of one thread, medians over batches.
``benchmarks/paper_size_cost.py`` computes the savings at paper size.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from make_corpus import write_corpus
from torch import Tensor
from training_speed import cpu_seconds, recipe_of

from nextgpt.logging import silence_libraries
from nextgpt.modality import MODALITIES
from nextgpt.model.encoding.base import Features
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.align import make_sampler
from nextgpt.train.dataset import LocalBatch
from nextgpt.train.feature_cache import build_cache
from nextgpt.train.frozen_encoders import EncodePrompts, lazy_prompt_encoders
from nextgpt.train.initial_model import load_initial_model, set_trainable
from nextgpt.train.objective import AlignmentObjective
from nextgpt.train.stages import STAGES


@dataclass(frozen=True)
class Saving:
    """Milliseconds per example of one modality in one stage."""

    stage: str
    modality: str
    uncached_ms: float
    """Reading, decoding and encoding media, and encoding captions."""
    cached_ms: float
    """Reading the same outputs from the cache."""
    learning_ms: float
    """Forward and backward pass, which is the same for both."""
    times_faster: float
    """Ratio of a complete step without the cache to one with it."""
    loss_difference: float
    """Largest difference of any loss of any batch."""


def measure(stage: str, modality: str, corpus: Path, steps: int, batch_size: int) -> Saving:
    """Prepare the same batches with and without the cache."""
    stage_recipe = recipe_of(stage, corpus, steps, batch_size, bf16=False)
    recipe = stage_recipe.model_copy(
        update={
            "data": {"corpora": {modality: stage_recipe.data["corpora"][modality]}},
            "cache": corpus / f"cache-{stage}-{modality}",
        }
    )
    build_cache(recipe)
    model = load_initial_model(recipe)
    set_trainable(model, STAGES[stage], recipe.lora)
    objective, conditioners = (AlignmentObjective(model, STAGES[stage]), lazy_prompt_encoders(model, recipe.model_dir))
    cached_sampler, uncached_sampler = (
        make_sampler(recipe, model),
        make_sampler(recipe.model_copy(update={"cache": None}), model),
    )
    seconds: dict[str, list[float]] = {"uncached": [], "cached": [], "learning": []}
    difference = 0.0
    for step in range(steps + 1):  # the first step loads the components
        losses: dict[str, dict[str, Tensor]] = {"uncached": {}, "cached": {}}
        uncached, cached = UncachedOutputs(model, conditioners), cached_sampler.local_batch(step)
        seconds["uncached"].append(
            cpu_seconds(lambda uncached=uncached, step=step: uncached.compute(uncached_sampler.local_batch(step)))
        )
        seconds["cached"].append(cpu_seconds(lambda step=step: cached_sampler.local_batch(step)))
        for name, batch in (("uncached", uncached.replace_in(cached)), ("cached", cached)):
            seconds["learning"].append(
                cpu_seconds(lambda name=name, batch=batch, losses=losses: backward(objective, batch, losses[name]))
            )
        differences = [(losses["cached"][name] - value).detach().abs() for name, value in losses["uncached"].items()]
        difference = max(difference, *map(float, differences))
    ms = {name: 1e3 * statistics.median(found[1:]) / batch_size for name, found in seconds.items()}
    faster = (ms["uncached"] + ms["learning"]) / (ms["cached"] + ms["learning"])
    return Saving(stage, modality, ms["uncached"], ms["cached"], ms["learning"], faster, difference)


class UncachedOutputs:
    """Computes the features and conditions of one batch with the frozen components."""

    def __init__(self, model: NextGPT, conditioners: Mapping[str, EncodePrompts]) -> None:
        self.model, self.conditioners = model, conditioners
        self.features: list[Features] = []
        self.conditions: list[Tensor] = []

    @torch.no_grad()
    def compute(self, batch: LocalBatch) -> None:
        """Encode all input media, and the captions of all output media."""
        media = [medium for item in batch.items for medium in item.input_media]
        self.features = self.model.encoder.encode(media) if media else []
        captions = [pair for item in batch.items for pair in item.target_captions]
        if captions:  # of one modality
            self.conditions = [*self.conditioners[captions[0][0]]([caption for _, caption in captions]).clone()]

    def replace_in(self, batch: LocalBatch) -> LocalBatch:
        """Return the batch with these outputs in place of the cached ones."""
        features, conditions = iter(self.features), iter(self.conditions)
        items = []
        for item in batch.items:
            new_features = tuple(next(features) for _ in item.encoded.features)
            targets = tuple(next(conditions) for _ in item.encoded.targets)
            items.append(replace(item, encoded=replace(item.encoded, features=new_features, targets=targets)))
        return replace(batch, items=tuple(items))


def backward(objective: AlignmentObjective, batch: LocalBatch, found: dict[str, Tensor]) -> None:
    """Add the losses to ``found`` and run the backward pass."""
    found |= objective(batch)
    torch.stack(list(found.values())).sum().backward()
    objective.zero_grad()


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--corpus", type=Path, help="folder of the corpus, which is written if missing")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    silence_libraries()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rows: list[Saving] = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = args.corpus or Path(folder) / "corpus"
        if not corpus.exists():
            write_corpus(corpus, pairs=args.pairs, dialogues=1)
        for stage in ("encoding-alignment", "decoding-alignment"):
            for modality in MODALITIES:
                rows.append(measure(stage, modality, corpus, args.steps, args.batch_size))
                print(f"{stage}, {modality}: done", file=sys.stderr)
    if args.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
        return
    print("| per example | uncached, ms | cached, ms | forward and backward, ms | step | largest loss difference |")
    print("| --- |" + " ---: |" * 5)
    for row in rows:
        print(
            f"| {row.stage}, {row.modality} | {row.uncached_ms:.2f} | {row.cached_ms:.2f} | {row.learning_ms:.2f} "
            f"| {row.times_faster:.1f} × faster | {row.loss_difference:.1e} |"
        )


if __name__ == "__main__":
    main()
