"""What the feature cache saves, a modality, at nano size; and that losses are the same with it and without.

    python benchmarks/feature_cache.py [--steps 6] [--batch-size 32] [--json]

The same batches are made ready twice, in turns: from media and captions, and from what ``nextgpt data cache`` kept.
Then the losses of both are computed, and gone back from. Seconds are those of one thread's own work, medians over
batches.
What it saves at paper size is counted by ``benchmarks/paper_size_cost.py``.
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
from training_speed import recipe_of, took

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
    """One modality in one stage; milliseconds an example."""

    stage: str
    modality: str
    uncached_ms: float
    """To read and decode media, encode them, and put captions through the text encoder."""
    cached_ms: float
    """To read the same from the cache."""
    learning_ms: float
    """Losses and gradients, which are the same work for both."""
    times_faster: float
    """A whole step."""
    loss_difference: float
    """The largest, of any loss of any batch."""


def measure(stage: str, modality: str, corpus: Path, steps: int, batch_size: int) -> Saving:
    """Make the same batches ready both ways."""
    whole = recipe_of(stage, corpus, steps, batch_size, bf16=False)
    recipe = whole.model_copy(
        update={
            "data": {"corpora": {modality: whole.data["corpora"][modality]}},
            "cache": corpus / f"cache-{stage}-{modality}",
        }
    )
    build_cache(recipe)
    model = load_initial_model(recipe)
    set_trainable(model, STAGES[stage], recipe.lora)
    objective, conditioners = (
        AlignmentObjective(model, STAGES[stage]),
        lazy_prompt_encoders(model, recipe.model_dir),
    )
    with_cache, without = (
        make_sampler(recipe, model),
        make_sampler(recipe.model_copy(update={"cache": None}), model),
    )
    seconds: dict[str, list[float]] = {"uncached": [], "cached": [], "learning": []}
    difference = 0.0
    for step in range(steps + 1):  # in the first, parts are loaded
        losses: dict[str, dict[str, Tensor]] = {"uncached": {}, "cached": {}}
        fresh, known = Fresh(model, conditioners), with_cache.local_batch(step)
        seconds["uncached"].append(
            took(lambda fresh=fresh, step=step: fresh.compute(without.local_batch(step)))
        )
        seconds["cached"].append(took(lambda step=step: with_cache.local_batch(step)))
        for name, batch in (("uncached", fresh.over(known)), ("cached", known)):
            seconds["learning"].append(
                took(lambda name=name, batch=batch, losses=losses: learn(objective, batch, losses[name]))
            )
        apart = [
            (losses["cached"][name] - value).detach().abs() for name, value in losses["uncached"].items()
        ]
        difference = max(difference, *map(float, apart))
    ms = {name: 1e3 * statistics.median(found[1:]) / batch_size for name, found in seconds.items()}
    faster = (ms["uncached"] + ms["learning"]) / (ms["cached"] + ms["learning"])
    return Saving(stage, modality, ms["uncached"], ms["cached"], ms["learning"], faster, difference)


class Fresh:
    """Features and conditions of one batch, computed by the frozen parts."""

    def __init__(self, model: NextGPT, conditioners: Mapping[str, EncodePrompts]) -> None:
        self.model, self.conditioners = model, conditioners
        self.features: list[Features] = []
        self.conditions: list[Tensor] = []

    @torch.no_grad()
    def compute(self, batch: LocalBatch) -> None:
        """Encode all media that are given, and all captions of what is made."""
        given = [medium for item in batch.items for medium in item.input_media]
        self.features = self.model.encoder.encode(given) if given else []
        made = [pair for item in batch.items for pair in item.target_captions]
        if made:  # of one modality
            self.conditions = [*self.conditioners[made[0][0]]([caption for _, caption in made]).clone()]

    def over(self, batch: LocalBatch) -> LocalBatch:
        """The same batch with these in place of what its cache knows."""
        features, conditions = iter(self.features), iter(self.conditions)
        items = []
        for item in batch.items:
            heard = tuple(next(features) for _ in item.encoded.features)
            wanted = tuple(next(conditions) for _ in item.encoded.targets)
            items.append(replace(item, encoded=replace(item.encoded, features=heard, targets=wanted)))
        return replace(batch, items=tuple(items))


def learn(objective: AlignmentObjective, batch: LocalBatch, found: dict[str, Tensor]) -> None:
    """Losses into ``found``, and their gradients."""
    found |= objective(batch)
    torch.stack(list(found.values())).sum().backward()
    objective.zero_grad()


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--steps", type=int, default=6)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=96)
    parser.add_argument("--corpus", type=Path, help="a folder to write the corpus to, or where it is already")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    silence_libraries()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    rows: list[Saving] = []
    with tempfile.TemporaryDirectory() as folder:
        corpus = asked.corpus or Path(folder) / "corpus"
        if not corpus.exists():
            write_corpus(corpus, pairs=asked.pairs, dialogues=1)
        for stage in ("encoding-alignment", "decoding-alignment"):
            for modality in MODALITIES:
                rows.append(measure(stage, modality, corpus, asked.steps, asked.batch_size))
                print(f"{stage}, {modality} is measured", file=sys.stderr)
    if asked.json:
        print(json.dumps({"rows": [asdict(row) for row in rows]}))
        return
    print("| an example | uncached, ms | cached, ms | learning, ms | a step | largest difference of a loss |")
    print("| --- |" + " ---: |" * 5)
    for row in rows:
        print(
            f"| {row.stage}, {row.modality} | {row.uncached_ms:.2f} | {row.cached_ms:.2f} | {row.learning_ms:.2f} "
            f"| {row.times_faster:.1f} × faster | {row.loss_difference:.1e} |"
        )


if __name__ == "__main__":
    main()
