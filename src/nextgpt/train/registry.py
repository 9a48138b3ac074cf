"""Recipe kinds and data sources by name: module paths, imported when a recipe names them."""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, cast, runtime_checkable

from nextgpt.errors import ConfigError, ModelError, unknown_name_message

if TYPE_CHECKING:
    from nextgpt.train.dataset import DialogueSource, SourceContext
    from nextgpt.train.logging import MetricsCallback
    from nextgpt.train.parameter_report import ParameterCount
    from nextgpt.train.recipe import BaseRecipe

RECIPE_KINDS = {
    "alignment": "nextgpt.train.align",
    "autoencoder": "nextgpt.nano.autoencoder",
    "decoder": "nextgpt.nano.decoder",
    "diffusion": "nextgpt.nano.diffusion",
    "language_model": "nextgpt.nano.language_model",
    "encoder": "nextgpt.nano.encoder",
    "text_tower": "nextgpt.nano.text_tower",
    "attribute_pretraining": "nextgpt.nano.attribute_pretraining",
    "output_projections": "nextgpt.nano.output_projection_tuning",
}
"""Modules with the contents of :class:`RecipeModule`, by the ``kind`` of a recipe."""
DATA_SOURCES = {
    "corpora": "nextgpt.train.corpora",
    "general": "nextgpt.train.self_distillation",
    "miniworld": "nextgpt.nano.dialogue_source",
}
"""Modules with the contents of :class:`DataModule`, by the keys of ``data`` in a recipe."""


@runtime_checkable
class RecipeModule(Protocol):
    """A kind of recipe."""

    Config: type[BaseRecipe]

    def run(self, recipe: Any, on_metrics: MetricsCallback | None = None) -> bool:
        """Train and write the result; return False if SIGTERM stopped the run."""
        ...

    def count_parameters(self, recipe: Any) -> list[ParameterCount]:
        """Count trained and frozen parameters by component, without training."""
        ...


@runtime_checkable
class DataModule(Protocol):
    """A kind of data source."""

    def parse(self, values: Any, where: str) -> Any:
        """Parse the settings in a recipe. Raises :class:`ConfigError`."""
        ...

    def load_sources(self, settings: Any, context: SourceContext) -> Sequence[DialogueSource]:
        """Open the sources. Raises :class:`ConfigError`."""
        ...


def load_recipe_kind(name: str) -> RecipeModule:
    """Import the module of a recipe kind. Raises :class:`ConfigError` if the kind is unknown."""
    if name == "corpora":
        raise ConfigError("kind 'corpora' was renamed; expected kind: alignment with data: {corpora: {…}}.")
    if name not in RECIPE_KINDS:
        raise ConfigError(unknown_name_message("kind", name, RECIPE_KINDS))
    return cast(RecipeModule, import_module(RECIPE_KINDS[name]))


def load_data_module(name: str) -> DataModule:
    """Import the module of a data source. Raises :class:`ConfigError` if it is unknown."""
    if name not in DATA_SOURCES:
        raise ConfigError(unknown_name_message("data source", name, DATA_SOURCES))
    return cast(DataModule, import_module(DATA_SOURCES[name]))


def check_arguments(cls: type, arguments: Mapping[str, Any], *, where: str) -> None:
    """Raise :class:`ConfigError` for an argument that ``cls`` does not take; some classes would ignore it."""
    if is_dataclass(cls):
        names = [field.name for field in fields(cls)]
    else:
        names = [*inspect.signature(cls.__init__).parameters][1:]
    for name in arguments:
        if name not in names:
            raise ConfigError(f"{where}: {unknown_name_message('setting', name, names)}")


def require_component(folder: Path) -> Path:
    """Return ``folder`` if it exists. Raises :class:`ModelError` otherwise."""
    if not folder.is_dir():
        raise ModelError(f"{folder} is missing; expected a trained component. Run the recipe that trains it first.")
    return folder
