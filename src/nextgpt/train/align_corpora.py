"""The three alignments on corpora: from a model folder and sources to a model folder, by one process or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch

from nextgpt.config import ModelConfig, read_config, write_config
from nextgpt.data.record import Direction
from nextgpt.errors import ConfigError, ConversationError
from nextgpt.message import Medium, Part
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.llm.prompt import Prompt
from nextgpt.model.loading import build_model, resolve_model_dir
from nextgpt.model.memory_plan import TRAINED, default_plan
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.quirks import QUIRKS
from nextgpt.model.synthesis.base import Latents
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder
from nextgpt.model.trained_weights import WEIGHTS_FILE, load_trained, save_trained
from nextgpt.train.alignment import Example, prepare, weave
from nextgpt.train.broken import BrokenList
from nextgpt.train.card import Card
from nextgpt.train.corpora import Batch, Sampler, Source, read_sources, shares
from nextgpt.train.engine import Callbacks, train
from nextgpt.train.objective import AlignmentObjective, Conditioner, Frozen, ToLatents, ready
from nextgpt.train.outline import shares_of
from nextgpt.train.pretrain.attention import compile_for_training
from nextgpt.train.processes import Processes
from nextgpt.train.recipe import CorporaRecipe, Report
from nextgpt.train.samples import Samples, requests_of
from nextgpt.train.stage import Stage, get_stage

DIRECTIONS: dict[str, tuple[Direction, ...]] = {
    "encoding-alignment": ("captioning",),
    "decoding-alignment": ("generation",),
    "instruction-tuning": ("captioning", "generation"),
}
"""What pairs teach in each stage."""


def begin(recipe: CorporaRecipe, *, device: str | torch.device = "cpu") -> NextGPT:
    """The model to begin with: its frozen parts, and what was trained before where there was any; LoRA stays apart."""
    if (recipe.signals_begin_at or recipe.signals_end_at) and not recipe.is_fresh:
        raise ConfigError(
            f"signals_begin_at or signals_end_at is set for {recipe.initial} as it was trained; expected them with "
            "is_fresh, as rows that were trained stay where they are. Set is_fresh, or leave them out."
        )
    home = resolve_model_dir(recipe.initial)
    torch.manual_seed(recipe.fit.seed)
    config = read_config(home)
    if recipe.is_fresh:
        config = config.model_copy(update={"llm": config.llm.model_copy(update={"lora": None})})
    types = {**recipe.types, TRAINED: "float32"}
    model = build_model(config, home, default_plan(config.component_sources, device=str(device), dtype=types))
    if recipe.is_fresh:
        model.llm.init_signals_from_tokens(recipe.signals_begin_at, recipe.signals_end_at)
    elif (home / WEIGHTS_FILE).is_file():
        load_trained(model, home / WEIGHTS_FILE, merge_lora=False)
    return model


def sources_of(recipe: CorporaRecipe) -> tuple[Source, ...]:
    """The corpora of a recipe, pairs in the directions that its stage needs, with captions as its model knows them."""
    quirks = QUIRKS.get(read_config(resolve_model_dir(recipe.initial)).quirks or "")
    return read_sources(recipe.sources, DIRECTIONS[recipe.stage], caption=quirks.caption if quirks else None)


def conditioners_of(recipe: CorporaRecipe, model: NextGPT) -> dict[str, Conditioner]:
    """The text encoder of every synthesizer, loaded when it is first asked."""
    home, device = resolve_model_dir(recipe.initial), model.llm.signals.input.device
    return {
        modality: _Lazy(resolve_component_dir(row.source, home), device)
        for modality, row in model.config.synthesizers.items()
    }


def autoencoders_of(model: NextGPT) -> dict[str, ToLatents]:
    """What makes latents, of every synthesizer, loaded when it is first asked."""
    return {modality: partial(_to_latents, model, modality) for modality in model.config.synthesizers}


def _to_latents(model: NextGPT, modality: str, media: Sequence[Medium]) -> Latents:
    return model.synthesizer(modality).encode(media)


def frozen_of(recipe: CorporaRecipe, model: NextGPT) -> Frozen:
    """What computes what the recipe's losses need."""
    stage = get_stage(recipe.stage, recipe.losses)
    return Frozen(
        lambda media: model.encoder.encode(media),
        conditioners_of(recipe, model) if stage.distances else {},
        autoencoders_of(model) if "denoising" in stage.loss_weights else {},
    )


class _Lazy:
    """A text encoder that costs nothing until it is asked."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        self.folder, self.device = folder, device
        self._conditioner: PromptEncoder | None = None

    def __call__(self, captions: Sequence[str]) -> torch.Tensor:
        self._conditioner = self._conditioner or PromptEncoder(self.folder, device=self.device)
        return self._conditioner.encode(captions)


def lay_out(model: NextGPT, max_tokens: int | None, example: Example) -> Prompt:
    """Weave an example. Raises :class:`ConversationError` where it is longer than the model, or the recipe, allows."""
    prompt = weave(model, example)
    length = prompt.length(model.llm.soft_tokens)
    if max_tokens is not None and length > max_tokens:
        raise ConversationError(
            f"The example takes {length} tokens; expected at most max_tokens, {max_tokens}. Raise it, or shorten it."
        )
    return prompt


def align_on_corpora(recipe: CorporaRecipe, report: Report | None = None) -> bool:
    """Run one stage and write the whole model folder; return whether it came to its end.

    Raises:
        ConfigError: a source cannot be read, or the settings don't go together.
        Divergence: the loss is no number.
    """
    processes = Processes(recipe.engine.sharding)
    stage = get_stage(recipe.stage, recipe.losses)
    model = begin(recipe, device=processes.device)
    prepare(model, stage, recipe.lora)
    objective = AlignmentObjective(model, stage)
    sampler = sampler_of(recipe, model)
    broken = BrokenList(recipe.work / f"broken-{processes.rank}.jsonl")
    for source in sampler.sources:
        broken.add(source.corpus.invalid)
    frozen = frozen_of(recipe, model)

    def batches(first: int) -> Iterator[Batch]:
        drawn = shares(
            sampler,
            first=first,
            steps=recipe.fit.max_steps,
            rank=processes.rank,
            world=processes.world_size,
            workers=recipe.engine.num_workers,
        )
        return ready(broken.heard(drawn), frozen)

    home = resolve_model_dir(recipe.initial)
    card = Card(recipe, sampler.sources, shares_of(model, home))
    set_up(model, stage, recipe)
    is_done = train(
        objective,
        batches,
        recipe.fit,
        recipe.engine,
        recipe.work,
        processes=processes,
        hooks=Callbacks(
            export=partial(export, model, home, card),
            sample=_sample(recipe, model, sampler.sources, processes),
            on_metrics=report,
            settings=recipe.model_dump(mode="json"),
        ),
    )
    if is_done and processes.is_main:
        model.eval()
        model.save_pretrained(recipe.model)
        card.write(recipe.model)
    processes.wait()
    return is_done


def set_up(model: NextGPT, stage: Stage, recipe: CorporaRecipe) -> None:
    """Have the LLM compute as the recipe says."""
    transformer = model.llm.transformer
    # What stands before anything trained is heard with a cache, which recomputing would fill twice; see hearing.py.
    if recipe.engine.gradient_checkpointing and stage.trainable & {"input_projection", "lora"}:
        transformer.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if recipe.fit.compile and model.llm.signals.input.device.type == "cpu":
        compile_for_training(transformer)
    elif recipe.fit.compile:
        transformer.base_model.compile(dynamic=True)


def _sample(
    recipe: CorporaRecipe, model: NextGPT, sources: Sequence[Source], processes: Processes
) -> Callable[[int], Mapping[str, Sequence[Part]]] | None:
    """What lets the model in training answer, in this process, or None."""
    # Whoever holds a shard of the weights must take part in every answer.
    if recipe.engine.sample_steps is None or not (processes.is_main or recipe.engine.sharding != "none"):
        return None
    requests = requests_of(sources, recipe.engine.num_samples)
    return Samples(model, requests, recipe.work / "samples", writes=processes.is_main).answer


def sampler_of(recipe: CorporaRecipe, model: NextGPT) -> Sampler:
    """What draws the recipe's batches, from its cache where it names one."""
    sources = sources_of(recipe)
    recall = None
    if recipe.cache is not None:
        from nextgpt.train.cache import open_cache

        recall = open_cache(recipe, model, sources).recall
    return Sampler(
        sources,
        recipe.fit.batch_size,
        recipe.fit.seed,
        partial(lay_out, model, recipe.max_tokens),
        recipe.mixing,
        recall,
        "denoising" in get_stage(recipe.stage, recipe.losses).loss_weights,
    )


def export(model: NextGPT, home: Path, card: Card, folder: Path) -> None:
    """Write what makes a checkpoint a model folder: what was trained, where the frozen parts lie, and a card."""
    values = model.config.model_dump()
    for row in (
        values["encoder"],
        values["llm"]["source"],
        *(s["source"] for s in values["synthesizers"].values()),
    ):
        if row["path"] is not None:
            row["path"] = str((home / row["path"]).resolve())
    write_config(ModelConfig.model_validate(values), folder)
    save_trained(model, folder / WEIGHTS_FILE)
    card.write(folder)
