"""Recipe kind ``encoder``: contrastive training on media and captions (CLIP, arXiv 2103.00020), plus attribute losses.

As in ImageBind, all towers are trained against one: there vision, here text, since every medium of the small world has
a caption. Batches have groups of specs that differ in one attribute, so that vectors must encode place, tint, pitch and
motion, not only the object. The classifiers of :mod:`.attributes` require the same directly; theirs is the only loss
when training is continued.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from nextgpt.errors import ConfigError
from nextgpt.message import Audio, Medium
from nextgpt.miniworld import sample_specs
from nextgpt.miniworld.language import canonical_caption
from nextgpt.miniworld.language.captions import caption
from nextgpt.miniworld.specs import ClipSpec, MediaSpec, SceneSpec
from nextgpt.miniworld.splits import is_held_out
from nextgpt.model.encoding import EncoderConfig, ImageBind, load_encoder, save_encoder
from nextgpt.nano.attributes import AttributeClassifier, TokenAttributeClassifier, attribute_labels
from nextgpt.nano.component_training import DrawnBatch, train_component
from nextgpt.nano.self_generated import SELF_GENERATED_DIR, SelfGeneratedConfig, SelfGeneratedMedia, load_or_generate
from nextgpt.nano.tokenizer import train_tokenizer
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.parameter_report import ParameterCount
from nextgpt.train.recipe import BaseRecipe
from nextgpt.train.registry import require_component
from nextgpt.train.trainer import Objective

TOKENIZER_ROUNDS = 4000
GROUP_SIZE = 4
"""Specifications of a batch that differ in one attribute alone."""
CANONICAL_PROBABILITY = 0.5
"""Share of canonical captions; others are varied and may omit attributes."""
OBJECT_COUNT_PROBS = (0.25, 0.4, 0.35)
"""Probabilities of one, two or three objects in an image when training is continued."""
MAX_SHIFT_FRAMES = 12
"""In spectrogram frames of 10 ms."""
MAX_SILENT_BANDS = 12


@dataclass(frozen=True)
class ModalitySpec:
    """A modality in the encoder's training."""

    sample: Callable[..., MediaSpec]
    tower: str
    batch_fraction: float


MODALITY_SPECS = {
    "image": ModalitySpec(sample_specs.sample_scene, "vision", 0.6),
    "audio": ModalitySpec(sample_specs.sample_sound, "audio", 0.2),
    "video": ModalitySpec(sample_specs.sample_clip, "vision", 0.2),
}


class Config(BaseRecipe):
    """Train the encoder and its tokenizer."""

    kind: Literal["encoder"]
    encoder: EncoderConfig
    """``text.vocabulary`` is the maximum size of the tokenizer."""
    continue_training: bool = False
    """Start from the existing encoder, with the attribute loss only, because its text tower was not saved."""
    self_generated: SelfGeneratedConfig | None = None
    """With ``continue_training``: mix self-generated media into the training. None: true renderings alone."""

    @property
    def output_dir(self) -> Path:
        """Return the folder of the encoder."""
        return self.model / "encoder"


@dataclass(frozen=True)
class CaptionBatch:
    """Media of one modality with the token ids of their captions and their attribute labels."""

    modality: str
    items: Tensor
    captions: Tensor | None
    labels: Tensor


class EncoderObjective(Objective):
    """An encoder with its own tokenizer and the attribute classifiers."""

    def __init__(
        self,
        config: EncoderConfig,
        seed: int,
        media: SelfGeneratedMedia = SelfGeneratedMedia(),
        init_from: ImageBind | None = None,
    ) -> None:
        super().__init__()
        assert config.text is not None, "pretraining needs a text tower"
        self.media = media
        rng = np.random.default_rng(seed)
        texts = [text for _ in range(TOKENIZER_ROUNDS) for text in _captions_of_each_modality(rng)]
        tokenizer = train_tokenizer(texts, config.text.vocabulary, for_captions=True)
        text = {"vocabulary": len(tokenizer), "start_token_id": None, "end_token_id": tokenizer.eos_token_id}
        config = config.model_copy(update={"text": config.text.model_copy(update=text)})
        self.encoder = ImageBind(config, tokenizer.backend_tokenizer)
        self.classifier = AttributeClassifier(config.width)
        has_tokens = config.features == "tokens"
        self.token_classifier = TokenAttributeClassifier(config.width) if has_tokens else None
        init_sincos_positions(self.encoder)
        self.is_contrastive = init_from is None
        if init_from is not None:
            # It lacks the text tower, which stays unused; any other difference is an error.
            text_tower = {name: value for name, value in self.encoder.state_dict().items() if ".text." in name}
            self.encoder.load_state_dict(text_tower | init_from.state_dict())
            self.encoder.tower("text").requires_grad_(False)
        self.loss_weights = {"attributes": 1.0} | ({"contrast": 1.0} if self.is_contrastive else {})
        suffixes = ["read", *(["hits"] if self.is_contrastive else []), *(["tokens_read"] if has_tokens else [])]
        self.metric_names = [f"{modality}_{suffix}" for modality in MODALITY_SPECS for suffix in suffixes]

    def compile(self) -> None:
        """Compile the towers of media, whose batches have one shape; captions differ in length."""
        for tower in {spec.tower for spec in MODALITY_SPECS.values()}:
            self.encoder.modality_trunks[tower].compile(dynamic=False)

    def draw_batch(self, rng: np.random.Generator, size: int) -> list[CaptionBatch]:
        """Draw media of every modality; in groups of hard negatives for the contrastive loss."""
        batches = []
        for modality, modality_spec in MODALITY_SPECS.items():
            sample = partial(modality_spec.sample, rng, "train")
            if modality == "image" and not self.is_contrastive:
                sample = partial(multi_object_scene, rng)
            specs: list[MediaSpec] = []
            while len(specs) < size * modality_spec.batch_fraction:
                if self.is_contrastive:
                    specs += hard_negatives(sample(), sample, rng)
                else:
                    specs.append(self.media.sample_spec(rng, modality, sample))
            specs = [without_sound(spec) for spec in specs]
            captions = self._tokenize_captions(specs, rng) if self.is_contrastive else None
            items = preprocess_media(self.encoder, [self.media.medium(rng, spec) for spec in specs])
            if modality == "audio":
                items = augment_audio(items, rng)
            batches.append(CaptionBatch(modality, items, captions, attribute_labels(modality, specs)))
        return batches

    def _tokenize_captions(self, specs: Sequence[MediaSpec], rng: np.random.Generator) -> Tensor:
        return self.encoder.tokenize([
            canonical_caption(spec) if rng.random() < CANONICAL_PROBABILITY else caption(spec, rng, "train")
            for spec in specs
        ])  # fmt: skip

    def forward(self, batch: DrawnBatch) -> dict[str, Tensor]:
        """Return both losses averaged over modalities, and shares of media that are matched or classified right."""
        device = next(self.encoder.parameters()).device
        attributes, contrasts, metrics = [], [], {}
        for part in batch.data:
            tower, labels = MODALITY_SPECS[part.modality].tower, part.labels.to(device)
            tokens = self.encoder.forward_tokens(tower, part.items.to(device)).float()
            vectors = self.encoder.modality_postprocessors[tower](tokens[:, 0])
            if part.captions is not None:
                contrast, metrics[f"{part.modality}_hits"] = self._contrast(vectors, part.captions.to(device))
                contrasts.append(contrast)
            loss, metrics[f"{part.modality}_read"] = self.classifier(part.modality, vectors, labels)
            attributes.append(loss)
            if self.token_classifier is not None:
                loss, metrics[f"{part.modality}_tokens_read"] = self.token_classifier(part.modality, tokens, labels)
                attributes.append(loss)
        losses = {"attributes": torch.stack(attributes).mean()}
        if contrasts:
            losses["contrast"] = torch.stack(contrasts).mean()
        return {**losses, **metrics}

    def _contrast(self, vectors: Tensor, captions: Tensor) -> tuple[Tensor, Tensor]:
        """Return the contrastive loss, and the share of media that match their own caption best."""
        texts = self.encoder.forward_modality("text", captions).float()  # of length 1 / temperature
        logits = F.normalize(vectors, dim=-1) @ texts.T
        # Equal captions are no negatives of each other.
        is_equal = (captions[:, None] == captions[None]).all(-1).fill_diagonal_(False)
        logits = logits.masked_fill(is_equal, -1e4)
        labels = torch.arange(len(logits), device=logits.device)
        loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
        return loss, (logits.argmax(1) == labels).float().mean()


def hard_negatives(spec: MediaSpec, sample: Callable[[], MediaSpec], rng: np.random.Generator) -> list[MediaSpec]:
    """Return ``GROUP_SIZE`` specifications: the given one, and others that differ from it in one attribute."""
    group = [spec]
    while len(group) < GROUP_SIZE:
        changed = _with_one_attribute_of(spec, sample(), rng)
        if not is_held_out(changed):
            group.append(changed)
    return group


def _with_one_attribute_of(spec: MediaSpec, other: MediaSpec, rng: np.random.Generator) -> MediaSpec:
    if isinstance(spec, SceneSpec):
        if len(spec.objects) > 1 or len(other.objects) > 1:
            return other
        names = ["object", "tint", "place", "size", "background"]
        name = names[rng.integers(len(names))]
        if name == "background":
            return replace(spec, background=other.background)
        placed = replace(spec.objects[0], **{name: getattr(other.objects[0], name)})
        return replace(spec, objects=(placed,))
    names = [field.name for field in fields(spec) if field.name != "sound"]
    name = names[rng.integers(len(names))]
    return replace(spec, **{name: getattr(other, name)})


def without_sound(spec: MediaSpec) -> MediaSpec:
    """Return a specification without a video's audio, which is not an attribute to classify."""
    return replace(spec, sound=None) if isinstance(spec, ClipSpec) else spec


def multi_object_scene(rng: np.random.Generator) -> SceneSpec:
    """Sample an image that mostly has several objects: these are learned last."""
    return sample_specs.sample_scene(rng, "train", count=int(rng.choice(3, p=OBJECT_COUNT_PROBS)) + 1)


def preprocess_media(encoder: ImageBind, media: Sequence[Medium]) -> Tensor:
    """Return media of one modality as tower inputs; each is a single clip."""
    return torch.stack([
        _preprocess_audio_cached(encoder, medium) if isinstance(medium, Audio) else encoder.preprocess(medium)[0]
        for medium in media
    ])  # fmt: skip


@lru_cache(maxsize=4096)
def _preprocess_audio_cached(encoder: ImageBind, audio: Audio) -> Tensor:
    """Return cached tower inputs: there are few different sounds, and filter banks are slow."""
    return encoder.preprocess(audio)[0]


def augment_audio(
    items: Float[Tensor, "B 1 mels frames"], rng: np.random.Generator
) -> Float[Tensor, "B 1 mels frames"]:
    """Shift sounds in time and level, add noise and silence some bands.

    There are only a few hundred sounds; without augmentation a tower memorizes them.
    """
    augmented = []
    for item in items.numpy():
        item = np.roll(item, int(rng.integers(-MAX_SHIFT_FRAMES, MAX_SHIFT_FRAMES + 1)), axis=-1)
        item = item + rng.normal(0, 0.2) + rng.normal(0, rng.uniform(0, 0.3), item.shape)
        first = int(rng.integers(item.shape[-2]))
        item[:, first : first + int(rng.integers(MAX_SILENT_BANDS))] = item.min()
        augmented.append(item.astype(np.float32))
    return torch.from_numpy(np.stack(augmented))


@torch.no_grad()
def init_sincos_positions(encoder: ImageBind) -> None:
    """Initialize image positions with sines and cosines of row and column, as large as the patch embeddings.

    Small random positions are negligible compared with the patches' colors; places would be learned late or never.
    """
    table = encoder.modality_preprocessors["vision"].pos_embedding_helper.pos_embed  # (1, 1 + P, D)
    side = math.isqrt(table.shape[1] - 1)
    if side**2 != table.shape[1] - 1:
        return  # several frames: the positions of a video are learned from their usual start
    rates = torch.linspace(math.pi / side, math.pi, table.shape[2] // 4)
    angles = (torch.arange(side)[:, None] + 0.5) * rates  # (side, D / 4)
    waves = torch.cat((angles.sin(), angles.cos()), dim=1)
    rows, columns = waves.repeat_interleave(side, dim=0), waves.repeat(side, 1)
    table[0, 1:] = torch.cat((rows, columns), dim=1)


def _captions_of_each_modality(rng: np.random.Generator) -> list[str]:
    specs = [modality_spec.sample(rng, "train") for modality_spec in MODALITY_SPECS.values()]
    return [text for spec in specs for text in (canonical_caption(spec), caption(spec, rng, "train"))]


def run(recipe: Config, on_metrics: MetricsCallback | None = None) -> bool:
    """Train an encoder and write its folder, without the text tower that only training needs."""
    if recipe.self_generated is not None and not recipe.continue_training:
        raise ConfigError("self_generated is set for a fresh encoder; expected continue_training. Remove one.")
    init_from = load_encoder(require_component(recipe.output_dir)) if recipe.continue_training else None
    folders = {modality: recipe.model / modality for modality in MODALITY_SPECS}
    media = load_or_generate(recipe.self_generated, folders, recipe.work.parent / SELF_GENERATED_DIR)
    torch.manual_seed(recipe.fit.seed)
    objective = EncoderObjective(recipe.encoder, recipe.fit.seed, media, init_from)
    if recipe.fit.compile:
        objective.compile()
    if not train_component(recipe, objective, objective.draw_batch, on_metrics):
        return False
    save_encoder(without_text_tower(objective.encoder), recipe.output_dir, dtype=torch.bfloat16)
    return True


def without_text_tower(encoder: ImageBind) -> ImageBind:
    """Return the same encoder for media alone."""
    smaller = ImageBind(encoder.config.model_copy(update={"text": None}))
    state = encoder.state_dict()
    smaller.load_state_dict({name: state[name] for name in smaller.state_dict()})
    return smaller


def count_parameters(recipe: Config) -> list[ParameterCount]:
    """Count the parameters of each tower."""
    with torch.device("meta"):
        encoder = ImageBind(recipe.encoder)
    modules = (
        encoder.modality_preprocessors,
        encoder.modality_trunks,
        encoder.modality_heads,
        encoder.modality_postprocessors,
    )
    return [
        ParameterCount.of(f"{tower} tower", nn.ModuleList([by_tower[tower] for by_tower in modules]))
        for tower in recipe.encoder.towers
    ]
