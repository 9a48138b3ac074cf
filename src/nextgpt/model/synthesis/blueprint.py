"""What the files of a synthesizer's folder say of it before any weights are read: its kind, its sizes, its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nextgpt.errors import ModelError
from nextgpt.model.synthesis.denoisers import DenoiserKind, LatentShape, denoiser_kind
from nextgpt.model.synthesis.folder import INDEX_FILE, Index, read_index, read_json, read_settings
from nextgpt.model.synthesis.settings import SynthesisSettings

DENOISER_NAMES = ("transformer", "unet")
"""What diffusers folders call their denoiser."""


@dataclass(frozen=True)
class Blueprint:
    """One diffusers folder, understood."""

    folder: Path
    index: Index
    kind: DenoiserKind
    settings: SynthesisSettings
    """The folder's own, over what is usual for its kind."""
    latent_shape: LatentShape
    """(F, Z, h, w) of one medium's latents."""
    condition_shape: tuple[int, int]
    """(Q, C) of the conditions that it takes."""


def read_blueprint(folder: str | Path, settings: SynthesisSettings | None = None) -> Blueprint:
    """Read what a diffusers folder holds; ``settings`` stand in place of the folder's own.

    Raises:
        ModelError: The folder is missing, incomplete, or of a kind that has no adapter.
    """
    folder = Path(folder)
    index = read_index(folder)
    name = denoiser_name(folder, index)
    config = read_json(folder / name / "config.json")
    kind = denoiser_kind(index[name], config, where=str(folder / name))
    settings = (settings or read_settings(folder)).over(kind.settings)
    length, width = kind.condition_shape(config)
    return Blueprint(
        folder,
        index,
        kind,
        settings,
        latent_shape=settings.latent_shape or kind.latent_shape(config),
        condition_shape=(settings.condition_length or length, width),
    )


def denoiser_name(folder: Path, index: Index) -> str:
    """Find the folder's name for its denoiser. Raises :class:`ModelError` where it has none, or two of them."""
    for name in DENOISER_NAMES:
        if f"{name}_2" in index:
            raise ModelError(
                f"{folder / INDEX_FILE} names two denoisers, {name} and {name}_2, as Wan 2.2 14B does; expected one. "
                "Take a model of one denoiser, such as Wan 2.1."
            )
        if name in index:
            return name
    raise ModelError(
        f"{folder / INDEX_FILE} names {', '.join(index) or 'no parts'}; expected a denoiser called "
        f"{' or '.join(DENOISER_NAMES)}. Name a latent diffusion model's folder."
    )
