"""Train a model to answer the requests of the suite beyond-words, to find out what the direct way needs for them.

    python benchmarks/beyond_words_training.py MODEL --out FOLDER --steps 300
    python benchmarks/beyond_words.py FOLDER --limit 40

Continues instruction tuning: every second batch has requests that refer to a given medium, whose answers name no value;
the others are the dialogues that nano was trained on, so that it keeps what it can do. The target of an image is the
mixture of the synthesizer's conditions for the nearest captions, in the proportion of the given value. Mixed conditions
give no pitch between the named ones, so audio is trained by the denoising loss on the right answer, through the frozen
diffusion model, unless ``--audio-target mixture`` is given. Offsets from named values are uniform, and values close to
those of the suite's items (seeds 0 and 1) are left out. ``--train output_projections`` trains these alone, with LLM and
LoRA frozen.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import torch
from torch import Tensor

from nextgpt.evaluate.caption_synthesizer import create_prompt_encoders
from nextgpt.evaluate.miniworld.beyond_words import KINDS, BeyondWordsItem, sample_items
from nextgpt.message import Conversation, Text
from nextgpt.miniworld.language.canonical_captions import canonical_caption
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder
from nextgpt.train.align import build_example_prompt, make_sampler
from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.dataset import PLACEHOLDER_MEDIA, EncodedItem, Example, LocalBatch, TrainingItem
from nextgpt.train.distributed import DistributedContext
from nextgpt.train.frozen_encoders import FrozenEncoders, attach_encoder_outputs
from nextgpt.train.initial_model import load_initial_model, set_trainable
from nextgpt.train.objective import AlignmentObjective
from nextgpt.train.trainer import Callbacks, train

GENERAL_TASKS = {
    "phrased": 30.0, "phrased.dialogue": 8.0, "phrased.edit_given": 5.0, "any": 15.0, "edit_image": 4.0,
    "edit_audio": 2.0, "question": 4.0, "outside": 3.0, "indirect_image": 2.0, "indirect_audio": 1.0,
}  # fmt: skip
ANSWERS = {"hue": "in this color", "place": "at this place", "pitch": "at this pitch"}
MARGINS = {"hue": 1.0, "place": 0.5, "pitch": 0.1}
"""Training values are farther than this from those of the suite's items, in the unit of the error."""
SUITE_SEEDS, SUITE_LIMIT = (0, 1), 40
BATCH_SIZE = 32


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--items", type=int, default=700, help="requests per kind")
    parser.add_argument("--general-batches", type=int, default=25, help="different batches of ordinary dialogues")
    parser.add_argument("--seed", type=int, default=100)
    parser.add_argument("--audio-target", choices=("denoising", "mixture"), default="denoising")
    parser.add_argument("--train", choices=("all", "output_projections"), default="all")
    arguments = parser.parse_args()
    denoises = arguments.audio_target == "denoising"
    recipe = create_recipe(arguments.model, arguments.out, arguments.steps, arguments.seed, denoises=denoises)
    model = load_initial_model(recipe)
    set_trainable(model, recipe.resolved_stage, recipe.lora)
    if arguments.train == "output_projections":
        model.requires_grad_(False)
        model.output_projections.requires_grad_(True)
    general = general_batches(recipe, model, arguments.general_batches)
    requests = training_items(recipe, model, arguments.items, arguments.seed)

    def batches(first_step: int) -> Iterator[LocalBatch]:
        for step in range(first_step, arguments.steps):
            if step % 2:
                yield general[step // 2 % len(general)]
            else:
                rows = torch.randint(len(requests), (BATCH_SIZE,), generator=torch.Generator().manual_seed(step))
                yield LocalBatch(tuple(replace(requests[row], seed=seed) for seed, row in enumerate(rows, step << 10)))

    train(
        RequestObjective(model, recipe.resolved_stage, recipe.loss_weights),
        batches,
        recipe.fit,
        recipe.work,
        engine=recipe.engine,
        context=DistributedContext(),
        callbacks=Callbacks(on_metrics=lambda metrics: print(metrics, flush=True)),
    )
    model.eval()
    model.save_pretrained(recipe.model, dtype=torch.bfloat16)


class RequestObjective(AlignmentObjective):
    """Trains audio with latents by the denoising loss alone, everything else as :class:`AlignmentObjective` does."""

    def forward(self, batch: LocalBatch) -> dict[str, Tensor]:
        """Return the losses of a batch that has requests, or dialogues, alone."""
        losses = super().forward(batch)
        if "denoising.audio" in losses:
            losses["mse.audio"] = 0 * losses["mse.audio"]
        return losses


def create_recipe(model: str, out: Path, steps: int, seed: int, *, denoises: bool) -> AlignmentRecipe:
    """Return the settings of ``recipes/nano/7-instruction-tuning.yaml`` for a short continuation."""
    fit = {
        "max_steps": steps, "batch_size": BATCH_SIZE, "learning_rate": 1e-3, "muon_learning_rate": 0.01,
        "lr_multipliers": {"input_projection": 0.1}, "weight_decay": 0.0, "warmup_steps": 20, "ema_decay": 0.98,
        "save_steps": steps, "seed": seed,
    }  # fmt: skip
    losses = {"cross_entropy": 1, "mse": 3} | ({"denoising": 0.1} if denoises else {})
    return AlignmentRecipe.model_validate(
        {
            "kind": "alignment",
            "stage": "instruction-tuning",
            "model": out,
            "work": out.with_name(f"{out.name}-work"),
            "init_from": model,
            "data": {"miniworld": {"brief_share": 0.0, "tasks": GENERAL_TASKS}},
            "batch_unit": "turn",
            "losses": losses,
            "engine": {"num_workers": 0},
            "fit": fit,
        }  # fmt: skip
    )


def general_batches(recipe: AlignmentRecipe, model: NextGPT, count: int) -> list[LocalBatch]:
    """Return batches of ordinary dialogues, encoded, without latents."""
    sampler = replace(make_sampler(recipe, model), loads_targets=False)
    encoders = replace(FrozenEncoders.of(model, recipe.model_dir, recipe.resolved_stage), encode_latents={})
    batches = attach_encoder_outputs(map(sampler.local_batch, range(count)), encoders)
    return [LocalBatch(tuple(map(without_latents, batch.items))) for batch in batches]


def without_latents(item: TrainingItem) -> TrainingItem:
    """Return an item whose media take no part in the denoising loss."""
    assert item.encoded is not None
    return replace(item, encoded=replace(item.encoded, latents=(None,) * len(item.target_captions)))


@torch.no_grad()
def training_items(recipe: AlignmentRecipe, model: NextGPT, count: int, seed: int) -> list[TrainingItem]:
    """Return requests of all kinds, encoded."""
    folder = resolve_model_dir(recipe.model_dir)
    prompt_encoders = create_prompt_encoders(model.config, folder)
    items = []
    for kind in KINDS:
        taken = [item.value for number in SUITE_SEEDS for item in sample_items(kind, SUITE_LIMIT, number)]
        for index, item in enumerate(sample_items(kind, count, seed, offsets=(0.0, 0.5))):
            if not any(is_close(item.value, value, MARGINS[kind]) for value in taken):
                items.append(encode_item(model, prompt_encoders, recipe, item, f"{kind} {index}"))
    return items


def is_close(first: tuple[float, ...], second: tuple[float, ...], margin: float) -> bool:
    """Return whether all components of two values differ by at most ``margin``."""
    return max(abs(a - b) for a, b in zip(first, second, strict=True)) <= margin


def encode_item(
    model: NextGPT,
    prompt_encoders: Mapping[str, PromptEncoder],
    recipe: AlignmentRecipe,
    item: BeyondWordsItem,
    key: str,
) -> TrainingItem:
    """Return a request with its answer; its mixed condition goes by ``key`` in place of a caption."""
    modality = item.truth.modality
    name = item.request.partition(" ")[2].partition(" exactly ")[0].rpartition(" ")[0]
    answer = [Text(f"Here is {name} {ANSWERS[item.kind]}."), replace(PLACEHOLDER_MEDIA[modality])]
    conversation = Conversation().with_message([item.given, item.request]).with_message(answer, role="assistant")
    example = Example(conversation, (key,))
    needs_latents = modality == "audio" and "denoising" in recipe.resolved_stage.loss_weights
    latents = model.synthesizer(modality).encode([item.truth])[0].clone() if needs_latents else None
    target = mixed_condition(prompt_encoders, item)
    encoded = EncodedItem(tuple(model.encoder.encode([item.given])), (target,), (latents,))
    prompt = build_example_prompt(model, recipe.max_tokens, example)
    return TrainingItem(key, example, prompt, ((modality, key),), 0, encoded=encoded)


def mixed_condition(prompt_encoders: Mapping[str, PromptEncoder], item: BeyondWordsItem) -> Tensor:
    """Return the condition (Q, C) between those of the nearest captions."""
    conditions = prompt_encoders[item.truth.modality].encode([canonical_caption(spec) for spec, _ in item.mixture])
    weights = torch.tensor([weight for _, weight in item.mixture], dtype=conditions.dtype)
    return torch.einsum("n,nqc->qc", weights, conditions).clone()


if __name__ == "__main__":
    main()
