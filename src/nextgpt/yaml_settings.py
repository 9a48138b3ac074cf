"""Settings in YAML files: a recipe may name another as its base, and the command line overrides single values."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml

from nextgpt.errors import ConfigError, unknown_name_message
from nextgpt.text_files import read_text


def read_settings(path: Path, *, examples: str, bases: tuple[Path, ...] = ()) -> dict[str, Any]:
    """Return the values of a recipe merged over those of its base.

    Args:
        examples: Folder of recipes that an error message names.
        bases: Recipes that named this one as their base.

    Raises:
        ConfigError: The file is missing or not a YAML mapping, or its bases form a cycle.
    """
    if path.resolve() in bases:
        chain = " -> ".join(base.name for base in (*bases, path))
        raise ConfigError(f"{path} is its own base ({chain}); expected a chain that ends. Correct one of these.")
    if not path.is_file():
        origin = f", which {bases[-1]} names as its base" if bases else ""
        raise ConfigError(f"{path} is not a file{origin}; expected a recipe in YAML. Examples are in {examples}.")
    try:
        values = yaml.safe_load(read_text(path))
    except (UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} is not YAML: {error}. Correct the file.") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path} holds a {type(values).__name__}; expected a mapping of settings.")
    base = values.pop("base", None)
    if base is None:
        return values
    return _deep_merge(
        read_settings(path.parent / str(base), examples=examples, bases=(*bases, path.resolve())), values
    )


def _deep_merge(base: dict[str, Any], update: dict[str, Any]) -> dict[str, Any]:
    """Merge ``update`` over ``base``: mappings key by key, anything else is replaced."""
    merged = dict(base)
    for key, value in update.items():
        old = base.get(key)
        both = isinstance(value, dict) and isinstance(old, dict)
        merged[key] = _deep_merge(old, value) if both else value
    return merged


def apply_override(values: dict[str, Any], override: str, *, sections: Collection[str]) -> None:
    """Set one value in place from ``key.sub=value`` with a value in YAML.

    Args:
        sections: Top-level keys that the override may create.

    Raises:
        ConfigError: No value, a value that is not YAML, or an unknown section.
    """
    name, equals, text = override.partition("=")
    if not equals:
        raise ConfigError(f"The override {override!r} has no value; expected key=value, for example fit.max_steps=100.")
    *path, last = name.split(".")
    for key in path:
        if not isinstance(values.get(key), dict):
            if key in values or key not in sections:
                names = [k for k, v in values.items() if isinstance(v, dict)]
                raise ConfigError(unknown_name_message("setting", key, names))
            values[key] = {}
        values = values[key]
    try:
        values[last] = yaml.safe_load(text)
    except yaml.YAMLError:
        raise ConfigError(f"The value of {override!r} is not YAML; quote it, for example {name}='\"text\"'.") from None
