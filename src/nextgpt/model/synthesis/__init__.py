"""The last step of the path: conditions become media, by denoising latents."""

from __future__ import annotations

from pathlib import Path

import torch

from nextgpt.errors import ModelError, unknown
from nextgpt.modality import MODALITIES
from nextgpt.model.synthesis.base import Condition, Conditions, Latents, Step, Synthesizer
from nextgpt.model.synthesis.blueprint import read_blueprint
from nextgpt.model.synthesis.folder import write_folder, write_negative_condition
from nextgpt.model.synthesis.latent_diffusion import LatentDiffusion
from nextgpt.model.synthesis.mel import MelConfig, griffin_lim, log_mel
from nextgpt.model.synthesis.parts import Parts
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
    if modality not in MODALITIES:
        raise ModelError(unknown("modality", modality, MODALITIES))
    blueprint = read_blueprint(folder, settings)
    parts = Parts(
        blueprint.folder,
        blueprint.index,
        solver=blueprint.settings.solver,
        flow_shift=blueprint.settings.flow_shift,
        dtype=dtype,
        device=device,
    )
    return LatentDiffusion(modality, blueprint, parts)
