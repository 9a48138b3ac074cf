"""Suite beyond-words: requests that refer to a given medium by something that captions have no word for.

A color between two named tints, a place off the grid, a pitch between two named ones: "Draw a car in exactly this
color." The score is the continuous error. The direct system gets the medium. The cascade gets its best caption, with
the nearest named value; so does ``true_caption`` for the answer, which is the upper bound of captions. A given value
lies 35 to 50 % of a step from the nearest named one. So the right name is within half a step in hue and pitch, in place
not, where both directions are off; it is never within a quarter.

``interpolated`` mixes the synthesizer's conditions of the nearest captions in the right proportion: it shows how far
the frozen diffusion model follows conditions between captions, which is what the direct way would have to produce.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from nextgpt.config import read_config
from nextgpt.evaluate.caption_llm import CaptionLLM
from nextgpt.evaluate.caption_synthesizer import CaptionSynthesizer, create_prompt_encoders
from nextgpt.evaluate.miniworld.cascade import CascadeSystem, caption_writer, oracle_captions
from nextgpt.evaluate.miniworld.cases import EvalCase
from nextgpt.evaluate.miniworld.continuous_attributes import (
    hue_difference,
    measure_hue,
    measure_pitch,
    measure_place,
    render_moved,
    render_rotated,
    render_transposed,
    tint_hue,
)
from nextgpt.evaluate.miniworld.suite import RunOptions, SampleAnswer
from nextgpt.evaluate.miniworld.systems import MAX_TOKENS, batched
from nextgpt.evaluate.score import Score
from nextgpt.message import Conversation, Medium, Sampling
from nextgpt.miniworld.language.canonical_captions import canonical_caption
from nextgpt.miniworld.language.lexicon import indefinite, noun, source_phrase
from nextgpt.miniworld.language.types import Dialogue, DialogueTurn, MediaPart
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.render import object_box
from nextgpt.miniworld.specs import PITCHES, PLACES, MediaSpec, ObjectSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.sprites import TINT_COLORS
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.prompt_encoder import PromptEncoder

DIRECT, CASCADE, TRUE_CAPTION = "direct", "cascade", "true_caption"
INTERPOLATED, TRUTH = "interpolated", "truth"
SYSTEMS = (DIRECT, CASCADE, TRUE_CAPTION, INTERPOLATED)
Mixture = tuple[tuple[MediaSpec, float], ...]
THRESHOLDS = {"half_step": 0.5, "quarter_step": 0.25}
OFFSETS = (0.35, 0.5)
"""Distance of a given value from the nearest named one, in steps between named ones."""
PLACE_STEP_PX = 16.0
PITCH_STEP = 12.0
"""Semitones between the named pitches."""
PITCH_SEMITONES = {pitch: -21.0 + PITCH_STEP * index for index, pitch in enumerate(PITCHES)}
"""Named pitches in semitones above 440 Hz."""
SUSTAINED_SOURCES = (
    "piano", "guitar", "violin", "cello", "trumpet", "saxophone", "flute", "clarinet", "accordion", "banjo",
    "harmonica",
)  # fmt: skip
"""Sources whose renderings have the named pitches to within a fifth of a semitone."""


@dataclass(frozen=True)
class BeyondWordsItem:
    """A request that refers to a given medium."""

    kind: str
    request: str
    given: Medium
    given_spec: MediaSpec
    """Nearest medium that captions can describe."""
    target_spec: MediaSpec
    """Right answer but for the attribute, which has the nearest named value."""
    mixture: Mixture
    """Answers with named values around the right one, with weights of sum 1."""
    truth: Medium
    """Right answer."""
    error: Callable[[Medium], float | None]
    """Distance of an answer from the right value; None if it cannot be measured."""
    step: float
    """Distance between named values there, in the unit of the error."""
    value: tuple[float, ...]
    """Right value in the unit of the error: degrees, row and column in pixels, or semitones above 440 Hz."""


@dataclass(frozen=True)
class Outcome:
    """Error of one system's answer to one item."""

    item: BeyondWordsItem
    system: str
    output: Medium | None
    error: float | None
    """None if there is no medium of the right modality, or nothing to measure in it."""

    def is_within(self, share: float) -> bool:
        """Return whether the error is at most this share of a step."""
        return self.error is not None and self.error <= share * self.item.step


def sample_items(kind: str, count: int, seed: int, offsets: tuple[float, float] = OFFSETS) -> list[BeyondWordsItem]:
    """Sample items of one kind of :data:`KINDS`, at distances ``offsets`` from the nearest named value."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind)])
    return [KINDS[kind](rng, offsets) for _ in range(count)]


def _hue_item(rng: np.random.Generator, offsets: tuple[float, float]) -> BeyondWordsItem:
    tints = sorted(TINT_COLORS, key=tint_hue)
    index = int(rng.integers(len(tints)))
    tint, sign = tints[index], int(rng.choice((-1, 1)))
    step = hue_difference(tint_hue(tint), tint_hue(tints[(index + sign) % len(tints)]))
    share, other = float(rng.uniform(*offsets)), tints[(index + sign) % len(tints)]
    degrees = sign * step * share
    given, target = (SceneSpec((ObjectSpec(name, tint),)) for name in _two(rng, list(OBJECTS)))
    expected = tint_hue(tint) + degrees

    def error(medium: Medium) -> float | None:
        hue = measure_hue(medium) if medium.modality == "image" else None  # type: ignore[arg-type]
        return None if hue is None else hue_difference(hue, expected)

    request = f"Draw {indefinite(noun(target.objects[0].object))} in exactly this color."
    media = render_rotated(given, degrees), render_rotated(target, degrees)
    next_target = SceneSpec((ObjectSpec(target.objects[0].object, other),))
    mixture = (target, 1 - share), (next_target, share)
    return BeyondWordsItem("hue", request, media[0], given, target, mixture, media[1], error, step, (expected % 360,))


def _place_item(rng: np.random.Generator, offsets: tuple[float, float]) -> BeyondWordsItem:
    place = str(rng.choice(PLACES))
    top, left, _ = object_box(place, "small")
    distances_px = PLACE_STEP_PX * rng.uniform(*offsets, size=2)
    # Between the places of the grid: outer ones move inwards.
    signs = [1 if edge == 0 else -1 if edge > PLACE_STEP_PX else int(rng.choice((-1, 1))) for edge in (top, left)]
    rows_px, columns_px = (round(sign * distance) for sign, distance in zip(signs, distances_px, strict=True))
    given, target = (SceneSpec((ObjectSpec(name, place=place, size="small"),)) for name in _two(rng, list(OBJECTS)))
    truth = render_moved(target, rows_px, columns_px)
    expected = measure_place(truth) or (0.0, 0.0)

    def error(medium: Medium) -> float | None:
        actual = measure_place(medium) if medium.modality == "image" else None  # type: ignore[arg-type]
        return None if actual is None else float(np.hypot(actual[0] - expected[0], actual[1] - expected[1]))

    request = f"Draw {indefinite(noun(target.objects[0].object))} at exactly this place."
    media = render_moved(given, rows_px, columns_px), truth
    mixture = _place_mixture(target.objects[0].object, place, rows_px, columns_px)
    value = float(top + rows_px), float(left + columns_px)
    return BeyondWordsItem("place", request, media[0], given, target, mixture, media[1], error, PLACE_STEP_PX, value)


def _place_mixture(name: str, place: str, rows_px: int, columns_px: int) -> Mixture:
    """Return the object at the four places around a point, with bilinear weights."""
    row, column = divmod(PLACES.index(place), 3)
    mixture = []
    for row_step, row_weight in _axis_weights(rows_px):
        for column_step, column_weight in _axis_weights(columns_px):
            other = PLACES[3 * (row + row_step) + column + column_step]
            mixture.append((SceneSpec((ObjectSpec(name, place=other, size="small"),)), row_weight * column_weight))
    return tuple(mixture)


def _axis_weights(offset_px: int) -> tuple[tuple[int, float], tuple[int, float]]:
    share = abs(offset_px) / PLACE_STEP_PX
    return (0, 1 - share), (1 if offset_px > 0 else -1, share)


def _pitch_item(rng: np.random.Generator, offsets: tuple[float, float]) -> BeyondWordsItem:
    pitch = str(rng.choice(PITCHES))
    sign = {PITCHES[0]: 1, PITCHES[-1]: -1}.get(pitch) or int(rng.choice((-1, 1)))
    share, other = float(rng.uniform(*offsets)), PITCHES[PITCHES.index(pitch) + sign]
    semitones = sign * PITCH_STEP * share
    given, target = (SoundSpec(source, pitch) for source in _two(rng, SUSTAINED_SOURCES))
    expected = PITCH_SEMITONES[pitch] + semitones

    def error(medium: Medium) -> float | None:
        actual = measure_pitch(medium) if medium.modality == "audio" else None  # type: ignore[arg-type]
        return None if actual is None else abs(actual - expected)

    request = f"Play {source_phrase(target.source)} at exactly this pitch."
    media = render_transposed(given, semitones), render_transposed(target, semitones)
    mixture = (target, 1 - share), (SoundSpec(target.source, other), share)
    return BeyondWordsItem("pitch", request, media[0], given, target, mixture, media[1], error, PITCH_STEP, (expected,))


KINDS: dict[str, Callable[[np.random.Generator, tuple[float, float]], BeyondWordsItem]] = {
    "hue": _hue_item,
    "place": _place_item,
    "pitch": _pitch_item,
}
"""Kinds of items; errors are degrees, pixels and semitones."""


def _two(rng: np.random.Generator, names: Sequence[str]) -> list[str]:
    return [str(name) for name in rng.choice(names, size=2, replace=False)]


def measure_beyond_words(
    model_dir: Path, options: RunOptions, *, limit: int, seed: int, systems: Sequence[str] = SYSTEMS
) -> list[Outcome]:
    """Answer ``limit`` items of each kind with each system; true answers come last, as the system ``truth``."""
    items = [item for kind in KINDS for item in sample_items(kind, limit, seed)]
    seeds = [seed * 1_000_003 + index for index in range(len(items))]
    model = NextGPT.from_pretrained(model_dir)
    outcomes = []
    for system in systems:
        answer = _create_system(system, model, model_dir, options)
        done = 0
        for rows in batched(list(zip(items, seeds, strict=True))):
            for (item, _), media in zip(rows, answer(rows), strict=True):
                output = next((medium for medium in media if medium.modality == item.truth.modality), None)
                error = None if output is None else item.error(output)
                outcomes.append(Outcome(item, system, output, error))
            options.on_progress(f"beyond-words ({system})", done := done + len(rows), len(items))
    return outcomes + [Outcome(item, TRUTH, item.truth, item.error(item.truth)) for item in items]


Answer = Callable[[Sequence[tuple[BeyondWordsItem, int]]], list[Sequence[Medium]]]
"""Returns the media of the answers to items with their seeds."""


def _create_system(name: str, model: NextGPT, model_dir: Path, options: RunOptions) -> Answer:
    steps = options.num_inference_steps
    if name == DIRECT:
        return lambda rows: _answer_directly(model, rows, steps)
    encoders = create_prompt_encoders(model.config, model_dir)
    if name == INTERPOLATED:
        return lambda rows: _answer_by_mixture(model, encoders, rows, steps)
    llm = read_config(model_dir).llm
    write = (
        caption_writer(CaptionLLM(resolve_component_dir(llm.source, model_dir), llm.template))
        if name == CASCADE
        else oracle_captions
    )
    system = CascadeSystem(write, CaptionSynthesizer(model, encoders, steps))
    return lambda rows: [
        result.last.media for result in system.answer([_to_case(item, item_seed) for item, item_seed in rows])
    ]


def _answer_directly(
    model: NextGPT, rows: Sequence[tuple[BeyondWordsItem, int]], steps: int | None
) -> list[Sequence[Medium]]:
    conversations = [Conversation().with_message([item.given, item.request]) for item, _ in rows]
    samplings = [Sampling(seed=seed, max_tokens=MAX_TOKENS, num_inference_steps=steps) for _, seed in rows]
    return [reply.message.media for reply in model.chat_batch(conversations, samplings)]


@torch.inference_mode()
def _answer_by_mixture(
    model: NextGPT,
    encoders: Mapping[str, PromptEncoder],
    rows: Sequence[tuple[BeyondWordsItem, int]],
    steps: int | None,
) -> list[Sequence[Medium]]:
    """Synthesize from the weighted sums of the conditions of captions."""
    answers: list[Sequence[Medium]] = []
    for item, seed in rows:
        modality = item.truth.modality
        conditions = encoders[modality].encode([canonical_caption(spec) for spec, _ in item.mixture])  # (n, Q, C)
        weights = torch.tensor([weight for _, weight in item.mixture], dtype=conditions.dtype)
        mixed = torch.einsum("n,nqc->qc", weights.to(conditions.device), conditions)[None]
        synthesizer = model.synthesizer(modality)
        *_, last = synthesizer.denoise(mixed, seeds=[seed], num_inference_steps=steps)
        answers.append(synthesizer.decode(last.latents))
    return answers


def _to_case(item: BeyondWordsItem, seed: int) -> EvalCase:
    """Return the item in captions: all media are the nearest that can be described."""
    turn = DialogueTurn(item.kind, (MediaPart(item.given_spec), item.request), (MediaPart(item.target_spec),))
    return EvalCase(item.kind, Dialogue((turn,)), seed)


class BeyondWords:
    """Suite of shares within half and a quarter of a step between named values."""

    def evaluate(
        self, model_dir: Path, options: RunOptions, *, limit: int, seed: int
    ) -> tuple[list[Score], list[SampleAnswer]]:
        """See :meth:`nextgpt.evaluate.miniworld.suite.Suite.evaluate`."""
        outcomes = measure_beyond_words(model_dir, options, limit=limit, seed=seed)
        scores = [
            Score.from_outcomes(
                f"{kind}.{threshold}.{system}",
                [outcome.is_within(share) for outcome in _select(outcomes, kind, system)],
                [outcome.is_within(share) for outcome in _select(outcomes, kind, TRUTH)],
            )
            for kind in KINDS
            for threshold, share in THRESHOLDS.items()
            for system in SYSTEMS
        ]
        samples = [
            SampleAnswer(f"{kind} ({DIRECT})", row.item.request, row.item.truth, row.output, row.is_within(0.5))
            for kind in KINDS
            for row in _select(outcomes, kind, DIRECT)[:4]
        ]
        return scores, samples


def _select(outcomes: Sequence[Outcome], kind: str, system: str) -> list[Outcome]:
    return [outcome for outcome in outcomes if outcome.item.kind == kind and outcome.system == system]
