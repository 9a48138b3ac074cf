"""Videos of each motion that the judge recognizes completely: rendered, reconstructed, and generated from captions.

    python benchmarks/video_motions.py nano [--count 48] [--seed 0] [--json]

``rendered`` is the limit of the judge, ``autoencoder`` that of the latents, ``captions`` that of the diffusion model,
which reads true captions. So the row of a motion shows which component loses it.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch

from nextgpt import NextGPT
from nextgpt.evaluate.caption_synthesizer import CaptionSynthesizer, create_prompt_encoders
from nextgpt.logging import silence_libraries
from nextgpt.message import Medium
from nextgpt.miniworld.judge.media_judge import recognize_media
from nextgpt.miniworld.language import canonical_caption
from nextgpt.miniworld.motions import FPS
from nextgpt.miniworld.render import render
from nextgpt.miniworld.sample_specs import sample_clip
from nextgpt.miniworld.specs import MOTIONS, ClipSpec
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.model.synthesis.media_codecs import VideoCodec
from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder
from nextgpt.nano.media_tensors import clip_tensor

SYSTEMS = ("rendered", "autoencoder", "captions")


class Systems:
    """Three ways from a spec to a video."""

    def __init__(self, name: str) -> None:
        model_dir = resolve_model_dir(name)
        model = NextGPT.from_pretrained(model_dir)
        source = model.config.synthesizers["video"].source
        self._autoencoder = PatchAutoencoder.from_pretrained(resolve_component_dir(source, model_dir) / "vae").float()
        self._captions = CaptionSynthesizer(model, create_prompt_encoders(model.config, model_dir))

    def videos(self, system: str, specs: Sequence[ClipSpec]) -> list[Medium]:
        """Return a video per spec by one of :data:`SYSTEMS`."""
        if system == "rendered":
            return [render(spec) for spec in specs]
        if system == "autoencoder":
            return self._reconstructed(specs)
        answers = [["", "video", canonical_caption(spec), ""] for spec in specs]
        return [reply.message.media[0] for reply in self._captions.to_replies(answers, range(len(specs)))]

    @torch.inference_mode()
    def _reconstructed(self, specs: Sequence[ClipSpec]) -> list[Medium]:
        pixels = clip_tensor(list(specs))  # (B, 4, 12, H, W)
        decoded = self._autoencoder.decode(self._autoencoder.encode(pixels.flatten(0, 1)))
        return VideoCodec(FPS).to_media(decoded.unflatten(0, pixels.shape[:2]))


def measure(name: str, count: int, seed: int) -> dict[str, dict[str, float]]:
    """Return the share of recognized videos by motion and system, and ``all`` motions together."""
    systems, rng = Systems(name), np.random.default_rng(seed)
    shares: dict[str, dict[str, float]] = {}
    for motion in MOTIONS:
        specs = [replace(sample_clip(rng, "train", with_sound=False), motion=motion) for _ in range(count)]
        shares[motion] = {system: _share(systems.videos(system, specs), specs) for system in SYSTEMS}
    rows = list(shares.values())
    shares["all"] = {system: float(np.mean([row[system] for row in rows])) for system in SYSTEMS}
    return shares


def _share(videos: Sequence[Medium], specs: Sequence[ClipSpec]) -> float:
    return float(np.mean([a == b for a, b in zip(recognize_media(videos), specs, strict=True)]))


def main() -> None:
    """Print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="nano")
    parser.add_argument("--count", type=int, default=48, help="videos per motion")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    silence_libraries()
    shares = measure(options.model, options.count, options.seed)
    if options.json:
        print(json.dumps(shares, indent=2))
        return
    print("motion", *SYSTEMS, sep=" | ")
    for motion, row in shares.items():
        print(motion, *(f"{100 * share:.1f}" for share in row.values()), sep=" | ")


if __name__ == "__main__":
    main()
