"""What the files of a synthesizer's folder say of it before any weights are read: its kind, its sizes, its settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from nextgpt.errors import ModelError
from nextgpt.model.synthesis.denoisers import DenoiserAdapter, LatentShape, get_denoiser_adapter
from nextgpt.model.synthesis.diffusers_io import INDEX_FILE, ModelIndex, read_index, read_json, read_settings
from nextgpt.model.synthesis.settings import SynthesisSettings

DENOISER_KEYS = ("transformer", "unet")
"""What diffusers folders call their denoiser."""


@dataclass(frozen=True)
class SynthesizerSpec:
    """One diffusers folder, understood."""

    folder: Path
    index: ModelIndex
    adapter: DenoiserAdapter
    settings: SynthesisSettings
    """The folder's own, over what is usual for its kind."""
    latent_shape: LatentShape
    """(F, Z, h, w) of one medium's latents."""
    condition_shape: tuple[int, int]
    """(Q, C) of the conditions that it takes."""


def read_spec(folder: str | Path, settings: SynthesisSettings | None = None) -> SynthesizerSpec:
    """Read what a diffusers folder holds; ``settings`` stand in place of the folder's own.

    Raises:
        ModelError: The folder is missing, incomplete, or of a kind that has no adapter.
    """
    folder = Path(folder)
    index = read_index(folder)
    name = denoiser_name(folder, index)
    config = read_json(folder / name / "config.json")
    kind = get_denoiser_adapter(index[name], config, where=str(folder / name))
    settings = (settings or read_settings(folder)).with_defaults(kind.settings)
    length, width = kind.condition_shape(config)
    return SynthesizerSpec(
        folder,
        index,
        kind,
        settings,
        latent_shape=settings.latent_shape or kind.latent_shape(config),
        condition_shape=(settings.condition_length or length, width),
    )


def denoiser_name(folder: Path, index: ModelIndex) -> str:
    """Find the folder's name for its denoiser. Raises :class:`ModelError` where it has none, or two of them."""
    for name in DENOISER_KEYS:
        if f"{name}_2" in index:
            raise ModelError(
                f"{folder / INDEX_FILE} names two denoisers, {name} and {name}_2, as Wan 2.2 14B does; expected one. "
                "Take a model of one denoiser, such as Wan 2.1."
            )
        if name in index:
            return name
    raise ModelError(
        f"{folder / INDEX_FILE} names {', '.join(index) or 'no parts'}; expected a denoiser called "
        f"{' or '.join(DENOISER_KEYS)}. Name a latent diffusion model's folder."
    )
