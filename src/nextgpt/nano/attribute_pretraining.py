"""Recipe kind ``attribute_pretraining``: each soft token learns the LLM's word embedding of one attribute.

Trained by captioning through a frozen LLM, an input projection learns attributes with many values last: for thousands
of steps the captions name place and background, but not which of a hundred objects. Here it is trained directly, as
BLIP-2 trains its Q-Former before the LLM is attached (Li et al. 2023, arXiv:2301.12597, section 3.2): among all values
of its attribute, soft token k must be nearest to the mean word embedding of the right one. Captioning is trained
afterwards.

The encoder can be trained as well; soft tokens then distinguish three objects in an image better than with a frozen
encoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from itertools import product
from typing import Literal

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Shaped
from torch import Tensor

from nextgpt.errors import ConfigError
from nextgpt.miniworld.language.canonical_captions import MOTION_WORDS
from nextgpt.miniworld.specs import MediaSpec, SceneSpec
from nextgpt.miniworld.splits import is_held_out
from nextgpt.model.encoding import save_encoder
from nextgpt.model.encoding.base import Features
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.input_projection.resampler import ResamplerProjection
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.nextgpt import NextGPT
from nextgpt.nano.attributes import ATTRIBUTE_VALUES, NO_OBJECT, attributes_of
from nextgpt.nano.component_training import DrawnBatch, train_component
from nextgpt.nano.encoder import MODALITY_SPECS, augment_audio, multi_object_scene, preprocess_media, without_sound
from nextgpt.nano.projection_start import BATCH_SIZE, load_source, start_input_network
from nextgpt.nano.self_generated import SELF_GENERATED_DIR, SelfGeneratedConfig, SelfGeneratedMedia, load_or_generate
from nextgpt.train.initial_model import InitialModelRecipe, load_initial_model
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.parameter_report import ParameterCount, count_prepared_model
from nextgpt.train.trainer import Objective

SLOTS: dict[str, tuple[tuple[str, ...], ...]] = {
    "image": (
        ("object 0",), ("tint 0", "place 0", "size 0"),
        ("object 1",), ("tint 1", "place 1"),
        ("object 2",), ("tint 2", "place 2"),
        ("background",),
    ),
    "audio": (("source",), ("pitch",), ("pattern",), ("speed",)),
    "video": (("object",), ("tint",), ("motion",), ("background",)),
}  # fmt: skip
"""Attributes of soft token k by modality; the target of several attributes is the sum of their embeddings."""
IMPLICIT_VALUES = frozenset({NO_OBJECT, "natural"})
"""Values that captions omit; their embedding is zero."""
LOGIT_SCALE = 10.0
"""Logit difference between the right value and one at average distance, for a soft token at its target."""
MSE_WEIGHT = 0.1
"""Weight of the squared distance to the target, in units of the average distance."""

START_MEDIA = 3000
"""Number of media in the ridge regression of ``start_from``."""


class Config(InitialModelRecipe):
    """The input projection of a model, with its encoder if that is tuned."""

    kind: Literal["attribute_pretraining"]
    tune_encoder: bool = False
    """Train the encoder as well, and replace its folder in ``model``."""
    self_generated: SelfGeneratedConfig | None = None
    """Mix self-generated media into the training. None: true renderings alone."""
    start_from: str | None = None
    """Model whose input projection is the start; its last layer is fitted by ridge regression. None: the initial
    model's own."""


class AttributeEmbeddings:
    """Embeddings of all attribute values: means of the LLM's word embeddings."""

    def __init__(self, llm: LanguageModel) -> None:
        self._llm = llm
        self._slots = {
            (modality, number): self._value_embeddings(modality, attributes)
            for modality, slots in SLOTS.items()
            for number, attributes in enumerate(slots)
        }

    def loss(
        self, modality: str, soft: Float[Tensor, "B K D"], specs: Sequence[MediaSpec]
    ) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
        """Return the loss averaged over slots, and the share of media of which every slot names the right value.

        A slot whose attribute a medium lacks, such as the tint of a missing second object, is unconstrained.
        """
        values = [attributes_of(spec) for spec in specs]
        losses, correct = [], torch.ones(len(specs), dtype=torch.bool, device=soft.device)
        for number, attributes in enumerate(SLOTS[modality]):
            embeddings, index = self._slots[modality, number]
            rows, targets = _constrained(values, attributes, index)
            if not rows:
                continue
            target = torch.tensor(targets, device=soft.device)
            distances = torch.cdist(soft[rows, number].float(), embeddings).square()  # (B, V)
            average = torch.cdist(embeddings, embeddings).square().mean()
            held_out = [_held_out_values(specs[row], attributes, tuple(index)) for row in rows]
            is_held_out_value = torch.tensor(held_out, device=soft.device)
            logits = (-LOGIT_SCALE * distances / average).masked_fill(is_held_out_value, -torch.inf)
            squared_error = distances.gather(1, target[:, None]).mean() / average
            losses.append(F.cross_entropy(logits, target) + MSE_WEIGHT * squared_error)
            correct[rows] &= distances.argmin(dim=1) == target
        return torch.stack(losses).mean(), correct.float().mean()

    def targets(
        self, modality: str, specs: Sequence[MediaSpec], soft_tokens: int
    ) -> tuple[Float[Tensor, "B K D"], Bool[Tensor, "B K"]]:
        """Return the embedding of each slot's right value, and which soft tokens have one."""
        values = [attributes_of(spec) for spec in specs]
        targets = torch.zeros(len(specs), soft_tokens, self._llm.hidden_size)
        mask = torch.zeros(len(specs), soft_tokens, dtype=torch.bool)
        for number, attributes in enumerate(SLOTS[modality]):
            embeddings, index = self._slots[modality, number]
            rows, right = _constrained(values, attributes, index)
            targets[rows, number], mask[rows, number] = embeddings[right], True
        return targets, mask

    @torch.no_grad()
    def _value_embeddings(
        self, modality: str, attributes: Sequence[str]
    ) -> tuple[Float[Tensor, "V D"], dict[tuple[str, ...], int]]:
        combinations = list(product(*(ATTRIBUTE_VALUES[modality][name] for name in attributes)))
        embeddings = torch.stack([
            sum(self._embedding(*pair) for pair in zip(attributes, values, strict=True))
            for values in combinations
        ])  # fmt: skip
        return embeddings, {values: number for number, values in enumerate(combinations)}

    def _embedding(self, attribute: str, value: str) -> Float[Tensor, " D"]:
        if value in IMPLICIT_VALUES:
            return torch.zeros(self._llm.hidden_size, device=self._llm.signals.input.device)
        words = MOTION_WORDS[value] if attribute == "motion" else value
        return self._llm.embed_ids(self._llm.tokenizer.encode(f" {words}")).float().mean(dim=0)


def _constrained(
    values: Sequence[Mapping[str, str]], attributes: Sequence[str], index: Mapping[tuple[str, ...], int]
) -> tuple[list[int], list[int]]:
    """Return the media that have all attributes of a slot, and the index of each one's combination of values."""
    rows = [row for row, names in enumerate(values) if all(name in names for name in attributes)]
    return rows, [index[tuple(values[row][name] for name in attributes)] for row in rows]


@lru_cache(maxsize=1 << 16)
def _held_out_values(
    spec: MediaSpec, attributes: tuple[str, ...], combinations: tuple[tuple[str, ...], ...]
) -> tuple[bool, ...]:
    """Return for each combination of values whether the split holds it out; for images, never.

    Held-out combinations are excluded from the negatives; otherwise the model learns never to predict them.
    """
    if isinstance(spec, SceneSpec):
        return (False,) * len(combinations)
    current = tuple(getattr(spec, name) for name in attributes)
    return tuple(
        values != current and is_held_out(replace(spec, **dict(zip(attributes, values, strict=True))))
        for values in combinations
    )


@dataclass(frozen=True)
class AttributeBatch:
    """Specifications of one modality with their media as tower inputs."""

    specs: tuple[MediaSpec, ...]
    items: Shaped[Tensor, "B ..."]


class AttributeObjective(Objective):
    """The input projection of a model, and its encoder if that is tuned."""

    def __init__(
        self, model: NextGPT, media: SelfGeneratedMedia = SelfGeneratedMedia(), *, tune_encoder: bool = False
    ) -> None:
        super().__init__()
        model.requires_grad_(False)
        self.input_projection = model.input_projection.requires_grad_(True)
        self.encoder = model.encoder.requires_grad_(tune_encoder).train(tune_encoder)
        self.media, self.tune_encoder = media, tune_encoder
        self.embeddings = AttributeEmbeddings(model.llm)
        self.loss_weights = dict.fromkeys(MODALITY_SPECS, 1.0)
        self.metric_names = [f"{modality}_named" for modality in MODALITY_SPECS]

    def draw_batch(self, rng: np.random.Generator, size: int) -> dict[str, AttributeBatch]:
        """Draw media of the training split; most images have several objects."""
        batch = {}
        for modality, modality_spec in MODALITY_SPECS.items():
            sample = partial(modality_spec.sample, rng, "train")
            if modality == "image":
                sample = partial(multi_object_scene, rng)
            count = round(size * modality_spec.batch_fraction)
            sampled = [self.media.sample_spec(rng, modality, sample) for _ in range(count)]
            specs = tuple(without_sound(spec) for spec in sampled)
            items = preprocess_media(self.encoder, [self.media.medium(rng, spec) for spec in specs])
            if modality == "audio" and self.tune_encoder:
                items = augment_audio(items, rng)
            batch[modality] = AttributeBatch(specs, items)
        return batch

    def forward(self, batch: DrawnBatch) -> dict[str, Tensor]:
        """Return the loss of each modality, and the share of media that are named correctly."""
        device = next(self.input_projection.parameters()).device
        outputs = {}
        for modality, part in batch.data.items():
            with torch.set_grad_enabled(self.tune_encoder):
                vectors = self.encoder.forward_clips(MODALITY_SPECS[modality].tower, part.items.to(device))
            soft = self.input_projection([Features(row) for row in vectors], [modality] * len(vectors))
            outputs[modality], outputs[f"{modality}_named"] = self.embeddings.loss(modality, soft, part.specs)
        return outputs


def run(recipe: Config, on_metrics: MetricsCallback | None = None) -> bool:
    """Train the input projection and write the whole model folder."""
    model = load_initial_model(recipe)
    num_slots = max(map(len, SLOTS.values()))
    if model.llm.soft_tokens < num_slots:
        raise ConfigError(
            f"The input projection has {model.llm.soft_tokens} soft tokens; expected at least {num_slots}, one per "
            "group of attributes. Raise architecture.input_projection.soft_tokens."
        )
    folders = {
        modality: resolve_component_dir(synthesizer.source, recipe.model_dir)
        for modality, synthesizer in model.config.synthesizers.items()
    }
    media = load_or_generate(recipe.self_generated, folders, recipe.work.parent / SELF_GENERATED_DIR)
    objective = AttributeObjective(model, media, tune_encoder=recipe.tune_encoder)
    if recipe.start_from is not None:
        start_projection(objective, load_source(recipe.start_from), np.random.default_rng(recipe.fit.seed))
    if not train_component(recipe, objective, objective.draw_batch, on_metrics):
        return False
    model.save_pretrained(recipe.model)
    if recipe.tune_encoder:
        encoder = objective.encoder.requires_grad_(False).eval()
        save_encoder(encoder, recipe.model / "encoder", dtype=torch.bfloat16)
    return True


@torch.no_grad()
def start_projection(objective: AttributeObjective, source: NextGPT, rng: np.random.Generator) -> None:
    """Copy the input projection of ``source``, and fit its last layer to the embeddings of the LLM.

    Raises:
        ConfigError: The two are not resamplers of the same sizes.
    """
    if not all(isinstance(p, ResamplerProjection) for p in (objective.input_projection, source.input_projection)):
        raise ConfigError(
            "start_from is set, and an input projection is not of the kind resampler; expected two resamplers of the "
            "same sizes. Change architecture, or remove start_from."
        )
    for modality, batch in objective.draw_batch(rng, START_MEDIA).items():
        targets, mask = objective.embeddings.targets(modality, batch.specs, objective.input_projection.soft_tokens)
        chunks = batch.items.split(BATCH_SIZE)
        vectors = torch.cat([objective.encoder.forward_clips(MODALITY_SPECS[modality].tower, c) for c in chunks])
        network = objective.input_projection.networks[modality]
        start_input_network(network, source.input_projection.networks[modality], vectors, targets, mask)


def count_parameters(recipe: Config) -> list[ParameterCount]:
    """Count the input projection, and the encoder as trained if it is tuned."""
    model = load_initial_model(recipe)
    model.requires_grad_(False)
    model.input_projection.requires_grad_(True)
    counts = count_prepared_model(model, recipe.model_dir)
    if not recipe.tune_encoder:
        return counts
    return [replace(c, trained=c.frozen, frozen=0) if c.component == "encoder" else c for c in counts]
