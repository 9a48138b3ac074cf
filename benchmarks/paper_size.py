"""What the three stages cost at paper size, computed from the real configs without weights.

    python benchmarks/paper_size.py [--model paper] [--caption-tokens 14] [--dialogue-tokens 256] [--tflops N]

Floating-point operations are counted by torch on the meta device, where tensors have shapes and no content: of our way
(features and targets from the cache, no gradient before the first signal token, the head where something is learned)
and of the plain reference's (everything at every step, the whole embedding and head trained), without padding and with
all examples padded to the recipe's ``max_tokens``. Lengths are given, not measured; films are 15 views, sounds 3 clips.
Hours are of one device: at the speed of one of the LLM's matrix products, which is measured here (--device cuda: on a
GPU), or at a speed that is said to be sustained (--tflops).
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
from nextgpt.train.recipe import CorporaRecipe, read_recipe

TEMPLATE = 12
"""Positions of a template's own words in one turn of both."""
QUESTION = 6
"""Positions of a question about a medium."""
ENDING = 3
"""Positions with which a turn ends."""
CAPTION_POSITIONS = 77
"""That a text encoder fills with a caption."""
MICRO_BATCHES = {"encoding-alignment": 18, "decoding-alignment": 8, "instruction-tuning": 4}
"""Examples of one GPU at once, as published."""
TOWERS = {"image": "vision", "audio": "audio", "video": "vision"}
SIGNAL_ROWS = 37
TRAINED_BYTES = 16
"""Of a parameter that is trained in float32: itself, its gradient, and Adam's two moments."""
RECIPES = Path(__file__).parents[1] / "recipes" / "paper"


@dataclass(frozen=True)
class StageCost:
    """One stage, an example on average over the modalities."""

    stage: str
    tflop_ours: float
    tflop_plain: float
    """Without padding."""
    tflop_padded: float
    """Padded to the recipe's longest."""
    ratio: float
    ratio_padded: float
    examples: int
    """Of the recipe."""
    trained_gb: float
    """What is trained in float32, with gradients and Adam's two moments: ours, 10^9 bytes."""
    trained_plain_gb: float
    activations_gb: float
    """What a process keeps for the backward pass of its share in bfloat16: ours."""
    activations_plain_gb: float
    hours: float
    """Of one epoch on one device, our way."""
    hours_plain: float
    """Without padding."""


@dataclass(frozen=True)
class MediumCost:
    """What the cache saves of one medium."""

    modality: str
    views: int
    encoder_tflop: float
    """To encode it once."""
    caption_tflop: float
    """To say its caption by the synthesizer's text encoder."""


class Shapes:
    """The parts of a preset, without content."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config: ModelConfig = read_config(folder)
        self.encoder_config = read_encoder_config(
            component_config_dir("encoder", self.config.encoder, folder)
        )
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
        """Encode a medium, and its caption."""
        tower = TOWERS[modality]
        vision, audio = self.encoder_config.vision, self.encoder_config.audio
        views = {"image": 1, "audio": audio.clips, "video": vision.clips * vision.crops}[modality]
        one = (
            (1, audio.mel_bins, audio.frames)
            if modality == "audio"
            else (3, vision.frames, *[vision.size_px] * 2)
        )
        clips = torch.empty(views, *one, device="meta")
        folder = component_config_dir(modality, self.config.synthesizers[modality].source, self.folder)
        class_name = json.loads((folder / "model_index.json").read_text())["text_encoder"][1]
        speaker = build_meta_component(folder, "text_encoder", class_name).requires_grad_(False)
        length = min(CAPTION_POSITIONS, speaker.config.max_position_embeddings)
        ids = torch.zeros(1, length, dtype=torch.long, device="meta")
        masked = (
            {"attention_mask": torch.empty(1, 1, length, length, device="meta")}
            if "Clap" in class_name
            else {}
        )
        return MediumCost(
            modality,
            views,
            flops(lambda: self.encoder.forward_modality(tower, clips)) / 1e12,
            flops(lambda: speaker(ids, **masked)) / 1e12,
        )

    def think(self, length: int, learned: int, *, is_free_until: int = 0, has_head: bool = False) -> Tensor:
        """Hear ``length`` positions, and read the head at ``learned`` of them; a loss to go back from.

        The first ``is_free_until`` positions are heard without gradients. With ``has_head`` the head has gradients.
        """
        head = self.llm.get_output_embeddings()
        embeddings = torch.empty(
            1, length, self.width, device="meta", dtype=self.llm.dtype, requires_grad=True
        )
        cache = DynamicCache() if is_free_until else None
        with torch.no_grad():
            if is_free_until:
                self._hear(embeddings[:, :is_free_until].detach(), is_free_until, cache)
        hidden = self._hear(embeddings[:, is_free_until:], length, cache)
        read = hidden[:, :learned] if learned <= hidden.shape[1] else hidden.expand(learned, -1, -1)[:, :1]
        head.requires_grad_(has_head)
        logits = head(read)
        head.requires_grad_(False)
        return logits.float().logsumexp(-1).sum() + hidden.float().sum()

    def _hear(self, embeddings: Tensor, seen: int, cache: DynamicCache | None) -> Tensor:
        """Last-layer hidden states; ``seen`` positions are seen, those in the cache included."""
        # A mask of all four dimensions is taken as it is; none, or a smaller one, would be looked into.
        mask = torch.empty(1, 1, embeddings.shape[1], seen, device="meta", dtype=embeddings.dtype)
        return self.llm.base_model(
            inputs_embeds=embeddings, attention_mask=mask, past_key_values=cache, use_cache=cache is not None
        ).last_hidden_state


def flops(work: Callable[[], object]) -> int:
    """Operations of ``work``, a multiplication and an addition counted as two."""
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def kept_bytes(work: Callable[[], Tensor], weights: Iterable[Tensor]) -> int:
    """Bytes that a backward pass needs of what ``work`` computes, ``weights`` left out."""
    kept: dict[int, int] = {}
    there_already = {tensor.untyped_storage()._cdata for tensor in weights}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage._cdata not in there_already:
            kept[storage._cdata] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        _alive = work()
    return sum(kept.values())


def there_and_back(work: Callable[[], Tensor]) -> int:
    """Operations of ``work`` and of going back from it."""
    return flops(lambda: work().backward())


def measured_flops(width: int, inner: int, device: str) -> float:
    """Operations a second of one of the LLM's matrix products in bfloat16: the best of five."""
    rows, weight = (
        torch.randn(512, width, dtype=torch.bfloat16),
        torch.randn(width, inner, dtype=torch.bfloat16),
    )
    rows, weight = rows.to(device), weight.to(device)
    best = float("inf")
    for _ in range(6):
        started = time.perf_counter()
        rows @ weight
        if device != "cpu":
            torch.cuda.synchronize()
        best = min(best, time.perf_counter() - started)
    return 2 * 512 * width * inner / best


class Costs:
    """The stages of a preset, one after another."""

    def __init__(self, shapes: Shapes, *, speed: float, caption: int, dialogue: int) -> None:
        self.shapes, self.speed, self.caption, self.dialogue = shapes, speed, caption, dialogue
        self.media = [shapes.medium(modality) for modality in shapes.config.synthesizers]
        self.signals = {m.modality: MODALITIES[m.modality].signal_count for m in self.media}
        self.encode = 1e12 * statistics.fmean(m.encoder_tflop for m in self.media)
        self.speak = 1e12 * statistics.fmean(m.caption_tflop for m in self.media)
        self.project = statistics.fmean(there_and_back(partial(self._project, name)) for name in self.signals)

    def _project(self, modality: str) -> Tensor:
        states = torch.empty(1, self.signals[modality], self.shapes.width, device="meta", requires_grad=True)
        return self.shapes.output_projections[modality](states, states[0]).sum()

    def stages(self) -> Iterator[StageCost]:
        """All three; LoRA is put in before the last."""
        shapes, think, said = self.shapes, self.shapes.think, self.caption + ENDING
        described = shapes.config.input_projection.soft_tokens + TEMPLATE + QUESTION + said
        trained_in = count_parameters(shapes.input_projection)
        yield self._stage("encoding-alignment", partial(think, described, said), described, trained_in)

        drawn, rest = TEMPLATE + 2 * self.caption, round(statistics.fmean(self.signals.values())) + ENDING
        trained_out = (
            sum(map(count_parameters, shapes.output_projections.values())) + 2 * SIGNAL_ROWS * shapes.width
        )
        work = partial(think, drawn + rest, said + 1, is_free_until=drawn)
        yield self._stage("decoding-alignment", work, drawn + rest, trained_out)

        recipe = recipe_of("instruction-tuning")
        lora = shapes.config.llm.lora or recipe.lora
        inject(shapes.llm, rank=lora.rank, alpha=lora.alpha, dropout=0.0, targets=lora.targets)
        adapters = sum(p.numel() for p in shapes.llm.parameters() if p.requires_grad)
        shapes.llm.to(torch.bfloat16)
        work = partial(think, self.dialogue, self.dialogue // 2)
        yield self._stage("instruction-tuning", work, self.dialogue, trained_in + trained_out + adapters)

    def _stage(self, stage: str, work: Callable[[], Tensor], length: int, trained: int) -> StageCost:
        recipe, think = recipe_of(stage), self.shapes.think
        is_heard, is_drawn = stage != "decoding-alignment", stage != "encoding-alignment"
        ours = there_and_back(work) + self.project * is_drawn
        beside = self.encode * is_heard + (self.speak + self.project) * is_drawn
        plain = partial(think, length, length, has_head=True)
        ragged = there_and_back(plain) + beside
        padded = there_and_back(partial(think, recipe.max_tokens, recipe.max_tokens, has_head=True)) + beside
        examples = recipe.fit.max_steps * recipe.fit.batch_size
        matrices = 2 * self.shapes.llm.get_input_embeddings().weight.numel()
        return StageCost(
            stage=stage,
            tflop_ours=ours / 1e12,
            tflop_plain=ragged / 1e12,
            tflop_padded=padded / 1e12,
            ratio=ragged / ours,
            ratio_padded=padded / ours,
            examples=examples,
            trained_gb=TRAINED_BYTES * trained / 1e9,
            trained_plain_gb=TRAINED_BYTES * (trained + matrices) / 1e9,
            activations_gb=MICRO_BATCHES[stage] * kept_bytes(work, self.shapes.llm.parameters()) / 1e9,
            activations_plain_gb=MICRO_BATCHES[stage] * kept_bytes(plain, self.shapes.llm.parameters()) / 1e9,
            hours=examples * ours / self.speed / 3600,
            hours_plain=examples * ragged / self.speed / 3600,
        )


def recipe_of(stage: str) -> CorporaRecipe:
    """The published training of a stage."""
    recipe = read_recipe(next(RECIPES.glob(f"*-{stage}.yaml")))
    assert isinstance(recipe, CorporaRecipe) and recipe.max_tokens is not None
    return recipe


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="paper", choices=sorted(PRESETS))
    parser.add_argument(
        "--caption-tokens", type=int, default=14, help="words of a caption (CC3M's have about 10)"
    )
    parser.add_argument("--dialogue-tokens", type=int, default=256, help="positions of a dialogue")
    parser.add_argument("--device", default="cpu", help="where the speed of a matrix product is measured")
    parser.add_argument(
        "--tflops", type=float, help="a speed that a device sustains, in place of a measured one"
    )
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    shapes = Shapes(PRESETS[asked.model])
    inner = shapes.llm.config.intermediate_size
    speed = asked.tflops * 1e12 if asked.tflops else measured_flops(shapes.width, inner, asked.device)
    costs = Costs(shapes, speed=speed, caption=asked.caption_tokens, dialogue=asked.dialogue_tokens)
    stages = list(costs.stages())
    if asked.json:
        rows = {"media": [asdict(row) for row in costs.media], "stages": [asdict(row) for row in stages]}
        print(json.dumps({"model": asked.model, "flops_per_s": speed, **rows}))
        return
    origin = (
        "are said to be sustained" if asked.tflops else f"were measured of a matrix product on {asked.device}"
    )
    print(as_tables(asked.model, costs.media, stages, f"{speed / 1e12:.3g} TFLOP/s, which {origin}"))


def as_tables(model: str, media: Sequence[MediumCost], stages: Sequence[StageCost], speed: str) -> str:
    """Markdown."""
    lines = ["| a medium | views | to encode, TFLOP | its caption, TFLOP |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {m.modality} | {m.views} | {m.encoder_tflop:.3f} | {m.caption_tflop:.3f} |" for m in media]
    lines += ["", f"| {model}, an example | ours, TFLOP | plain | padded | plain / ours | padded / ours |"]
    lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {s.stage} | {s.tflop_ours:.2f} | {s.tflop_plain:.2f} | {s.tflop_padded:.2f} | {s.ratio:.1f} × "
        f"| {s.ratio_padded:.1f} × |"
        for s in stages
    ]
    lines += ["", "| a process | trained, GB | plain | activations, GB | plain |"]
    lines += ["| --- | ---: | ---: | ---: | ---: |"]
    lines += [
        f"| {s.stage}, {MICRO_BATCHES[s.stage]} examples | {s.trained_gb:.2f} | {s.trained_plain_gb:.2f} "
        f"| {s.activations_gb:.1f} | {s.activations_plain_gb:.1f} |"
        for s in stages
    ]
    lines += ["", f"One epoch on one device at {speed}:", ""]
    lines += ["| stage | examples | hours, ours | hours, plain |", "| --- | ---: | ---: | ---: |"]
    lines += [f"| {s.stage} | {s.examples:,} | {s.hours:,.0f} | {s.hours_plain:,.0f} |" for s in stages]
    return "\n".join(lines)


if __name__ == "__main__":
    main()
