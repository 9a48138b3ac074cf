"""The alignments of nano: the small world's dialogues as examples, drawn without end, and the run of one stage."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import PIL.Image
import torch
from jaxtyping import Float
from torch import Tensor, nn

from nextgpt.config import ComponentSource, LanguageModelConfig, ModelConfig, SynthesizerConfig, read_config
from nextgpt.errors import ConfigError
from nextgpt.message import Audio, Conversation, Image, Medium, Message, Part, Text, Video
from nextgpt.miniworld.language import Dialogue, TurnPart, canonical_caption, sample_dialogue
from nextgpt.miniworld.language.dialogue_state import sample_spec
from nextgpt.miniworld.specs import MediaSpec
from nextgpt.miniworld.splits import Split
from nextgpt.modality import MODALITIES
from nextgpt.model.encoding import save_encoder
from nextgpt.model.encoding.base import Features
from nextgpt.model.loading import build_model
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder
from nextgpt.model.trained_weights import WEIGHTS_FILE, load_trained
from nextgpt.train.alignment import Example, Targets, alignment_loss, prepare
from nextgpt.train.fit import fit
from nextgpt.train.naming import SLOTS, NamingTrainer
from nextgpt.train.own_media import OWN_MEDIA, OwnMedia, own_media
from nextgpt.train.pretrain.attention import compile_for_training, float32_attention
from nextgpt.train.recipe import AlignmentRecipe, Report
from nextgpt.train.stage import ENCODING_ALIGNMENT, STAGES

_MADE: dict[str, Medium] = {
    "image": Image(PIL.Image.new("RGB", (1, 1))),
    "audio": Audio(np.zeros((1, 1), dtype=np.float32), 16_000),
    "video": Video(np.zeros((1, 1, 1, 3), dtype=np.uint8), 8.0),
}
"""Stand in where the assistant makes a medium: a run of signal tokens says nothing of its pixels."""


_MEDIUM_CHARACTERS = 30
"""What a medium counts for beside words: about six tokens."""
POOL = 4
"""Batches' worth of dialogues that are drawn to choose one batch of neighbours in length: padding costs as words do."""


@dataclass(frozen=True)
class Batch:
    """Examples beside the features of all media that are given in them, in order."""

    examples: tuple[Example, ...]
    features: tuple[Features, ...]


def example_of(dialogue: Dialogue) -> Example:
    """A dialogue as an example; given media are stand-ins too, since features come beside it."""
    messages: list[Message] = []
    captions: list[str] = []
    edits: set[int] = set()
    for turn in dialogue.turns:
        messages.append(Message("user", tuple(_part(say) for say in turn.user)))
        messages.append(Message("assistant", tuple(_part(say) for say in turn.assistant)))
        for shown in turn.target_media:
            if shown.is_edit:
                edits.add(len(captions))
            captions.append(canonical_caption(shown.spec))
    return Example(Conversation(tuple(messages)), tuple(captions), frozenset(edits))


def _of_one_length(dialogues: Sequence[Dialogue], rng: np.random.Generator, turns: int) -> list[Dialogue]:
    """Neighbours in length with ``turns`` turns in all; each dialogue is as likely to be where they begin."""
    in_order = sorted(dialogues, key=_length)
    first = int(rng.integers(len(in_order)))
    chosen: list[Dialogue] = []
    for dialogue in (*in_order[first:], *reversed(in_order[:first])):
        if sum(len(dialogue.turns) for dialogue in chosen) >= turns:
            break
        chosen.append(dialogue)
    return chosen


def _length(dialogue: Dialogue) -> int:
    """About how much a dialogue says."""
    says = [say for turn in dialogue.turns for say in (*turn.user, *turn.assistant)]
    return sum(len(say) if isinstance(say, str) else _MEDIUM_CHARACTERS for say in says)


def _part(say: TurnPart) -> Part:
    if isinstance(say, str):
        return Text(say)
    # Stand-ins must be told apart by identity: edits are marked by it.
    return replace(_MADE[say.modality])


class AlignmentTrainer:
    """A model in one of the three alignments."""

    def __init__(
        self, model: NextGPT, recipe: AlignmentRecipe, targets: Targets, own: OwnMedia = OwnMedia()
    ) -> None:
        self.model = model
        self.own = own
        self.recipe = recipe
        self.stage = STAGES[recipe.stage]
        self.targets = targets

    def draw_batch(self, rng: np.random.Generator, size: int) -> Batch:
        """Draw dialogues of the training split of about one length; long ones count for several."""
        drawn: list[Dialogue] = []
        while sum(len(dialogue.turns) for dialogue in drawn) < size * POOL:
            drawn.append(sample_dialogue(rng, "train", task=self._task(rng), spec_source=self._content))
        dialogues = _of_one_length(drawn, rng, size)
        contents = [shown.spec for d in dialogues for turn in d.turns for shown in turn.input_media]
        return Batch(tuple(map(example_of, dialogues)), self._features(contents, rng))

    def _content(self, rng: np.random.Generator, modality: str, split: Split) -> MediaSpec:
        return self.own.content(rng, modality, lambda: sample_spec(rng, modality, split))

    def _task(self, rng: np.random.Generator) -> str | None:
        tasks = self.recipe.tasks
        if tasks is None:
            return None
        weights = np.array(list(tasks.values()))
        return list(tasks)[rng.choice(len(tasks), p=weights / weights.sum())]

    @torch.no_grad()
    def _features(self, contents: Sequence[MediaSpec], rng: np.random.Generator) -> tuple[Features, ...]:
        media = [self.own.medium(rng, content) for content in contents]
        return tuple(self.model.encoder.encode(media)) if media else ()

    def loss(self, batch: Batch, noise: torch.Generator) -> dict[str, Tensor]:
        """The losses of the stage."""
        torch.manual_seed(noise.initial_seed())  # for dropout
        with float32_attention():
            return alignment_loss(
                self.model,
                batch.examples,
                features=batch.features,
                stage=self.stage,
                targets=self.targets,
                condition_weight=self.recipe.condition_weight,
            )


def remembered_targets(conditioners: dict[str, PromptEncoder]) -> Targets:
    """Targets by the synthesizers' own text encoders, each caption encoded once."""
    known: dict[tuple[str, str], Tensor] = {}

    @torch.no_grad()
    def targets(modality: str, captions: Sequence[str]) -> Float[Tensor, "B Q C"]:
        fresh = [caption for caption in dict.fromkeys(captions) if (modality, caption) not in known]
        if fresh:
            with torch.autocast("cpu", enabled=False):
                known.update(
                    zip([(modality, c) for c in fresh], conditioners[modality].encode(fresh), strict=True)
                )
        return torch.stack([known[modality, caption] for caption in captions]).float()

    return targets


def join(recipe: AlignmentRecipe) -> NextGPT:
    """Join the frozen parts, with what earlier stages trained where there were any."""
    weights = recipe.model / WEIGHTS_FILE
    is_begun = recipe.stage != ENCODING_ALIGNMENT.name and weights.is_file()
    config = ModelConfig(
        name=recipe.model.name,
        encoder=ComponentSource(path="encoder"),
        llm=LanguageModelConfig(
            source=ComponentSource(path="llm"),
            template="nano",
            # Only instruction tuning gives it some; a stage that is run again finds what it gave before.
            lora=read_config(recipe.model).llm.lora if is_begun else None,
        ),
        input_projection=recipe.input_projection,
        synthesizers={
            name: SynthesizerConfig(
                source=ComponentSource(path=name), output_projection=recipe.output_projections[name]
            )
            for name in MODALITIES
        },
    )
    slots = max(map(len, SLOTS.values()))
    if recipe.naming is not None and (is_begun or recipe.input_projection.soft_tokens < slots):
        raise ConfigError(
            f"naming is set in {recipe.stage} with input_projection.soft_tokens {recipe.input_projection.soft_tokens}; "
            f"expected it in a fresh {ENCODING_ALIGNMENT.name} with at least {slots}, one for each attribute. Correct "
            "these, or leave naming out."
        )
    torch.manual_seed(recipe.fit.seed)
    model = build_model(config, recipe.model)
    if model.encoder.width != recipe.input_projection.encoder_width:
        raise ConfigError(
            f"input_projection.encoder_width is {recipe.input_projection.encoder_width}; the encoder in {recipe.model} "
            f"gives vectors of {model.encoder.width}. Set it to that."
        )
    if is_begun:
        load_trained(model, weights, merge_lora=False)
    else:
        model.llm.init_signals_from_tokens(recipe.signals_begin_at, recipe.signals_end_at)
    return model


def align(recipe: AlignmentRecipe, report: Report | None = None) -> None:
    """Run one stage and write the whole model folder."""
    model = join(recipe)
    prepare(model, STAGES[recipe.stage], recipe.lora)
    conditioners = {name: PromptEncoder(recipe.model / name) for name in MODALITIES}
    own = own_media(recipe.own_media, recipe.model, recipe.work.parent / OWN_MEDIA)
    trainer = AlignmentTrainer(model, recipe, remembered_targets(conditioners), own)
    if recipe.fit.compile:
        compile_for_training(model.llm.transformer)
    if recipe.naming is not None:
        _name(model, recipe, own, report)
    fit({"model": model}, trainer.draw_batch, trainer.loss, recipe.fit, recipe.work, report=report)
    model.eval()
    model.save_pretrained(recipe.model, dtype=torch.bfloat16)


def _name(model: NextGPT, recipe: AlignmentRecipe, own: OwnMedia, report: Report | None) -> None:
    """Let the input projection, and the encoder where it is tuned, learn the names of attributes: a run of its own."""
    config, encoder = recipe.naming, model.encoder
    assert config is not None

    def tell(line: dict[str, float]) -> None:
        if report is not None:
            report(line | {"steps": config.max_steps, "batch_size": config.batch_size})

    trainer = NamingTrainer(model, own, tunes_encoder=recipe.naming_tunes_encoder)
    named = nn.ModuleDict({"input_projection": model.input_projection})
    if recipe.naming_tunes_encoder:
        named["encoder"] = encoder.requires_grad_(True).train()
    fit({"named": named}, trainer.draw_batch, trainer.loss, config, recipe.work / "naming", report=tell)
    if recipe.naming_tunes_encoder:
        encoder.requires_grad_(False).eval()
        save_encoder(encoder, recipe.model / "encoder", dtype=torch.bfloat16)
