"""Recipes: one YAML a training, its keys checked, run by ``nextgpt train RECIPE.yaml [key.sub=value]...``.

A recipe is a pydantic model whose ``kind`` says what is trained. Running one writes its part into the model folder;
a part that stands there already, made by the very same recipe, is left alone, so ``make nano`` resumes part by part.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, ClassVar, Literal

import yaml
from pydantic import BaseModel, ConfigDict

from nextgpt.config import InputProjectionConfig, LoraConfig, OutputProjectionConfig, parse_config
from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.model.encoding.config import EncoderConfig
from nextgpt.train.fit import TrainerConfig
from nextgpt.train.settings import BatchMixing, EngineConfig, SourceConfig
from nextgpt.train.stage import Loss

Report = Callable[[dict[str, float]], None]


class BaseRecipe(BaseModel):
    """What every recipe says."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    sample: ClassVar[str] = "sample"
    """What ``fit.batch_size`` counts."""

    model: Path
    """The model folder that takes the result; parts that were made before are read from it."""
    work: Path
    """Checkpoints and metrics."""
    fit: TrainerConfig


class AutoencoderRecipe(BaseRecipe):
    """The latent autoencoder of one modality."""

    kind: Literal["autoencoder"]
    modality: Literal["image", "audio", "video"]
    architecture: dict[str, Any]
    """Arguments of :class:`~nextgpt.model.synthesis.patch_autoencoder.PatchAutoencoder`."""


class DiffusionRecipe(BaseRecipe):
    """The latent diffusion model of one modality, with its text encoder and tokenizer."""

    kind: Literal["diffusion"]
    modality: Literal["image", "audio", "video"]
    vocabulary: int
    caption_tokens: int
    denoiser: dict[str, Any]
    """Arguments of diffusers' ``CogVideoXTransformer3DModel``."""
    text_encoder: dict[str, Any]
    """Arguments of transformers' ``CLIPTextConfig``."""
    initial: str | None = None
    """A modality made before, whose weights to start from."""
    holds_text_encoder: bool = False
    """Leave the text encoder as ``initial`` has it, so that projections that were trained to meet it still do."""
    settings: dict[str, Any] = {}
    """What the synthesizer's ``nextgpt.json`` says beside the defaults: steps, guidance, edit strength, solver."""


class LanguageModelRecipe(BaseRecipe):
    """The language model with its tokenizer."""

    sample: ClassVar[str] = "token"
    kind: Literal["language_model"]
    vocabulary: int
    dialogues: int
    """How many different dialogues to learn from."""
    context_length: int
    architecture: dict[str, Any]
    """Arguments of transformers' ``LlamaConfig``."""
    is_refined: bool = False
    """Go on from the language model that stands already, with its tokenizer, on other dialogues."""
    tasks: dict[str, float] | None = None
    """Weights of what dialogues end in: the small world's tasks, and ``any`` for its own mixture, which None takes."""


class OwnMediaConfig(BaseModel):
    """Media that the model's own synthesizers make, learned from beside true renderings; see
    :mod:`~nextgpt.train.own_media`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    counts: dict[Literal["image", "audio", "video"], int]
    """How many of each modality are made; those that show what they should are kept, in ``own-media`` beside the
    recipe's work folder, for all recipes."""
    share: float
    """How often a content is one of those, which is then shown as made in half of all cases."""


class EncoderRecipe(BaseRecipe):
    """The encoder, with a tokenizer of its own."""

    kind: Literal["encoder"]
    encoder: EncoderConfig
    is_refined: bool = False
    """Go on from the encoder that stands already, by its attributes alone: the text tower of its contrast is gone."""
    own_media: OwnMediaConfig | None = None
    """Of an encoder that is refined; None shows it true renderings alone."""


class AlignmentRecipe(BaseRecipe):
    """One of the three alignments; starts from the frozen parts, and from what an earlier stage trained."""

    sample: ClassVar[str] = "turn"
    kind: Literal["alignment"]
    stage: Literal["encoding-alignment", "decoding-alignment", "instruction-tuning"]
    tasks: dict[str, float] | None = None
    """Weights of the small world's tasks; ``None`` takes its own mixture."""
    condition_weight: float = 1.0
    signals_begin_at: dict[str, str] = {}
    """Special tokens of the LLM at which runs of signal tokens start, by modality or ``edit``; none for most LLMs."""
    signals_end_at: str | None = None
    """The special token that the LLM knows behind a medium, at which the last token of each run starts."""
    input_projection: InputProjectionConfig
    own_media: OwnMediaConfig | None = None
    """What people hand over is sometimes what the model made; None: true renderings alone."""
    naming: TrainerConfig | None = None
    """How the input projection of a fresh encoding-alignment learns the LLM's names of attributes first; see
    :mod:`~nextgpt.train.naming`."""
    naming_tunes_encoder: bool = False
    """Whether the encoder learns names along, before the alignment itself, in which it stays as it is."""
    output_projections: dict[str, OutputProjectionConfig]
    lora: LoraConfig


class CorporaRecipe(BaseRecipe):
    """One of the three alignments on corpora, for any model, by one process or many."""

    sample: ClassVar[str] = "example"
    kind: Literal["corpora"]
    stage: Literal["encoding-alignment", "decoding-alignment", "instruction-tuning"]
    initial: str
    """The model to begin with: what ``nextgpt models`` lists. Earlier stages' results are taken up."""
    is_fresh: bool = False
    """Begin with its frozen parts alone, whatever else it learned before."""
    signals_begin_at: dict[str, str] = {}
    """Of a fresh beginning: special tokens of the LLM at which runs of signal tokens start, as in an alignment."""
    signals_end_at: str | None = None
    """The special token that the LLM knows behind a medium, at which the last token of each run starts."""
    types: dict[str, str] = {}
    """Of frozen parts by their names; others are float32, and so is what is trained. ``{llm: bfloat16}`` halves the
    LLM; ``{llm: int4}``, with LoRA beside it, is QLoRA (arXiv 2305.14314)."""
    sources: dict[str, SourceConfig]
    """Corpora by a name for each."""
    mixing: BatchMixing = "examples"
    """``batches``: one source a batch, as published; ``examples``: sources side by side."""
    max_tokens: int | None = None
    """Longer examples are left out, counted and listed; None: as long as the model hears."""
    losses: dict[Loss, float] | None = None
    """Weights of the losses; None takes the stage's own. As published: ``{words: 1, l2: 1}``."""
    lora: LoraConfig = LoraConfig()
    """Of instruction tuning alone."""
    cache: Path | None = None
    """Folder that ``nextgpt data cache`` fills; training then loads neither encoder nor text encoders."""
    engine: EngineConfig = EngineConfig()


Recipe = (
    AutoencoderRecipe
    | DiffusionRecipe
    | LanguageModelRecipe
    | EncoderRecipe
    | AlignmentRecipe
    | CorporaRecipe
)
RECIPES: dict[str, type[BaseRecipe]] = {
    "autoencoder": AutoencoderRecipe,
    "diffusion": DiffusionRecipe,
    "language_model": LanguageModelRecipe,
    "encoder": EncoderRecipe,
    "alignment": AlignmentRecipe,
    "corpora": CorporaRecipe,
}
"""What a recipe says, by its ``kind``."""


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe; ``overrides`` are ``key.sub=value`` with values as YAML writes them.

    A recipe may name another as its ``base`` (relative to itself), and then says only what is different.

    Raises:
        ConfigError: there is no such file, it is no YAML mapping, or a key or value is wrong.
    """
    values = _read_values(path)
    for override in overrides:
        _override(values, override)
    kind = values.get("kind")
    if kind not in RECIPES:
        raise ConfigError(f"{path}: {unknown_name_message('kind', str(kind), RECIPES)}")
    return parse_config(RECIPES[kind], values, where=str(path))


def _read_values(path: Path, followed: tuple[Path, ...] = ()) -> dict[str, Any]:
    """The settings of a recipe laid over those of its base; ``followed`` are the recipes that led here."""
    if path.resolve() in followed:
        chain = " -> ".join(step.name for step in (*followed, path))
        raise ConfigError(
            f"{path} is its own base ({chain}); expected a chain that ends. Correct one of these."
        )
    if not path.is_file():
        named = f", which {followed[-1]} names as its base" if followed else ""
        raise ConfigError(
            f"{path} is no file{named}; expected a recipe in YAML. Those of nano are in recipes/nano/."
        )
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not YAML: {error}. Correct the file.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}; expected a mapping of settings.")
    base = values.pop("base", None)
    if base is None:
        return values
    return _laid_over(_read_values(path.parent / str(base), (*followed, path.resolve())), values)


def _laid_over(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """``above`` over ``below``: mappings are merged key by key, anything else is replaced."""
    merged = dict(below)
    for key, value in above.items():
        beneath = below.get(key)
        both = isinstance(value, dict) and isinstance(beneath, dict)
        merged[key] = _laid_over(beneath, value) if both else value
    return merged


def _override(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(
            f"The override {override!r} has no value; expected key=value, for example fit.steps=100."
        )
    *path, last = name.split(".")
    for key in path:
        if not isinstance(values.get(key), dict):
            raise ConfigError(
                unknown_name_message("setting", key, [k for k, v in values.items() if isinstance(v, dict)])
            )
        values = values[key]
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(
            f"The value of {override!r} is not YAML; quote it, for example {name}='\"text\"'."
        ) from None


def run_recipe(recipe: Recipe, report: Report | None = None) -> bool:
    """Run a recipe; return False where its part stands already, made by the very same recipe."""
    from nextgpt.train.parts import PARTS

    part = PARTS[recipe.kind]
    folder = recipe.model / part.folder(recipe)
    stamp = recipe.work / "recipe.json"
    if folder.exists() and stamp.is_file() and stamp.read_text() == recipe.model_dump_json():
        return False
    part.train(recipe, report)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(recipe.model_dump_json())
    return True
