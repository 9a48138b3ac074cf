"""Recipe kind ``alignment``: one of the three stages on any model and any data, by one process or many."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from nextgpt.config import ModelConfig, read_config, write_config
from nextgpt.errors import ConversationError
from nextgpt.message import Part
from nextgpt.model.llm.prompt import Prompt, TokenSpan
from nextgpt.model.model_dir import WEIGHTS_FILE
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.trained_weights import save_trained
from nextgpt.train.alignment_recipe import AlignmentRecipe, load_sources
from nextgpt.train.backend import resolve_bf16
from nextgpt.train.dataset import BatchSampler, DialogueSource, Example, InvalidRecordLog, LocalBatch, iterate_batches
from nextgpt.train.distributed import DistributedContext
from nextgpt.train.feature_cache import open_cache
from nextgpt.train.frozen_encoders import FrozenEncoders, attach_encoder_outputs
from nextgpt.train.initial_model import compile_llm, load_initial_model, set_trainable
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.model_card import ModelCard
from nextgpt.train.objective import AlignmentObjective
from nextgpt.train.parameter_report import ParameterCount, count_from_configs, count_prepared_model
from nextgpt.train.sample_callback import SampleCallback, sample_requests
from nextgpt.train.stages import Stage
from nextgpt.train.trainer import Callbacks, train

Config = AlignmentRecipe


def run(recipe: AlignmentRecipe, on_metrics: MetricsCallback | None = None) -> bool:
    """Run one stage and write the whole model folder; return False if SIGTERM stopped the run.

    Raises:
        ConfigError: A data source can't be read, or settings contradict each other.
        DivergenceError: A loss is not finite.
    """
    context = DistributedContext(recipe.engine.sharding)
    sources = load_sources(recipe)  # first: a missing corpus is found before gigabytes of weights are read
    model = load_initial_model(recipe, device=context.device)
    stage, model_dir = recipe.resolved_stage, recipe.model_dir
    set_trainable(model, stage, recipe.lora)
    if not recipe.train_signal_inputs:
        model.llm.signals.input.requires_grad_(False)
    objective = AlignmentObjective(model, stage, recipe.loss_weights)
    sampler = make_sampler(recipe, model, sources)
    card = ModelCard(recipe, sampler.sources, count_prepared_model(model, model_dir))
    configure_llm(model, stage, recipe)
    is_complete = train(
        objective,
        partial(_local_batches, recipe, sampler, FrozenEncoders.of(model, model_dir, stage), context),
        recipe.fit,
        recipe.work,
        engine=recipe.engine,
        context=context,
        callbacks=Callbacks(
            export=partial(export_checkpoint, model, model_dir, card),
            sample=_sample_callback(recipe, model, sampler.sources, context),
            on_metrics=on_metrics,
            settings=recipe.model_dump(mode="json"),
        ),
    )
    if is_complete and context.is_main:
        model.eval()
        model.save_pretrained(recipe.model, dtype=getattr(torch, recipe.save_dtype))
        card.write(recipe.model)
    context.barrier()
    return is_complete


def count_parameters(recipe: AlignmentRecipe) -> list[ParameterCount]:
    """Count trained and frozen parameters by component, from configs alone."""
    config = recipe.architecture or read_config(recipe.config_dir)
    if recipe.reset_trained:
        config = config.model_copy(update={"llm": config.llm.model_copy(update={"lora": None})})
    return count_from_configs(
        config, recipe.config_dir, recipe.resolved_stage, recipe.lora, train_signal_inputs=recipe.train_signal_inputs
    )


def make_sampler(
    recipe: AlignmentRecipe, model: NextGPT, sources: tuple[DialogueSource, ...] | None = None
) -> BatchSampler:
    """Create the sampler of a recipe's batches, reading from its cache if it names one.

    ``sources`` are the recipe's, if they are loaded already.
    """
    sources = load_sources(recipe) if sources is None else sources
    cache_lookup = None
    if recipe.cache is not None:
        cache_lookup = open_cache(recipe, model, sources).lookup
    return BatchSampler(
        sources,
        recipe.fit.batch_size,
        recipe.fit.seed,
        partial(build_example_prompt, model, recipe.max_tokens),
        recipe.batch_mixing,
        recipe.batch_unit,
        cache_lookup,
        loads_targets="denoising" in recipe.resolved_stage.loss_weights,
        length_pool_batches=recipe.length_pool_batches,
    )


def build_example_prompt(model: NextGPT, max_tokens: int | None, example: Example) -> Prompt:
    """Build the prompt of an example, edits marked, without the end of a truncated answer.

    Raises:
        ConversationError: It is longer than the model, or ``max_tokens``, allows.
    """
    outputs = [medium for message in example.conversation if message.role == "assistant" for medium in message.media]
    edit_ids = {id(outputs[index]) for index in example.edit_indices}
    prompt = model.llm.build_prompt(
        example.conversation, add_generation_prompt=False, is_edit=lambda medium: id(medium) in edit_ids
    )
    if example.is_truncated:
        prompt = _without_end_of_turn(model, prompt)
    length = prompt.length(model.llm.soft_tokens)
    if max_tokens is not None and length > max_tokens:
        raise ConversationError(
            f"The example has {length} tokens; expected at most max_tokens, {max_tokens}. Raise it, or shorten the "
            "example."
        )
    return prompt


def _without_end_of_turn(model: NextGPT, prompt: Prompt) -> Prompt:
    tokenizer = model.llm.tokenizer
    end = tokenizer.split_special_tokens(model.llm.template.end_of_turn)
    num_ids = sum(len(tokenizer.encode(piece)) if isinstance(piece, str) else 1 for piece in end)
    *pieces, last = prompt.pieces
    assert isinstance(last, TokenSpan) and last.in_loss, "a truncated example ends with the assistant's turn"
    return Prompt((*pieces, replace(last, ids=last.ids[: len(last.ids) - num_ids])))


def configure_llm(model: NextGPT, stage: Stage, recipe: AlignmentRecipe) -> None:
    """Set gradient checkpointing and compilation of the LLM."""
    transformer = model.llm.transformer
    # The frozen prefix runs with a KV cache, which recomputation would fill twice; see prefix_forward.py.
    if recipe.engine.gradient_checkpointing and stage.trainable & {"input_projection", "lora"}:
        transformer.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if transformer.device.type == "cpu" and resolve_bf16(recipe.fit, "cpu"):
        # One thread, 24 turns of small: 3.8 s a step; 4.3 s with scaled_dot_product_attention.
        transformer.set_attn_implementation("eager")
    if recipe.fit.compile:
        compile_llm(transformer)


def export_checkpoint(model: NextGPT, model_dir: Path, card: ModelCard, folder: Path) -> None:
    """Make a checkpoint a model folder: trained weights, paths of the frozen components, and a model card."""
    values = model.config.model_dump()
    sources = [values["encoder"], values["llm"]["source"], *(s["source"] for s in values["synthesizers"].values())]
    for source in sources:
        if source["path"] is not None:
            source["path"] = str((model_dir / source["path"]).resolve())
    write_config(ModelConfig.model_validate(values), folder)
    save_trained(model, folder / WEIGHTS_FILE)
    card.write(folder)


def _local_batches(
    recipe: AlignmentRecipe,
    sampler: BatchSampler,
    encoders: FrozenEncoders,
    context: DistributedContext,
    first_step: int,
) -> Iterator[LocalBatch]:
    log = InvalidRecordLog(recipe.work / f"invalid-{context.rank}.jsonl")
    for source in sampler.sources:
        log.add(source.invalid)
    batches = iterate_batches(
        sampler,
        first=first_step,
        max_steps=recipe.fit.max_steps,
        rank=context.rank,
        world_size=context.world_size,
        num_workers=recipe.engine.num_workers,
    )
    return attach_encoder_outputs(log.record(batches), encoders)


def _sample_callback(
    recipe: AlignmentRecipe, model: NextGPT, sources: Sequence[DialogueSource], context: DistributedContext
) -> Callable[[int], Mapping[str, Sequence[Part]]] | None:
    # A process that holds a shard of the weights must take part in every forward pass.
    is_needed = context.is_main or recipe.engine.sharding != "none"
    if recipe.engine.sample_steps is None or not is_needed:
        return None
    requests = sample_requests(sources, recipe.engine.num_samples)
    return SampleCallback(model, requests, recipe.work / "samples", writes=context.is_main)
