"""Cost of the three stages at paper size, computed from the real configs without weights.

    python benchmarks/paper_size_cost.py [--model paper] [--caption-tokens 14] [--dialogue-tokens 256]
[--tflops N]

torch counts floating-point operations on the meta device, where tensors have shapes but no data. Our trainer
reads features and targets from the cache, needs no gradient before the first signal token and computes logits
only for targets. The reference trainer computes everything at every step and trains the whole embedding and
head, without padding or with all examples padded to the recipe's ``max_tokens``. Lengths are assumptions, not
measurements; a video has 15 views, audio 3 clips. Hours are for one device, at the measured speed of one of
the LLM's matrix products (``--device cuda``: on a GPU) or at a given sustained speed (``--tflops``).
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode
from transformers import DynamicCache

from nextgpt.config import ModelConfig, read_config
from nextgpt.modality import MODALITIES
from nextgpt.model.encoding import ImageBind
from nextgpt.model.encoding.loading import read_encoder_config
from nextgpt.model.input_projection import create_input_projection
from nextgpt.model.llm.lora import inject
from nextgpt.model.output_projection import create_output_projection
from nextgpt.model.summary import build_llm, build_meta_component, component_config_dir, count_parameters
from nextgpt.presets import PRESETS
from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.recipe import read_recipe

TEMPLATE = 12
"""Template tokens of one turn, user and assistant."""
QUESTION = 6
"""Tokens of a question about a medium."""
ENDING = 3
"""Tokens at the end of a turn."""
CAPTION_POSITIONS = 77
"""Positions of a padded caption in a text encoder."""
MICRO_BATCHES = {"encoding-alignment": 18, "decoding-alignment": 8, "instruction-tuning": 4}
"""Published number of examples per GPU."""
TOWERS = {"image": "vision", "audio": "audio", "video": "vision"}
SIGNAL_ROWS = 37
TRAINED_BYTES = 16
"""Bytes per trained float32 parameter: value, gradient and Adam's two moments."""
RECIPES = Path(__file__).parents[1] / "recipes" / "paper"


@dataclass(frozen=True)
class StageCost:
    """Cost of one stage; averages per example over the modalities."""

    stage: str
    tflop_ours: float
    tflop_plain: float
    """Reference trainer without padding."""
    tflop_padded: float
    """Reference trainer padded to the recipe's maximum."""
    ratio: float
    ratio_padded: float
    examples: int
    """Examples of the recipe."""
    trained_gb: float
    """Trained parameters in float32 with gradients and Adam's two moments, in units of 10^9 bytes."""
    trained_plain_gb: float
    activations_gb: float
    """Activations that one process keeps for the backward pass in bfloat16."""
    activations_plain_gb: float
    hours: float
    """Hours of one epoch on one device."""
    hours_plain: float
    """Reference trainer without padding."""


@dataclass(frozen=True)
class MediumCost:
    """Operations that the cache saves per medium."""

    modality: str
    views: int
    encoder_tflop: float
    """One pass of the encoder."""
    caption_tflop: float
    """One pass of the synthesizer's text encoder."""


class Shapes:
    """The components of a preset on the meta device."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: ModelConfig = read_config(folder)
        self.encoder_config = read_encoder_config(component_config_dir("encoder", self.config.encoder, folder))
        llm = build_llm(component_config_dir("llm", self.config.llm.source, folder))
        self.llm = llm.requires_grad_(False).to(torch.bfloat16)
        self.width = self.llm.get_input_embeddings().weight.shape[1]
        with torch.device("meta"):
            self.encoder = ImageBind(self.encoder_config).requires_grad_(False)
            self.input_projection = create_input_projection(self.config.input_projection, self.width)
            self.output_projections = {
                name: create_output_projection(row.output_projection, self.width)
                for name, row in self.config.synthesizers.items()
            }

    def medium(self, modality: str) -> MediumCost:
        """Count the operations to encode a medium and its caption."""
        tower = TOWERS[modality]
        vision, audio = self.encoder_config.vision, self.encoder_config.audio
        views = {"image": 1, "audio": audio.clips, "video": vision.clips * vision.crops}[modality]
        shape = (1, audio.mel_bins, audio.frames) if modality == "audio" else (3, vision.frames, *[vision.size_px] * 2)
        clips = torch.empty(views, *shape, device="meta")
        folder = component_config_dir(modality, self.config.synthesizers[modality].source, self.folder)
        class_name = json.loads((folder / "model_index.json").read_text())["text_encoder"][1]
        text_encoder = build_meta_component(folder, "text_encoder", class_name).requires_grad_(False)
        length = min(CAPTION_POSITIONS, text_encoder.config.max_position_embeddings)
        ids = torch.zeros(1, length, dtype=torch.long, device="meta")
        masked = {"attention_mask": torch.empty(1, 1, length, length, device="meta")} if "Clap" in class_name else {}
        return MediumCost(
            modality,
            views,
            flops(lambda: self.encoder.forward_modality(tower, clips)) / 1e12,
            flops(lambda: text_encoder(ids, **masked)) / 1e12,
        )

    def run_llm(self, length: int, num_logits: int, *, no_grad_length: int = 0, has_head: bool = False) -> Tensor:
        """Run the LLM on ``length`` positions, compute ``num_logits`` logits and return a loss.

        The first ``no_grad_length`` positions run without gradients. With ``has_head`` the head has
        gradients.
        """
        head = self.llm.get_output_embeddings()
        embeddings = torch.empty(1, length, self.width, device="meta", dtype=self.llm.dtype, requires_grad=True)
        cache = DynamicCache() if no_grad_length else None
        with torch.no_grad():
            if no_grad_length:
                self._forward(embeddings[:, :no_grad_length].detach(), no_grad_length, cache)
        hidden = self._forward(embeddings[:, no_grad_length:], length, cache)
        logit_states = (
            hidden[:, :num_logits] if num_logits <= hidden.shape[1] else hidden.expand(num_logits, -1, -1)[:, :1]
        )
        head.requires_grad_(has_head)
        logits = head(logit_states)
        head.requires_grad_(False)
        return logits.float().logsumexp(-1).sum() + hidden.float().sum()

    def _forward(self, embeddings: Tensor, total_length: int, cache: DynamicCache | None) -> Tensor:
        """Return the last hidden states; ``total_length`` includes the cached positions."""
        # A 4D mask is used as it is; any other would be inspected, which the meta device cannot do.
        mask = torch.empty(1, 1, embeddings.shape[1], total_length, device="meta", dtype=embeddings.dtype)
        return self.llm.base_model(
            inputs_embeds=embeddings, attention_mask=mask, past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state


def flops(work: Callable[[], object]) -> int:
    """Count the operations of ``work``; a multiply-add counts as two."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def kept_bytes(work: Callable[[], Tensor], weights: Iterable[Tensor]) -> int:
    """Return the bytes that the backward pass of ``work`` needs, without ``weights``."""
    saved: dict[int, int] = {}
    weight_storages = {tensor.untyped_storage()._cdata for tensor in weights}

    def save(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in weight_storages:
            saved[storage._cdata] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(save, lambda tensor: tensor):
        _alive = work()
    return sum(saved.values())


def forward_backward_flops(work: Callable[[], Tensor]) -> int:
    """Count the operations of ``work`` and its backward pass."""
    return flops(lambda: work().backward())


def measured_flops(width: int, inner: int, device: str) -> float:
    """Measure operations per second of one of the LLM's matrix products in bfloat16; the fastest of six."""
    states, weight = (torch.randn(512, width, dtype=torch.bfloat16), torch.randn(width, inner, dtype=torch.bfloat16))
    states, weight = states.to(device), weight.to(device)
    best = float("inf")
    for _ in range(6):
        start = time.perf_counter()
        states @ weight
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - start)
    return 2 * 512 * width * inner / best


class Costs:
    """Costs of all stages of a preset."""

    def __init__(self, shapes: Shapes, *, flops_per_s: float, caption: int, dialogue: int) -> None:
        self.shapes, self.flops_per_s, self.caption, self.dialogue = shapes, flops_per_s, caption, dialogue
        self.media = [shapes.medium(modality) for modality in shapes.config.synthesizers]
        self.signals = {m.modality: MODALITIES[m.modality].signal_count for m in self.media}
        self.encoder_flops = 1e12 * statistics.fmean(m.encoder_tflop for m in self.media)
        self.caption_flops = 1e12 * statistics.fmean(m.caption_tflop for m in self.media)
        self.projection_flops = statistics.fmean(
            forward_backward_flops(partial(self._project, name)) for name in self.signals
        )

    def _project(self, modality: str) -> Tensor:
        states = torch.empty(1, self.signals[modality], self.shapes.width, device="meta", requires_grad=True)
        return self.shapes.output_projections[modality](states, states[0]).sum()

    def stages(self) -> Iterator[StageCost]:
        """Yield the stages in order; LoRA is injected before the last one."""
        shapes, run_llm, answer_length = self.shapes, self.shapes.run_llm, self.caption + ENDING
        captioning_length = shapes.config.input_projection.soft_tokens + TEMPLATE + QUESTION + answer_length
        input_parameters = count_parameters(shapes.input_projection)
        yield self._stage(
            "encoding-alignment",
            partial(run_llm, captioning_length, answer_length),
            captioning_length,
            input_parameters,
        )

        prompt_length, remaining_length = (
            TEMPLATE + 2 * self.caption,
            round(statistics.fmean(self.signals.values())) + ENDING,
        )
        output_parameters = (
            sum(map(count_parameters, shapes.output_projections.values())) + 2 * SIGNAL_ROWS * shapes.width
        )
        work = partial(run_llm, prompt_length + remaining_length, answer_length + 1, no_grad_length=prompt_length)
        yield self._stage("decoding-alignment", work, prompt_length + remaining_length, output_parameters)

        recipe = stage_recipe("instruction-tuning")
        lora = shapes.config.llm.lora or recipe.lora
        inject(shapes.llm, rank=lora.rank, alpha=lora.alpha, dropout=0.0, targets=lora.targets)
        adapters = sum(p.numel() for p in shapes.llm.parameters() if p.requires_grad)
        shapes.llm.to(torch.bfloat16)
        work = partial(run_llm, self.dialogue, self.dialogue // 2)
        yield self._stage("instruction-tuning", work, self.dialogue, input_parameters + output_parameters + adapters)

    def _stage(self, stage: str, work: Callable[[], Tensor], length: int, num_trained: int) -> StageCost:
        recipe, run_llm = stage_recipe(stage), self.shapes.run_llm
        encodes_inputs, synthesizes_targets = stage != "decoding-alignment", stage != "encoding-alignment"
        candidate = forward_backward_flops(work) + self.projection_flops * synthesizes_targets
        frozen_flops = (
            self.encoder_flops * encodes_inputs + (self.caption_flops + self.projection_flops) * synthesizes_targets
        )
        baseline = partial(run_llm, length, length, has_head=True)
        unpadded = forward_backward_flops(baseline) + frozen_flops
        padded = (
            forward_backward_flops(partial(run_llm, recipe.max_tokens, recipe.max_tokens, has_head=True)) + frozen_flops
        )
        examples = recipe.fit.max_steps * recipe.fit.batch_size
        embedding_parameters = 2 * self.shapes.llm.get_input_embeddings().weight.numel()
        return StageCost(
            stage=stage,
            tflop_ours=candidate / 1e12,
            tflop_plain=unpadded / 1e12,
            tflop_padded=padded / 1e12,
            ratio=unpadded / candidate,
            ratio_padded=padded / candidate,
            examples=examples,
            trained_gb=TRAINED_BYTES * num_trained / 1e9,
            trained_plain_gb=TRAINED_BYTES * (num_trained + embedding_parameters) / 1e9,
            activations_gb=MICRO_BATCHES[stage] * kept_bytes(work, self.shapes.llm.parameters()) / 1e9,
            activations_plain_gb=MICRO_BATCHES[stage] * kept_bytes(baseline, self.shapes.llm.parameters()) / 1e9,
            hours=examples * candidate / self.flops_per_s / 3600,
            hours_plain=examples * unpadded / self.flops_per_s / 3600,
        )


def stage_recipe(stage: str) -> AlignmentRecipe:
    """Read the published recipe of a stage."""
    recipe = read_recipe(next(RECIPES.glob(f"*-{stage}.yaml")))
    assert isinstance(recipe, AlignmentRecipe) and recipe.max_tokens is not None
    return recipe


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="paper", choices=sorted(PRESETS))
    parser.add_argument("--caption-tokens", type=int, default=14, help="words of a caption (CC3M's have about 10)")
    parser.add_argument("--dialogue-tokens", type=int, default=256, help="positions of a dialogue")
    parser.add_argument("--device", default="cpu", help="where the speed of a matrix product is measured")
    parser.add_argument("--tflops", type=float, help="a speed that a device sustains, in place of a measured one")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    shapes = Shapes(PRESETS[args.model])
    inner = shapes.llm.config.intermediate_size
    flops_per_s = args.tflops * 1e12 if args.tflops else measured_flops(shapes.width, inner, args.device)
    costs = Costs(shapes, flops_per_s=flops_per_s, caption=args.caption_tokens, dialogue=args.dialogue_tokens)
    stages = list(costs.stages())
    if args.json:
        rows = {"media": [asdict(row) for row in costs.media], "stages": [asdict(row) for row in stages]}
        print(json.dumps({"model": args.model, "flops_per_s": flops_per_s, **rows}))
        return
    origin = "assumed" if args.tflops else f"measured with a matrix product on {args.device}"
    print(to_markdown(args.model, costs.media, stages, f"{flops_per_s / 1e12:.3g} TFLOP/s ({origin})"))


def to_markdown(model: str, media: Sequence[MediumCost], stages: Sequence[StageCost], flops_per_s: str) -> str:
    """Format the costs as Markdown tables."""
    lines = ["| medium | views | encoding, TFLOP | caption embedding, TFLOP |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {m.modality} | {m.views} | {m.encoder_tflop:.3f} | {m.caption_tflop:.3f} |" for m in media]
    lines += ["", f"| `{model}`, per example | ours, TFLOP | plain | padded | plain / ours | padded / ours |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {s.stage} | {s.tflop_ours:.2f} | {s.tflop_plain:.2f} | {s.tflop_padded:.2f} | {s.ratio:.1f} × "
        f"| {s.ratio_padded:.1f} × |"
        for s in stages
    ]
    lines += ["", "| per process | trained, GB | plain | activations, GB | plain |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {s.stage}, {MICRO_BATCHES[s.stage]} examples | {s.trained_gb:.2f} | {s.trained_plain_gb:.2f} "
        f"| {s.activations_gb:.1f} | {s.activations_plain_gb:.1f} |"
        for s in stages
    ]
    lines += ["", f"One epoch on one device at {flops_per_s}:", ""]
    lines += ["| stage | examples | hours, ours | hours, plain |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {s.stage} | {s.examples:,} | {s.hours:,.0f} | {s.hours_plain:,.0f} |" for s in stages]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
