"""Share of correct media if the encoder's text tower chooses the best of several synthesized ones.

    python benchmarks/candidate_ranking.py [--model nano] [--cases 40] [--candidates 4] [--json]

Captions describe held-out contents; media are made as ``nextgpt data build`` makes them. A medium is correct if the
judge reads every attribute of the caption in it. ``first`` takes the first candidate, ``ranked`` the one that is most
similar to the caption, ``any`` is the upper bound: whether one of the candidates is correct.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from nextgpt.data.build.media_job import MediumJob
from nextgpt.data.build.model_media import ModelMedia, SynthesisMaker
from nextgpt.data.build.recipe import MediaConfig
from nextgpt.evaluate.score import Score
from nextgpt.logging import silence_libraries
from nextgpt.miniworld.judge.media_judge import recognize_media
from nextgpt.miniworld.language import canonical_caption
from nextgpt.miniworld.language.dialogue_state import sample_spec
from nextgpt.miniworld.language.types import attributes
from nextgpt.miniworld.specs import MediaSpec

MODALITIES = ("image", "audio", "video")
WAYS = ("first", "ranked", "any")


def judge(media: ModelMedia, modality: str, cases: int, seed: int) -> Iterator[dict[str, bool]]:
    """Yield for each caption which ways to choose give a correct medium."""
    rng = np.random.default_rng([seed, MODALITIES.index(modality)])
    specs = [sample_spec(rng, modality, "test") for _ in range(cases)]
    maker = SynthesisMaker(modality, media)
    (media.work / modality).mkdir(parents=True, exist_ok=True)
    for start in range(0, cases, maker.batch_size):
        batch = list(enumerate(specs))[start : start + maker.batch_size]
        jobs = [MediumJob((str(n), 0), modality, canonical_caption(spec), 1000 * n) for n, spec in batch]
        paths = [media.work / modality / str(n) for n, _ in batch]
        for (_, spec), candidates in zip(batch, maker.make(jobs, paths), strict=True):
            correct = {candidate.path: _is_correct(media, candidate.path, spec) for candidate in candidates}
            first = min(correct)  # names end with the number of the candidate
            yield {"first": correct[first], "ranked": correct[candidates[0].path], "any": any(correct.values())}


def _is_correct(media: ModelMedia, path: str, spec: MediaSpec) -> bool:
    return attributes(recognize_media([media.open(path)])[0]) == attributes(spec)


def main() -> None:
    """Print a table or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--model", default="nano")
    parser.add_argument("--cases", type=int, default=40, help="Captions per modality.")
    parser.add_argument("--candidates", type=int, default=4)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    silence_libraries()
    scores = []
    with tempfile.TemporaryDirectory() as folder:
        media = ModelMedia(MediaConfig(model=options.model, candidates=options.candidates), Path(folder))
        for modality in MODALITIES:
            outcomes = list(judge(media, modality, options.cases, options.seed))
            scores += [Score.from_outcomes(f"{modality}.{way}", [case[way] for case in outcomes]) for way in WAYS]
    if options.json:
        print(json.dumps([asdict(score) for score in scores]))
        return
    for score in scores:
        print(
            f"{score.name:<14} {100 * score.value:.1f} % ({100 * score.low:.1f} - {100 * score.high:.1f}), "
            f"{score.cases} cases"
        )


if __name__ == "__main__":
    main()
