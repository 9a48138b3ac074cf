"""What a diffusers folder does not say about itself: sizes, rates and defaults, in the folder's ``nextgpt.json``."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict, Field

from nextgpt.model.synthesis.mel import MelConfig


class SynthesisSettings(BaseModel):
    """Settings of one synthesizer. What a folder leaves unset is as usual for its kind of denoiser."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    num_inference_steps: int = Field(default=12, ge=1)
    """Denoising steps where the caller says nothing."""
    guidance_scale: float = Field(default=1.5, ge=1)
    """Classifier-free guidance scale where the caller says nothing."""
    edit_strength: float = Field(default=0.6, gt=0, le=1)
    """How far editing goes back into noise where the caller says nothing."""
    scheduler: str | None = None
    """A diffusers scheduler class to use on the folder's noise schedule; ``None`` takes the folder's own."""
    latent_shape: tuple[int, int, int, int] | None = None
    """(F, Z, h, w) of one medium's latents; ``None`` takes the denoiser's sample size."""
    condition_length: int | None = Field(default=None, ge=1)
    """Q, for denoisers that take conditions of any length; ``None`` takes what is usual for the kind."""
    flow_shift: float | None = Field(default=None, gt=0)
    """Of a flow-matching schedule: above 1, more of the steps are spent where noise is strong; ``None`` takes the
    folder's."""
    fps: float = 8.0
    """Frames a second of films."""
    mel: MelConfig = MelConfig()
    """The picture of a sound."""
    waveform_rate_hz: int | None = None
    """Sample rate of sounds that the autoencoder takes as they are; ``None``: it takes their pictures."""
    latent_rgb_factors: tuple[tuple[float, float, float], ...] | None = None
    """Red, green and blue of each latent channel, for previews without the autoencoder; ``None`` decodes them."""

    def with_defaults(self, usual: SynthesisSettings) -> SynthesisSettings:
        """These settings where they are set, the usual ones elsewhere."""
        return usual.model_copy(update={name: getattr(self, name) for name in self.model_fields_set})
