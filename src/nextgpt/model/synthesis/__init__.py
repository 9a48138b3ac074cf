"""Synthesize media from conditions by latent diffusion."""

from __future__ import annotations

from pathlib import Path

import torch

from nextgpt.errors import ModelError, unknown_name_message
from nextgpt.modality import MODALITIES
from nextgpt.model.synthesis.base import Condition, Conditions, DenoisingStep, Latents, Synthesizer
from nextgpt.model.synthesis.components import SynthesizerComponents
from nextgpt.model.synthesis.diffusers_io import write_negative_condition, write_pipeline_dir
from nextgpt.model.synthesis.latent_diffusion import LatentDiffusion
from nextgpt.model.synthesis.mel import MelConfig, griffin_lim, log_mel
from nextgpt.model.synthesis.settings import SynthesisSettings
from nextgpt.model.synthesis.spec import SamplingPreset, read_spec

__all__ = [
    "Condition",
    "Conditions",
    "DenoisingStep",
    "LatentDiffusion",
    "Latents",
    "MelConfig",
    "SynthesisSettings",
    "Synthesizer",
    "griffin_lim",
    "load_synthesizer",
    "log_mel",
    "write_negative_condition",
    "write_pipeline_dir",
]


def load_synthesizer(
    folder: str | Path,
    modality: str,
    *,
    dtype: torch.dtype = torch.float32,
    device: str | torch.device = "cpu",
    settings: SynthesisSettings | None = None,
    sampling: SamplingPreset = "default",
    allow_native: bool = True,
) -> LatentDiffusion:
    """Open a diffusers folder as the synthesizer of a modality; weights are loaded on first use.

    Args:
        dtype: Dtype of the denoiser.
        settings: Replaces the folder's own settings.
        sampling: ``published`` for scheduler, steps, guidance and lengths of NExT-GPT's demo.
        allow_native: Use the implementations of this package where there are some (:mod:`.native_components`); False
            for those of diffusers.

    Raises:
        ConfigError: NExT-GPT has no published settings for such a synthesizer.
        ModelError: The folder is missing or incomplete, or its denoiser has no adapter.
    """
    if modality not in MODALITIES:
        raise ModelError(unknown_name_message("modality", modality, MODALITIES))
    spec = read_spec(folder, settings, sampling)
    parts = SynthesizerComponents(
        spec.folder,
        spec.index,
        scheduler_name=spec.settings.scheduler,
        flow_shift=spec.settings.flow_shift,
        dtype=dtype,
        device=device,
        allow_native=allow_native,
    )
    return LatentDiffusion(modality, spec, parts)
