"""Recipes: one YAML file per training, run by ``nextgpt train RECIPE.yaml [key.sub=value]...``.

A recipe is a pydantic model; its ``kind`` selects the module that runs it (:mod:`.registry`). A recipe whose result
exists already is skipped, so ``make nano`` resumes component by component.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict

from nextgpt.config import parse_config
from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.train.config import EngineConfig, TrainerConfig
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.registry import load_recipe_kind

RECIPE_FILE = "recipe.json"


class BaseRecipe(BaseModel):
    """Settings of every recipe."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: str
    model: Path
    """Model folder that receives the result; components that were trained before are read from it."""
    work: Path
    """Folder of checkpoints and metrics."""
    fit: TrainerConfig
    engine: EngineConfig = EngineConfig()

    @property
    def sample_unit(self) -> str:
        """Return what ``fit.batch_size`` counts, for progress reports."""
        return "sample"

    @property
    def output_dir(self) -> Path:
        """Return the folder that exists if the recipe was run."""
        return self.model


def read_recipe(path: Path, overrides: Sequence[str] = ()) -> BaseRecipe:
    """Read a recipe; ``overrides`` are ``key.sub=value`` with values in YAML.

    A recipe may name another one as ``base`` (relative to itself), and then holds only the differences.

    Raises:
        ConfigError: The file is missing or not a YAML mapping, or a key or value is wrong.
    """
    values = _read_values(path)
    for override in overrides:
        _apply_override(values, override)
    try:
        kind = load_recipe_kind(str(values.get("kind")))
        return parse_config(kind.Config, values, where=str(path))
    except ConfigError as error:
        message = str(error)
        raise ConfigError(message if message.startswith(str(path)) else f"{path}: {message}") from None


def run_recipe(recipe: BaseRecipe, on_metrics: MetricsCallback | None = None) -> bool:
    """Run a recipe; return False if its result exists already, from the very same recipe.

    Raises:
        SystemExit: SIGTERM stopped the run, after a checkpoint was written.
    """
    stamp = recipe.work / RECIPE_FILE
    content = recipe.model_dump_json()
    if recipe.output_dir.exists() and stamp.is_file() and stamp.read_text() == content:
        return False
    if not load_recipe_kind(recipe.kind).run(recipe, on_metrics):
        raise SystemExit(0)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(content)
    return True


def _read_values(path: Path, bases: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the values of a recipe merged over those of its base; ``bases`` are the recipes that led here."""
    if path.resolve() in bases:
        chain = " -> ".join(base.name for base in (*bases, path))
        raise ConfigError(f"{path} is its own base ({chain}); expected a chain that ends. Correct one of these.")
    if not path.is_file():
        origin = f", which {bases[-1]} names as its base" if bases else ""
        raise ConfigError(
            f"{path} is not a file{origin}; expected a recipe in YAML. Those of nano are in recipes/nano/."
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
    return _deep_merge(_read_values(path.parent / str(base), (*bases, path.resolve())), values)


def _deep_merge(base: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    """Merge ``update`` over ``base``: mappings key by key, anything else is replaced."""
    merged = dict(base)
    for key, value in update.items():
        old = base.get(key)
        both = isinstance(value, dict) and isinstance(old, dict)
        merged[key] = _deep_merge(old, value) if both else value
    return merged


def _apply_override(values: dict[str, Any], override: str) -> None:
    name, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"The override {override!r} has no value; expected key=value, for example fit.max_steps=100.")
    *path, last = name.split(".")
    for key in path:
        if not isinstance(values.get(key), dict):
            if key in values or key not in BaseRecipe.model_fields:
                names = [k for k, v in values.items() if isinstance(v, dict)]
                raise ConfigError(unknown_name_message("setting", key, names))
            values[key] = {}
        values = values[key]
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"The value of {override!r} is not YAML; quote it, for example {name}='\"text\"'.") from None
