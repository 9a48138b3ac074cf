"""Predicates over case results: each decides if the system's replies are correct."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from nextgpt.evaluate.miniworld.cases import CaseResult, TurnResult
from nextgpt.miniworld.language.types import DialogueTurn, attributes
from nextgpt.miniworld.specs import MediaSpec

Predicate = Callable[[CaseResult], bool]

MAIN_ATTRIBUTES = {"image": ("object",), "audio": ("source",), "video": ("object", "motion")}
"""Attributes that every generated medium must have."""


def has_expected_modalities(result: CaseResult) -> bool:
    """Check that each reply contains exactly the requested media in order."""
    return all(map(_has_expected_modalities, result.turns))


def has_attributes(*names: str) -> Predicate:
    """Check these attributes of the last reply's media, for each object if there are several."""
    return lambda result: all(
        _attribute_values(judged, names) == _attribute_values(target, names)
        for _, target, judged in _judged_targets(result.last)
    )


def contains_answer(result: CaseResult) -> bool:
    """Check that the last reply contains all key words."""
    return result.last.turn.contains_key_words(result.last.reply.text)


def contains_main_answer(result: CaseResult) -> bool:
    """Check that the last reply contains the first key word group: the main attribute."""
    main = result.last.turn.key_words[:1]
    return DialogueTurn(result.last.turn.task, (), (), main).contains_key_words(result.last.reply.text)


def answers_without_media(result: CaseResult) -> bool:
    """Check that the last reply contains all key words and no medium that was not requested."""
    return contains_answer(result) and has_expected_modalities(result)


def edit_applied(result: CaseResult) -> bool:
    """Check that the last reply's edit has all requested changes."""
    return _attributes_match(result.last, result.last.turn.changed_attributes)


def edit_preserved_rest(result: CaseResult) -> bool:
    """Check that the last reply's edit kept all other attributes."""
    return _attributes_match(result.last, result.last.turn.preserved_attributes)


def all_turns_correct(result: CaseResult) -> bool:
    """Check modalities, key words, edits and main attributes of each reply."""
    return all(map(_is_correct, result.turns))


def _is_correct(result: TurnResult) -> bool:
    return (
        _has_expected_modalities(result)
        and result.turn.contains_key_words(result.reply.text)
        and _attributes_match(result, result.turn.changed_attributes)
        and all(
            _attribute_values(judged, MAIN_ATTRIBUTES[modality]) == _attribute_values(target, MAIN_ATTRIBUTES[modality])
            for modality, target, judged in _judged_targets(result)
        )
    )


def _has_expected_modalities(result: TurnResult) -> bool:
    return tuple(medium.modality for medium in result.media) == result.turn.modalities


def _attributes_match(result: TurnResult, names: Iterable[str]) -> bool:
    """Compare these attributes of the reply's edit with the target."""
    edits = [part.spec for part in result.turn.target_media if part.is_edit]
    for _, target, judged in _judged_targets(result):
        if target in edits:
            values = attributes(judged) if judged else {}
            return bool(values) and all(values.get(name) == attributes(target)[name] for name in names)
    return True


def _attribute_values(spec: MediaSpec | None, names: Iterable[str]) -> list[tuple[str, str]] | None:
    """Return the values of these attributes sorted and without object numbers: object order is irrelevant."""
    if spec is None:
        return None
    values = [(name.rstrip("123 "), value) for name, value in attributes(spec).items()]
    return sorted((name, value) for name, value in values if name in names)


def _judged_targets(result: TurnResult) -> Iterator[tuple[str, MediaSpec, MediaSpec | None]]:
    """Yield modality, target spec and judged spec; media of one modality are paired in order."""
    judged: dict[str, list[MediaSpec]] = {}
    for medium, spec in zip(result.media, result.judged_specs, strict=True):
        judged.setdefault(medium.modality, []).append(spec)
    for part in result.turn.target_media:
        remaining = judged.get(part.modality, [])
        yield part.modality, part.spec, remaining.pop(0) if remaining else None
