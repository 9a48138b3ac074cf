"""Our one loop gives what the stock pipeline of each family gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import PIL.Image
import pytest
import torch
from tests.model.synthesis.families import Families, conditions_of, last_latents, write_tiny_stable_diffusion

from nextgpt.message import Image
from nextgpt.model.synthesis import LatentDiffusion, SynthesisSettings, load_synthesizer
from nextgpt.model.synthesis.denoise import seeded_noise
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder

SEEDS = [3, 4]


def noise_of(synthesizer: LatentDiffusion, seeds: list[int] = SEEDS) -> torch.Tensor:
    generators = [torch.Generator().manual_seed(seed) for seed in seeds]
    return seeded_noise(generators, synthesizer.latent_shape, torch.device("cpu"))


def stock(pipeline: Any, synthesizer: LatentDiffusion, conditions: torch.Tensor, **options: Any) -> Any:
    """Run a stock pipeline quietly for three steps."""
    pipeline.set_progress_bar_config(disable=True)
    negative = synthesizer.components.negative_condition.expand_as(conditions)
    return pipeline(prompt_embeds=conditions, negative_prompt_embeds=negative, num_inference_steps=3, **options)


def stable_diffusion_parts(synthesizer: LatentDiffusion) -> dict[str, Any]:
    parts = synthesizer.components
    return {
        "unet": parts.denoiser,
        "vae": parts.autoencoder.autoencoder,
        "scheduler": parts.scheduler,
        "text_encoder": None,
        "tokenizer": None,
    }


UNGUARDED = {"safety_checker": None, "feature_extractor": None, "requires_safety_checker": False}


@pytest.mark.parametrize("guidance", [1.0, 7.5])
def test_stable_diffusion(families: Families, guidance: float):
    from diffusers import StableDiffusionPipeline

    synthesizer = families.open("stable diffusion")
    conditions = conditions_of(synthesizer)
    pipeline = StableDiffusionPipeline(**stable_diffusion_parts(synthesizer), **UNGUARDED)
    options = {"latents": noise_of(synthesizer)[:, 0], "guidance_scale": guidance}
    ours = last_latents(synthesizer, conditions, seeds=SEEDS, num_inference_steps=3, guidance_scale=guidance)
    theirs = stock(pipeline, synthesizer, conditions, output_type="latent", **options).images
    torch.testing.assert_close(ours[:, 0], theirs, atol=1e-4, rtol=1e-4)

    pictures = stock(pipeline, synthesizer, conditions, output_type="np", **options).images
    for medium, picture in zip(synthesizer.decode(ours), pictures, strict=True):
        assert np.abs(np.asarray(medium.image).astype(int) - picture * 255).max() <= 1


def test_stable_diffusion_with_velocity_prediction(tmp_path, families: Families):
    from diffusers import StableDiffusionPipeline

    synthesizer = families.load(write_tiny_stable_diffusion(tmp_path, prediction_type="v_prediction"))
    conditions = conditions_of(synthesizer)
    pipeline = StableDiffusionPipeline(**stable_diffusion_parts(synthesizer), **UNGUARDED)
    theirs = stock(pipeline, synthesizer, conditions, latents=noise_of(synthesizer)[:, 0], output_type="latent").images
    ours = last_latents(synthesizer, conditions, seeds=SEEDS, num_inference_steps=3)
    torch.testing.assert_close(ours[:, 0], theirs, atol=1e-4, rtol=1e-4)


def test_stable_diffusion_from_an_image(families: Families):
    from diffusers import StableDiffusionImg2ImgPipeline

    synthesizer = families.open("stable diffusion")
    conditions = conditions_of(synthesizer, 1)
    source = Image(PIL.Image.effect_noise((16, 16), 80).convert("RGB"))
    pipeline = StableDiffusionImg2ImgPipeline(**stable_diffusion_parts(synthesizer), **UNGUARDED)
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt_embeds=conditions,
        negative_prompt_embeds=synthesizer.components.negative_condition[None],
        image=synthesizer.encode([source])[:, 0].clone(),
        num_inference_steps=4,
        strength=0.5,
        guidance_scale=7.5,
        generator=torch.Generator().manual_seed(5),
        output_type="latent",
    ).images
    ours = last_latents(
        synthesizer,
        conditions,
        seeds=[5],
        num_inference_steps=4,
        guidance_scale=7.5,
        edit_source=[source],
        strength=0.5,
    )
    torch.testing.assert_close(ours[:, 0], theirs, atol=1e-4, rtol=1e-4)


def test_audioldm(families: Families):
    from diffusers.pipelines.deprecated.audioldm.pipeline_audioldm import AudioLDMPipeline

    synthesizer = families.open("audioldm")
    conditions = conditions_of(synthesizer)
    # The stock pipeline asks its text encoder for the dtype, even where it has nothing to encode.
    text = PromptEncoder(synthesizer.components.folder)
    pipeline = AudioLDMPipeline(
        unet=synthesizer.components.denoiser,
        vae=synthesizer.components.autoencoder.autoencoder,
        scheduler=synthesizer.components.scheduler,
        vocoder=synthesizer.components.vocoder,
        text_encoder=text.text_encoder,
        tokenizer=text.tokenizer,
    )
    pipeline.set_progress_bar_config(disable=True)
    sounds = pipeline(
        prompt_embeds=conditions[:, 0],
        negative_prompt_embeds=synthesizer.components.negative_condition.expand_as(conditions)[:, 0],
        num_inference_steps=3,
        guidance_scale=2.5,
        latents=noise_of(synthesizer)[:, 0],
    ).audios
    ours = synthesizer.decode(
        last_latents(synthesizer, conditions, seeds=SEEDS, num_inference_steps=3, guidance_scale=2.5)
    )
    assert sounds.shape == (2, 640)
    np.testing.assert_allclose(np.concatenate([sound.samples for sound in ours]), sounds, atol=1e-4)


def test_zeroscope(families: Families):
    from diffusers.pipelines.deprecated.text_to_video_synthesis import TextToVideoSDPipeline

    synthesizer = families.open("zeroscope")
    conditions = conditions_of(synthesizer)
    pipeline = TextToVideoSDPipeline(**stable_diffusion_parts(synthesizer))
    options = {"latents": noise_of(synthesizer).transpose(1, 2), "guidance_scale": 9.0, "num_frames": 3}
    ours = last_latents(synthesizer, conditions, seeds=SEEDS, num_inference_steps=3, guidance_scale=9.0)
    theirs = stock(pipeline, synthesizer, conditions, output_type="latent", **options).frames
    torch.testing.assert_close(ours.transpose(1, 2), theirs, atol=1e-4, rtol=1e-4)

    films = stock(pipeline, synthesizer, conditions, output_type="np", **options).frames
    for medium, film in zip(synthesizer.decode(ours), films, strict=True):
        assert np.abs(medium.frames.astype(int) - film * 255).max() <= 1


@pytest.mark.parametrize("solver", ["DPMSolverMultistepScheduler", "UniPCMultistepScheduler"])
def test_nano_is_cogvideox_with_flow_matching(families: Families, solver: str):
    from diffusers import CogVideoXPipeline

    settings = SynthesisSettings(scheduler=solver)
    folder = families.folder("nano video")
    synthesizer = families.load(folder, "nano video", settings=settings)
    library = load_synthesizer(folder, "video", settings=settings, allow_native=False)
    conditions = conditions_of(synthesizer)
    pipeline = CogVideoXPipeline(
        tokenizer=None,
        text_encoder=None,
        vae=None,
        transformer=library.components.denoiser,
        scheduler=library.components.scheduler,
    )
    theirs = stock(
        pipeline,
        synthesizer,
        conditions,
        latents=noise_of(synthesizer),
        guidance_scale=1.5,
        output_type="latent",
        max_sequence_length=6,
    ).frames
    ours = last_latents(synthesizer, conditions, seeds=SEEDS, num_inference_steps=3, guidance_scale=1.5)
    torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def shortened(conditions: torch.Tensor, lengths: list[int]) -> torch.Tensor:
    """Conditions of fewer tokens: the rest is rows of zeros."""
    return torch.stack([torch.cat([c[:n], torch.zeros_like(c[n:])]) for c, n in zip(conditions, lengths, strict=True)])


def parts_of(synthesizer: LatentDiffusion) -> dict[str, Any]:
    parts = synthesizer.components
    return {
        "transformer": parts.denoiser,
        "vae": parts.autoencoder.autoencoder,
        "scheduler": parts.scheduler,
        "text_encoder": None,
        "tokenizer": None,
    }


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_z_image_with_captions_of_unequal_lengths(families: Families, guidance: float):
    from diffusers import ZImagePipeline

    synthesizer = families.open("z-image")
    lengths = [5, 41]
    conditions = shortened(conditions_of(synthesizer), lengths)
    pipeline = ZImagePipeline(**parts_of(synthesizer))
    pipeline.set_progress_bar_config(disable=True)

    def theirs(output_type: str) -> Any:
        return pipeline(
            prompt_embeds=[c[:n] for c, n in zip(conditions, lengths, strict=True)],
            negative_prompt_embeds=[synthesizer.components.negative_condition] * 2,
            num_inference_steps=3,
            guidance_scale=guidance - 1,  # it adds this share of the difference to what is said, we to what is not
            latents=noise_of(synthesizer)[:, 0],
            height=16,
            width=16,
            output_type=output_type,
        ).images

    ours = last_latents(synthesizer, conditions, seeds=SEEDS, num_inference_steps=3, guidance_scale=guidance)
    torch.testing.assert_close(ours[:, 0], theirs("latent"), atol=1e-4, rtol=1e-4)
    for medium, picture in zip(synthesizer.decode(ours), theirs("np"), strict=True):
        assert np.abs(np.asarray(medium.image).astype(int) - picture * 255).max() <= 1


def test_z_image_from_an_image(families: Families):
    from diffusers import ZImageImg2ImgPipeline

    synthesizer = families.open("z-image")
    conditions = conditions_of(synthesizer, 1)
    source = Image(PIL.Image.effect_noise((16, 16), 80).convert("RGB"))
    pipeline = ZImageImg2ImgPipeline(**parts_of(synthesizer))
    pipeline.set_progress_bar_config(disable=True)
    theirs = pipeline(
        prompt_embeds=[conditions[0]],
        negative_prompt_embeds=[synthesizer.components.negative_condition],
        image=synthesizer.encode([source])[:, 0].clone(),
        generator=torch.Generator().manual_seed(5),
        num_inference_steps=4,
        strength=0.5,
        guidance_scale=4.0,
        height=16,
        width=16,
        output_type="latent",
    ).images
    ours = last_latents(
        synthesizer,
        conditions,
        seeds=[5],
        num_inference_steps=4,
        guidance_scale=5.0,
        edit_source=[source],
        strength=0.5,
    )
    torch.testing.assert_close(ours[:, 0], theirs, atol=1e-4, rtol=1e-4)


def ace_step_pipeline(synthesizer: LatentDiffusion) -> Any:
    from diffusers import AceStepPipeline, FlowMatchEulerDiscreteScheduler

    folder = synthesizer.components.folder
    text = PromptEncoder(folder)
    parts = parts_of(synthesizer) | {
        "text_encoder": text.text_encoder,
        "tokenizer": text.tokenizer,
        "condition_encoder": text.condition_encoder,
        # the folder's own, which shifts nothing: the stock pipeline does so itself
        "scheduler": FlowMatchEulerDiscreteScheduler.from_pretrained(folder / "scheduler"),
    }
    pipeline = AceStepPipeline(**parts)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


def test_ace_step_from_captions_of_unequal_lengths_to_sounds(families: Families):
    synthesizer = families.open("ace-step")
    pipeline = ace_step_pipeline(synthesizer)
    captions = ["rain", "a slow waltz for two violins"]
    conditions = PromptEncoder(synthesizer.components.folder).encode(captions)
    ours = synthesizer.decode(last_latents(synthesizer, conditions, seeds=SEEDS, num_inference_steps=3))
    for caption, noise, sound in zip(captions, noise_of(synthesizer), ours, strict=True):
        theirs = pipeline(
            prompt=caption, audio_duration=0.8, num_inference_steps=3, latents=noise[:, :, 0].mT, output_type="np"
        ).audios
        assert sound.samples.shape == (2, 128) and sound.sample_rate_hz == 160
        np.testing.assert_allclose(sound.samples, theirs[0], atol=1e-4)


@pytest.mark.parametrize("guidance", [1.0, 5.0])
def test_wan(families: Families, guidance: float):
    from diffusers import WanPipeline

    synthesizer = families.open("wan")
    conditions = shortened(conditions_of(synthesizer), [5, 24])
    pipeline = WanPipeline(**parts_of(synthesizer))
    options = {
        "latents": noise_of(synthesizer).transpose(1, 2),
        "guidance_scale": guidance,
        "num_frames": 5,
        "height": 32,
        "width": 32,
    }
    ours = last_latents(synthesizer, conditions, seeds=SEEDS, num_inference_steps=3, guidance_scale=guidance)
    theirs = stock(pipeline, synthesizer, conditions, output_type="latent", **options).frames
    torch.testing.assert_close(ours.transpose(1, 2), theirs, atol=1e-4, rtol=1e-4)

    films = stock(pipeline, synthesizer, conditions, output_type="np", **options).frames
    for medium, film in zip(synthesizer.decode(ours), films, strict=True):
        assert medium.fps == 16 and medium.frames.shape == (5, 32, 32, 3)
        assert np.abs(medium.frames.astype(int) - film * 255).max() <= 1
