"""Find out whether the frozen diffusion model has the pitches of beyond-words at all; prints a Markdown table.

    python benchmarks/beyond_words_conditions.py nano --items 6

For each right answer the condition is optimized by the denoising loss, from the mixture of the conditions of the
nearest captions (textual inversion, arXiv 2208.01618, of a single medium). The error is that of a medium made from it,
with other noise.
"""

from __future__ import annotations

import argparse

import torch
from torch import Tensor

from nextgpt.evaluate.caption_synthesizer import create_prompt_encoders
from nextgpt.evaluate.miniworld.beyond_words import BeyondWordsItem, sample_items
from nextgpt.miniworld.language.canonical_captions import canonical_caption
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.latent_diffusion import LatentDiffusion
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder
from nextgpt.train.losses import denoising_loss, seeded_generator

KIND, MODALITY = "pitch", "audio"
STEPS, BATCH_SIZE, LEARNING_RATE = 80, 16, 0.02
ITEM_SEED, NOISE_SEED = 1, 7


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="nano")
    parser.add_argument("--items", type=int, default=6)
    arguments = parser.parse_args()
    model = NextGPT.from_pretrained(arguments.model)
    encoder = create_prompt_encoders(model.config, resolve_model_dir(arguments.model))[MODALITY]
    # One copy is trained through and the other one synthesizes: what inference mode creates takes no gradients.
    frozen, generator = model.synthesizer(MODALITY), NextGPT.from_pretrained(arguments.model).synthesizer(MODALITY)
    print("| request | error of mixed captions | error of the optimized condition | moved by |")
    print("| --- | ---: | ---: | ---: |")
    for item in sample_items(KIND, arguments.items, ITEM_SEED):
        mixed = mixed_condition(encoder, item)
        condition = optimize(frozen, generator.encode([item.truth]).float().clone(), mixed)
        errors = [error_of(generator, item, value) for value in (mixed, condition)]
        moved = float((condition - mixed).norm() / mixed.norm())
        cells = ["–" if error is None else f"{error:.2f} semitones" for error in errors]
        print(f"| {item.request} | {' | '.join(cells)} | {100 * moved:.0f} % of its length |", flush=True)


@torch.no_grad()
def mixed_condition(encoder: PromptEncoder, item: BeyondWordsItem) -> Tensor:
    """Return the condition (1, Q, C) between those of the nearest captions."""
    conditions = encoder.encode([canonical_caption(spec) for spec, _ in item.mixture]).float()
    return torch.einsum("n,nqc->qc", torch.tensor([weight for _, weight in item.mixture]), conditions)[None].clone()


def optimize(synthesizer: LatentDiffusion, latents: Tensor, start: Tensor) -> Tensor:
    """Return the condition (1, Q, C) under which the denoiser predicts ``latents`` (1, F, Z, h, w) best."""
    condition = start.clone().requires_grad_()
    optimizer = torch.optim.Adam([condition], LEARNING_RATE)
    batch = latents.expand(BATCH_SIZE, *latents.shape[1:]).contiguous()
    for step in range(STEPS):
        generators = [seeded_generator([step, row]) for row in range(BATCH_SIZE)]
        optimizer.zero_grad()
        denoising_loss(synthesizer, batch, condition.expand(BATCH_SIZE, -1, -1), generators).backward()
        optimizer.step()
    return condition.detach()


@torch.inference_mode()
def error_of(synthesizer: LatentDiffusion, item: BeyondWordsItem, condition: Tensor) -> float | None:
    """Return the error of the medium that is made from a condition."""
    *_, last = synthesizer.denoise(condition, seeds=[NOISE_SEED])
    return item.error(synthesizer.decode(last.latents)[0])


if __name__ == "__main__":
    main()
