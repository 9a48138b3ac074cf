"""Recipes: one YAML file per training, run by ``nextgpt train RECIPE.yaml [key.sub=value]...``.

A recipe is a pydantic model; its ``kind`` selects the module that runs it (:mod:`.registry`). A recipe whose result
exists already is skipped, so ``make nano`` resumes component by component.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field

from nextgpt.config import parse_config
from nextgpt.errors import ConfigError
from nextgpt.media.limits import set_default_limits
from nextgpt.train.config import EngineConfig, TrainerConfig
from nextgpt.train.logging import MetricsCallback
from nextgpt.train.registry import load_recipe_kind
from nextgpt.yaml_settings import apply_override, read_settings

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
    media_limits: dict[str, int | float] = Field(default={})
    """Limits for reading a file other than the defaults, such as ``{frames: 3000}``; see
    :class:`nextgpt.media.limits.MediaLimits`."""

    def apply_media_limits(self) -> None:
        """Make the recipe's media limits the default of this process and its workers. Raises :class:`ConfigError`."""
        set_default_limits(f"{name}={value}" for name, value in self.media_limits.items())

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
    values = read_settings(path, examples="recipes/nano/")
    for override in overrides:
        apply_override(values, override, sections=BaseRecipe.model_fields)
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
    recipe.apply_media_limits()
    if not load_recipe_kind(recipe.kind).run(recipe, on_metrics):
        raise SystemExit(0)
    stamp.parent.mkdir(parents=True, exist_ok=True)
    stamp.write_text(content)
    return True
