"""The three alignments on corpora: from a model folder and sources to a model folder, by one process or many."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import torch

from nextgpt.config import ModelConfig, read_config, write_config
from nextgpt.data.record import Direction
from nextgpt.errors import ConversationError
from nextgpt.model.folder import build_model, locate
from nextgpt.model.llm.weaving import Prompt
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.parts import find_folder
from nextgpt.model.quirks import QUIRKS
from nextgpt.model.synthesis.text_encoding import TextConditioner
from nextgpt.model.weights import WEIGHTS_FILE, load_trained, save_trained
from nextgpt.train.alignment import Example, prepare, weave
from nextgpt.train.broken import BrokenList
from nextgpt.train.corpora import Batch, Sampler, Source, read_sources, shares
from nextgpt.train.engine import run
from nextgpt.train.objective import AlignmentObjective, Conditioner, ready
from nextgpt.train.processes import Processes
from nextgpt.train.recipe import CorporaRecipe, Report
from nextgpt.train.stage import STAGES

DIRECTIONS: dict[str, tuple[Direction, ...]] = {
    "encoding-alignment": ("described",),
    "decoding-alignment": ("drawn",),
    "instruction-tuning": ("described", "drawn"),
}
"""What pairs teach in each stage."""


def begin(recipe: CorporaRecipe) -> NextGPT:
    """The model to begin with: its frozen parts, and what was trained before where there was any; LoRA stays apart."""
    home = locate(recipe.initial)
    torch.manual_seed(recipe.fit.seed)
    config = read_config(home)
    if recipe.is_fresh:
        config = config.model_copy(update={"llm": config.llm.model_copy(update={"lora": None})})
    model = build_model(config, home)
    if (home / WEIGHTS_FILE).is_file() and not recipe.is_fresh:
        load_trained(model, home / WEIGHTS_FILE, is_merged=False)
    return model


def sources_of(recipe: CorporaRecipe) -> tuple[Source, ...]:
    """The corpora of a recipe, pairs in the directions that its stage needs, with captions as its model knows them."""
    quirks = QUIRKS.get(read_config(locate(recipe.initial)).quirks or "")
    return read_sources(recipe.sources, DIRECTIONS[recipe.stage], caption=quirks.caption if quirks else None)


def conditioners_of(recipe: CorporaRecipe, model: NextGPT) -> dict[str, Conditioner]:
    """The text encoder of every synthesizer, loaded when it is first asked."""
    home = locate(recipe.initial)
    return {
        modality: _Lazy(find_folder(row.source, home)) for modality, row in model.config.synthesizers.items()
    }


class _Lazy:
    """A text encoder that costs nothing until it is asked."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._conditioner: TextConditioner | None = None

    def __call__(self, captions: Sequence[str]) -> torch.Tensor:
        self._conditioner = self._conditioner or TextConditioner(self.folder)
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
    stage = STAGES[recipe.stage]
    model = begin(recipe)
    prepare(model, stage, recipe.lora)
    objective = AlignmentObjective(model, stage, condition_weight=recipe.condition_weight)
    sampler = sampler_of(recipe, model)
    broken = BrokenList(recipe.work / f"broken-{processes.rank}.jsonl")
    for source in sampler.sources:
        broken.add(source.corpus.broken)
    conditioners = conditioners_of(recipe, model)

    def batches(first: int) -> Iterator[Batch]:
        drawn = shares(
            sampler,
            first=first,
            steps=recipe.fit.steps,
            rank=processes.rank,
            world=processes.world,
            workers=recipe.engine.workers,
        )
        heard = broken.heard(drawn)
        return ready(heard, lambda media: model.encoder.encode(media), conditioners,
                     has_targets="conditions" in stage.losses)  # fmt: skip

    is_done = run(
        objective,
        batches,
        recipe.fit,
        recipe.engine,
        recipe.work,
        processes=processes,
        export=partial(export, model, locate(recipe.initial)),
        report=report,
    )
    if is_done and processes.is_main:
        model.eval()
        model.save_pretrained(recipe.model)
    processes.wait()
    return is_done


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
    )


def export(model: NextGPT, home: Path, folder: Path) -> None:
    """Write what makes a checkpoint a model folder: what was trained, and where the frozen parts lie."""
    values = model.config.model_dump()
    for row in (values["encoder"], values["llm"]["source"], *(s["source"] for s in values["synthesizers"].values())):
        if row["path"] is not None:
            row["path"] = str((home / row["path"]).resolve())
    write_config(ModelConfig.model_validate(values), folder)
    save_trained(model, folder / WEIGHTS_FILE)
