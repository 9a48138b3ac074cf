"""The last step of the path: conditions become media, by denoising latents."""

from __future__ import annotations

from pathlib import Path

import torch

from nextgpt.errors import ModelError, unknown
from nextgpt.modality import MODALITIES
from nextgpt.model.synthesis.base import Condition, Conditions, Latents, Step, Synthesizer
from nextgpt.model.synthesis.denoisers import denoiser_kind
from nextgpt.model.synthesis.folder import (
    read_index,
    read_json,
    read_settings,
    write_folder,
    write_negative_condition,
)
from nextgpt.model.synthesis.latent_diffusion import LatentDiffusion
from nextgpt.model.synthesis.mel import MelConfig, griffin_lim, log_mel
from nextgpt.model.synthesis.parts import Parts, denoiser_name
from nextgpt.model.synthesis.settings import SynthesisSettings

__all__ = [
    "Condition",
    "Conditions",
    "LatentDiffusion",
    "Latents",
    "MelConfig",
    "Step",
    "SynthesisSettings",
    "Synthesizer",
    "griffin_lim",
    "load_synthesizer",
    "log_mel",
    "write_folder",
    "write_negative_condition",
]


def load_synthesizer(
    folder: str | Path,
    modality: str,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    settings: SynthesisSettings | None = None,
) -> LatentDiffusion:
    """Open a diffusers folder as the synthesizer of a modality. Weights are read when they are first needed.

    Args:
        dtype: Of the denoiser.
        settings: In place of the folder's own.

    Raises:
        ModelError: The folder is missing, incomplete, or of a kind that has no adapter.
    """
    folder = Path(folder)
    if modality not in MODALITIES:
        raise ModelError(unknown("modality", modality, MODALITIES))
    index = read_index(folder)
    name = denoiser_name(folder, index)
    config = read_json(folder / name / "config.json")
    kind = denoiser_kind(index[name], config, where=str(folder / name))
    settings = (settings or read_settings(folder)).over(kind.settings)
    return LatentDiffusion(
        modality,
        kind,
        Parts(folder, index, solver=settings.solver, dtype=dtype, device=device),
        settings,
        latent_shape=settings.latent_shape or kind.latent_shape(config),
        condition_shape=kind.condition_shape(config),
    )
