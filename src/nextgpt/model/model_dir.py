"""Find the folder of a model by name: built in, a preset, a path, or on the Hub. Imports no torch."""

from __future__ import annotations

from pathlib import Path

from nextgpt.errors import ModelError, unknown_name_message
from nextgpt.model.hub import download_snapshot
from nextgpt.presets import PRESETS, installed_preset_dir

WEIGHTS_FILE = "nextgpt.safetensors"
"""Trained weights in a model's folder; see :mod:`.trained_weights`."""
_WEIGHTS_DIR = Path(__file__).parents[1] / "weights"
BUILTIN_MODELS = {
    name: _WEIGHTS_DIR / name
    for name in ("nano", "small")
    if name == "nano" or (_WEIGHTS_DIR / name / WEIGHTS_FILE).is_file()
}
"""Models that are part of the package: ``nano``, and ``small`` in copies that hold its trained weights."""


def resolve_model_dir(name: str | Path) -> Path:
    """Return the folder of a built-in model, a preset, a path, or a Hub repository (downloaded once).

    Raises:
        ModelError: The name is unknown, or a preset's weights are missing; the message names the command to get them.
    """
    builtin = BUILTIN_MODELS.get(str(name))
    if builtin is not None:
        return builtin
    if str(name) in PRESETS:
        return installed_preset_dir(str(name))
    folder = Path(name)
    if folder.is_dir():
        return folder
    if isinstance(name, str) and name.count("/") == 1 and not name.startswith((".", "/", "~")):
        return download_snapshot(name)
    raise ModelError(
        unknown_name_message("model", str(name), [*BUILTIN_MODELS, *PRESETS])
        + " A model folder or a Hub id (owner/name) is accepted as well."
    )
