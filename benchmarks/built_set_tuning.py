"""Build a set with the mock endpoint, tune nano on it, and compare both on dialogues of another seed.

``python -m benchmarks.built_set_tuning --work out/built-set`` does what ``nextgpt data build``, ``nextgpt data
validate`` and ``nextgpt train`` do, one after another, as docs/data-building.md describes them. Two values are measured
on the held-out dialogues before and after: the losses of the assistant's turns, and for how many requests the reply has
the planned modalities, with all earlier turns as they stand in the set. Another call continues where the last one
stopped.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import yaml

from nextgpt import NextGPT
from nextgpt.data.build.pipeline import build
from nextgpt.data.build.recipe import read_build_recipe
from nextgpt.data.corpus import read_corpus
from nextgpt.data.record import Dialogue, dialogue_of
from nextgpt.data.validation import validate
from nextgpt.evaluate.score import Score
from nextgpt.logging import silence_libraries
from nextgpt.message import Conversation, Sampling
from nextgpt.train.align import build_example_prompt
from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.dataset import LocalBatch, TrainingItem, example_of
from nextgpt.train.frozen_encoders import FrozenEncoders, attach_encoder_outputs
from nextgpt.train.initial_model import load_initial_model, set_trainable
from nextgpt.train.objective import AlignmentObjective
from nextgpt.train.recipe import read_recipe, run_recipe

RECIPE = Path(__file__).parents[1] / "recipes" / "data" / "mosit-mock.yaml"
SEEDS = {"training": 0, "held-out": 1}
BATCH = 8
"""Dialogues or requests per forward pass."""
FEW_STEPS = 1
"""Denoising steps of replies, as only their modalities are counted."""


def build_sets(work: Path, dialogues: dict[str, int], settings: list[str]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Build and validate both sets; yield their counts."""
    for name, seed in SEEDS.items():
        overrides = [f"work={work / name}", f"seed={seed}", f"dialogues={dialogues[name]}", *settings]
        built = build(read_build_recipe(RECIPE, overrides)).summary()
        report = validate(read_corpus(corpus(work / name)))
        yield name, {"kept": built["kept"], "valid": report.records, "invalid": len(report.invalid)} | report.media


def corpus(folder: Path) -> Path:
    """Return the exported messages of a build."""
    return folder / "export" / "messages" / "data.jsonl"


def training(work: Path, model: Path | str, steps: int, corpus_path: Path) -> dict[str, Any]:
    """Return the recipe of an instruction tuning, as in docs/data-building.md."""
    return {
        "kind": "alignment",
        "stage": "instruction-tuning",
        "init_from": str(model),
        "model": str(work / "tuned"),
        "work": str(work / "tuned-work"),
        "data": {"corpora": {"built": {"path": str(corpus_path)}}},
        "fit": {"max_steps": steps, "batch_size": 8, "learning_rate": 1e-4, "warmup_steps": 5, "log_steps": 5},
        "engine": {"num_workers": 0},
    }


@torch.no_grad()
def held_out_losses(recipe: AlignmentRecipe, dialogues: list[Dialogue]) -> dict[str, float]:
    """Return the mean of each loss over the dialogues."""
    model = load_initial_model(recipe, device=torch.device("cpu"))
    stage = recipe.resolved_stage
    set_trainable(model, stage, recipe.lora)
    model.eval()
    objective = AlignmentObjective(model, stage)
    items = tuple(to_item(model, dialogue, index) for index, dialogue in enumerate(dialogues))
    encoders = FrozenEncoders.of(model, recipe.model_dir, stage)
    sums: Counter[str] = Counter()
    terms: Counter[str] = Counter()
    for batch in attach_encoder_outputs(iter(LocalBatch(items).split(BATCH)), encoders):
        counts = objective.num_terms(batch)
        terms.update(counts)
        sums.update({name: float(loss) * counts[name] for name, loss in objective(batch).items()})
    return {name: round(total / terms[name], 4) for name, total in sums.items()}


def to_item(model: NextGPT, dialogue: Dialogue, seed: int) -> TrainingItem:
    """Open the user's media of a dialogue and build its prompt."""
    media = tuple(medium.open() for medium in dialogue.input_media)
    example = example_of(dialogue, media)
    captions = tuple((medium.modality, medium.caption) for medium in dialogue.output_media)
    return TrainingItem(dialogue.key, example, build_example_prompt(model, None, example), captions, seed, media)


def modality_outcomes(model: NextGPT, dialogues: list[Dialogue]) -> list[bool]:
    """Return for each request whether the reply has the modalities of the set, in any order."""
    requests: list[Conversation] = []
    expected: list[list[str]] = []
    for dialogue in dialogues:
        conversation = dialogue.conversation(lambda medium: medium.open())
        for index, turn in enumerate(dialogue.turns):
            if turn.role == "assistant":
                requests.append(Conversation(conversation.messages[:index]))
                expected.append(sorted(medium.modality for medium in turn.media))
    outcomes: list[bool] = []
    sampling = Sampling(max_tokens=96, num_inference_steps=FEW_STEPS)
    for start in range(0, len(requests), BATCH):
        replies = model.chat_batch(requests[start : start + BATCH], sampling)
        for reply, modalities in zip(replies, expected[start:], strict=False):
            outcomes.append(sorted(medium.modality for medium in reply.message.media) == modalities)
    return outcomes


def main() -> None:
    """Run the loop and print its values as JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--work", type=Path, required=True, help="Folder of both sets and of the tuned model.")
    parser.add_argument("--model", default="nano")
    parser.add_argument("--dialogues", type=int, default=50)
    parser.add_argument("--held-out", type=int, default=10, help="Dialogues to compare on.")
    parser.add_argument("--steps", type=int, default=40)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="Settings of the recipe.")
    options = parser.parse_args()
    silence_libraries()
    options.work.mkdir(parents=True, exist_ok=True)
    counts = {"training": options.dialogues, "held-out": options.held_out}
    result: dict[str, Any] = {"sets": dict(build_sets(options.work, counts, options.set)), "steps": options.steps}
    print(json.dumps(result["sets"]), file=sys.stderr, flush=True)
    values = training(options.work, options.model, options.steps, corpus(options.work / "training"))
    path = options.work / "training.yaml"
    path.write_text(yaml.safe_dump(values), encoding="utf-8")
    run_recipe(read_recipe(path))
    metrics = (options.work / "tuned-work" / "metrics.jsonl").read_text(encoding="utf-8").splitlines()
    result["training_loss"] = [round(json.loads(line)["loss"], 4) for line in (metrics[0], metrics[-1])]
    dialogues = [dialogue_of(record, "generation") for record in read_corpus(corpus(options.work / "held-out")).records]
    for name, model in (("before", options.model), ("after", options.work / "tuned")):
        recipe = AlignmentRecipe.model_validate(values | {"init_from": str(model)})
        score = Score.from_outcomes("modalities", modality_outcomes(NextGPT.from_pretrained(str(model)), dialogues))
        modalities = {"value": score.value, "low": score.low, "high": score.high, "cases": score.cases}
        result[name] = {"losses": held_out_losses(recipe, dialogues), "modalities": modalities}
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
