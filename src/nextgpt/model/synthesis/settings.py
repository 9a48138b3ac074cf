"""Settings of a synthesizer that diffusers folders do not have: shapes, rates and defaults (``nextgpt.json``)."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from nextgpt.model.synthesis.mel import MelConfig


class SynthesisSettings(BaseModel):
    """Settings of one synthesizer. Unset values have the defaults of its denoiser."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_inference_steps: int = Field(default=12, ge=1)
    """Default number of denoising steps."""
    guidance_scale: float = Field(default=1.5, ge=1)
    """Default classifier-free guidance scale."""
    edit_strength: float = Field(default=0.6, gt=0, le=1)
    """Default noise level of edits: 1 keeps nothing of the source."""
    scheduler: str | None = None
    """Scheduler class of diffusers for the folder's noise schedule. ``None``: the folder's own."""
    latent_shape: tuple[int, int, int, int] | None = None
    """Latent shape (F, Z, h, w) of one medium. ``None``: the denoiser's sample size."""
    condition_length: int | None = Field(default=None, ge=1)
    """Condition length Q. ``None``: the default of the denoiser."""
    flow_shift: float | None = Field(default=None, gt=0)
    """Shift of a flow-matching schedule; above 1, more steps have strong noise. ``None``: the folder's."""
    fps: float = 8.0
    """Frames per second of videos."""
    mel: MelConfig = MelConfig()
    """Mel spectrogram of audio."""
    waveform_rate_hz: int | None = None
    """Sample rate of waveform autoencoders. ``None``: the autoencoder takes mel spectrograms."""
    latent_rgb_factors: tuple[tuple[float, float, float], ...] | None = None
    """RGB values per latent channel, for previews without the autoencoder. ``None``: previews are decoded."""

    def with_defaults(self, defaults: SynthesisSettings) -> SynthesisSettings:
        """Return these settings, with ``defaults`` for unset values."""
        return defaults.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})
