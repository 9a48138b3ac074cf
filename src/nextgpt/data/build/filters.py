"""Filter stage: licences, personal data, broken or equal media, scores, and nudity by an optional package."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
import PIL.Image

from nextgpt.data.build.recipe import BuildRecipe
from nextgpt.data.build.row import BuildRow, Part
from nextgpt.errors import ConfigError, MediaError
from nextgpt.media.read_any import READERS
from nextgpt.message import Medium

if TYPE_CHECKING:
    from nextgpt.data.build.model_media import ModelMedia

PERSONAL_DATA = {
    "an e-mail address": re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]+"),
    "a bank account number": re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){3,7}(?: ?[A-Z0-9]{1,3})?\b"),
    "an IP address": re.compile(r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b"),
    "a card number": re.compile(r"\b(?:\d[ -]?){12,18}\d\b"),
    "a phone number": re.compile(
        r"(?<![\w.])(?:\+|00)\d(?:[ ()/.-]{0,2}\d){7,13}\b|\(?\b0\d{2,4}\)?[ /-]\d{3,}[ \d/-]{2,}\b|"
        r"\b\d{3}[ .-]\d{3}[ .-]\d{4}\b"
    ),
}  # fmt: skip
"""Patterns of personal data, most specific first. A card number must also have a valid check digit."""
VIDEO_SAMPLES = 3
"""Frames per video that are compared and searched."""

Progress = Callable[[int, int], None]
Fault = tuple[str, str]
"""Reason and detail."""


def filter_dialogues(rows: Sequence[BuildRow], recipe: BuildRecipe, on_progress: Progress) -> list[BuildRow]:
    """Drop dialogues whose texts or media break the recipe's limits; each with its reason."""
    filters = _Filters(recipe)
    result: list[BuildRow] = []
    for number, row in enumerate(rows, start=1):
        fault = next(filters.faults(row), None) if row.is_kept else None
        if fault is None and row.is_kept:
            filters.remember(row)
        result.append(row if fault is None else row.dropped("filter", *fault))
        on_progress(number, len(rows))
    return result


def find_personal_data(text: str) -> str | None:
    """Return what kind of personal data a text seems to hold."""
    for name, pattern in PERSONAL_DATA.items():
        for match in pattern.finditer(text):
            if name != "a card number" or _has_valid_check_digit(match[0]):
                return name
    return None


def _has_valid_check_digit(text: str) -> bool:
    """Check the Luhn digit of a card number."""
    digits = [int(c) for c in reversed(re.sub(r"\D", "", text))]
    return sum(d if i % 2 == 0 else sum(divmod(2 * d, 10)) for i, d in enumerate(digits)) % 10 == 0 and any(digits)


def perceptual_hash(medium: Medium) -> np.ndarray | None:
    """Return brightness differences of neighbours, (64 x frames,) bool; ``None`` for audio."""
    frames = sample_frames(medium)
    if not frames:
        return None
    small = [np.asarray(frame.convert("L").resize((9, 8), PIL.Image.Resampling.BOX)) for frame in frames]
    return np.concatenate([(image[:, 1:] > image[:, :-1]).ravel() for image in small])


def sample_frames(medium: Medium) -> list[PIL.Image.Image]:
    """Return the image, or evenly spaced frames of the video; nothing for audio."""
    if medium.modality == "image":
        return [medium.image]  # type: ignore[union-attr]
    if medium.modality == "video":
        frames = medium.frames  # type: ignore[union-attr]
        indices = np.linspace(0, len(frames) - 1, VIDEO_SAMPLES).round().astype(int)
        return [PIL.Image.fromarray(frames[index]) for index in indices]
    return []


class _Filters:
    """Checks rows one after another and compares their media with those of earlier rows."""

    def __init__(self, recipe: BuildRecipe) -> None:
        self._recipe, self._limits = recipe, recipe.filters
        self._licences = {licence.casefold() for licence in self._limits.licences}
        self._hashes: dict[str, list[tuple[str, str, np.ndarray]]] = {}
        self._vectors: dict[str, list[tuple[str, str, np.ndarray]]] = {}
        self._row_media: list[tuple[Part, Medium]] = []

    def faults(self, row: BuildRow) -> Iterator[Fault]:
        """Yield what is wrong with a row; the cheap checks come first."""
        texts = [row.text, *(part.caption or "" for part in row.media)]
        if self._limits.personal_data and (kind := find_personal_data("\n".join(texts))):
            yield "personal_data", f"the text seems to hold {kind}"
        if self._recipe.media.mode == "none":
            return
        for part in row.media:
            if part.licence.casefold() not in self._licences:
                yield "licence", f"{part.path} has the licence {part.licence or 'unknown'!r}, which is not accepted"
            minimum = self._limits.min_score
            if minimum is not None and part.score is not None and part.score < minimum:
                yield "score", f"{part.path} has the score {part.score}; expected at least {minimum}"
        self._row_media = []
        for part in row.media:
            try:
                medium = READERS[part.type](self._recipe.work / (part.path or ""))
            except MediaError as error:
                yield "unreadable", str(error)
                return
            self._row_media.append((part, medium))
        yield from self._media_faults(row)

    def _media_faults(self, row: BuildRow) -> Iterator[Fault]:
        for part, medium in self._row_media:
            if self._limits.nsfw is not None and (nudity := self._nudity.find(medium)):
                yield "nsfw", f"{part.path} shows {nudity}"
            if twin := self._find_twin(part, medium):
                yield "near_duplicate_medium", f"{part.path} repeats {twin}"

    def _find_twin(self, part: Part, medium: Medium) -> str | None:
        """Return the path of an earlier medium that looks or sounds the same; the same file may be reused."""
        bits = perceptual_hash(medium) if self._limits.max_hash_distance >= 0 else None
        if bits is not None:
            for path, source, other in self._hashes.get(part.type, []):
                distance = 64 * float(np.mean(other != bits))
                if distance <= self._limits.max_hash_distance and source != part.made_by:
                    return path
        if self._limits.max_media_similarity is not None:
            vector = self._embed(medium)
            for path, source, other in self._vectors.get(part.type, []):
                if float(vector @ other) > self._limits.max_media_similarity and source != part.made_by:
                    return path
        return None

    def remember(self, row: BuildRow) -> None:
        """Keep the media of a row that stays, for comparison with later rows."""
        for part, medium in self._row_media if row.media else []:
            path = part.path or ""
            if self._limits.max_hash_distance >= 0 and (bits := perceptual_hash(medium)) is not None:
                self._hashes.setdefault(part.type, []).append((path, part.made_by, bits))
            if self._limits.max_media_similarity is not None:
                self._vectors.setdefault(part.type, []).append((path, part.made_by, self._embed(medium)))
        self._row_media = []

    def _embed(self, medium: Medium) -> np.ndarray:
        return self._model.encoder.embed_media([medium])[0].float().cpu().numpy()

    @cached_property
    def _model(self) -> ModelMedia:
        from nextgpt.data.build.model_media import ModelMedia

        return ModelMedia(self._recipe.media, self._recipe.work)

    @cached_property
    def _nudity(self) -> NudityFilter:
        return NudityFilter()


class NudityFilter:
    """Nudity in images and videos by the package ``nudenet``, whose weights come with it (MIT)."""

    CLASSES = ("FEMALE_GENITALIA_EXPOSED", "MALE_GENITALIA_EXPOSED", "ANUS_EXPOSED", "FEMALE_BREAST_EXPOSED",
               "BUTTOCKS_EXPOSED")  # fmt: skip
    MIN_SCORE = 0.5

    def __init__(self) -> None:
        try:
            from nudenet import NudeDetector
        except ImportError:
            raise ConfigError(
                "filters.nsfw: the package nudenet is not installed; expected it for nudenet. pip install nudenet, or "
                "set filters.nsfw=null."
            ) from None
        self._detector = NudeDetector()

    def find(self, medium: Medium) -> str | None:
        """Return the first class that is found in an image or in sampled frames."""
        for frame in sample_frames(medium):
            pixels = np.asarray(frame.convert("RGB"))[:, :, ::-1]  # BGR
            for entry in self._detector.detect(np.ascontiguousarray(pixels)):
                if entry["class"] in self.CLASSES and entry["score"] >= self.MIN_SCORE:
                    return entry["class"].lower().replace("_", " ")
        return None
