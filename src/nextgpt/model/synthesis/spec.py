"""Read the specification of a synthesizer folder without weights: adapter, shapes and settings."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nextgpt.errors import ConfigError, ModelError
from nextgpt.model.synthesis.denoisers import DenoiserAdapter, LatentShape, get_denoiser_adapter
from nextgpt.model.synthesis.diffusers_io import INDEX_FILE, ModelIndex, read_index, read_json, read_settings
from nextgpt.model.synthesis.settings import SynthesisSettings

SamplingPreset = Literal["default", "published"]
"""Settings of synthesis: those of the folder and its denoiser, or those of NExT-GPT's demo."""
DENOISER_KEYS = ("transformer", "unet")
"""Names of the denoiser in diffusers folders."""


@dataclass(frozen=True)
class SynthesizerSpec:
    """Specification of one diffusers folder."""

    folder: Path
    index: ModelIndex
    adapter: DenoiserAdapter
    settings: SynthesisSettings
    """Settings of the folder, with the defaults of its denoiser."""
    latent_shape: LatentShape
    """Latent shape (F, Z, h, w) of one medium."""
    condition_shape: tuple[int, int]
    """Shape (Q, C) of the conditions."""


def read_spec(
    folder: str | Path, settings: SynthesisSettings | None = None, sampling: SamplingPreset = "default"
) -> SynthesizerSpec:
    """Read the specification of a diffusers folder; ``settings`` replace the folder's own.

    Raises:
        ConfigError: ``sampling`` is ``published``, and NExT-GPT has no synthesizer of this kind.
        ModelError: The folder is missing or incomplete, or its denoiser has no adapter.
    """
    folder = Path(folder)
    index = read_index(folder)
    name = denoiser_name(folder, index)
    config = read_json(folder / name / "config.json")
    kind = get_denoiser_adapter(index[name], config, where=str(folder / name))
    settings = (settings or read_settings(folder)).with_defaults(kind.settings)
    if sampling == "published":
        if kind.published is None:
            raise ConfigError(
                f"sampling is published; {folder / name} is a {index[name]}, which the published NExT-GPT does not "
                "use. Leave sampling out."
            )
        published = kind.published(settings.latent_shape or kind.latent_shape(config))
        settings = published.with_defaults(settings)
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
    """Return the name of the denoiser. Raises :class:`ModelError` if there is none, or two."""
    for name in DENOISER_KEYS:
        if f"{name}_2" in index:
            raise ModelError(
                f"{folder / INDEX_FILE} names two denoisers, {name} and {name}_2, as Wan 2.2 14B does; expected one. "
                "Use a model with one denoiser, such as Wan 2.1."
            )
        if name in index:
            return name
    raise ModelError(
        f"{folder / INDEX_FILE} names {', '.join(index) or 'no components'}; expected a denoiser called "
        f"{' or '.join(DENOISER_KEYS)}. Use the folder of a latent diffusion model."
    )
