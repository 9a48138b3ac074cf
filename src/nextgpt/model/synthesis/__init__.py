"""The last step: conditions become media, by denoising latents."""
