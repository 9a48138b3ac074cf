"""When an answer is right: each function takes an attempt at a case and says yes or no."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from nextgpt.evaluate.cases import CaseResult, TurnResult
from nextgpt.miniworld.language.types import DialogueTurn, attributes
from nextgpt.miniworld.specs import MediaSpec

Predicate = Callable[[CaseResult], bool]

MAIN_ATTRIBUTES = {"image": ("object",), "audio": ("source",), "video": ("object", "motion")}
"""What a medium must show or play above all."""


def has_expected_modalities(attempt: CaseResult) -> bool:
    """Whether each answer holds exactly the media that were asked for, in their order."""
    return all(map(_has_expected_modalities, attempt.answers))


def has_attributes(*names: str) -> Predicate:
    """Whether the last answer's media have these attributes as they should; with several objects, each of them."""
    return lambda attempt: all(
        _attribute_values(seen, names) == _attribute_values(wanted, names)
        for wanted, seen in _target_pairs(attempt.last)
    )


def contains_answer(attempt: CaseResult) -> bool:
    """Whether the last answer says all that it must."""
    return attempt.last.turn.contains_key_words(attempt.last.reply.text)


def contains_main_answer(attempt: CaseResult) -> bool:
    """Whether the last answer says the first of what it must say: the main attribute."""
    main = attempt.last.turn.key_words[:1]
    return DialogueTurn(attempt.last.turn.task, (), (), main).contains_key_words(attempt.last.reply.text)


def answers_without_media(attempt: CaseResult) -> bool:
    """Whether the last answer says all that it must, and makes no medium that was not asked for."""
    return contains_answer(attempt) and has_expected_modalities(attempt)


def edit_applied(attempt: CaseResult) -> bool:
    """Whether the last answer's edit has all that was asked to be changed."""
    return _attributes_match(attempt.last, attempt.last.turn.changed_attributes)


def edit_preserved_rest(attempt: CaseResult) -> bool:
    """Whether the last answer's edit left all else as it was."""
    return _attributes_match(attempt.last, attempt.last.turn.preserved_attributes)


def all_turns_correct(attempt: CaseResult) -> bool:
    """Whether each answer has the right media, says what it must, and shows and plays what it should."""
    return all(map(_is_correct, attempt.answers))


def _is_correct(answer: TurnResult) -> bool:
    return (
        _has_expected_modalities(answer)
        and answer.turn.contains_key_words(answer.reply.text)
        and _attributes_match(answer, answer.turn.changed_attributes)
        and all(
            _has_main_attributes(wanted, seen, modality) for modality, wanted, seen in _judged_targets(answer)
        )
    )


def _has_expected_modalities(answer: TurnResult) -> bool:
    return tuple(medium.modality for medium in answer.media) == answer.turn.modalities


def _has_main_attributes(wanted: MediaSpec, seen: MediaSpec | None, modality: str) -> bool:
    names = MAIN_ATTRIBUTES[modality]
    return _attribute_values(seen, names) == _attribute_values(wanted, names)


def _attributes_match(answer: TurnResult, names: Iterable[str]) -> bool:
    """Whether the attributes of the answer's edit of these names are as they should be."""
    edits = [made.spec for made in answer.turn.target_media if made.is_edit]
    for wanted, seen in _target_pairs(answer):
        if wanted in edits:
            found = attributes(seen) if seen else {}
            return bool(found) and all(found.get(name) == attributes(wanted)[name] for name in names)
    return True


def _attribute_values(content: MediaSpec | None, names: Iterable[str]) -> list[tuple[str, str]] | None:
    """Attributes of these names without the numbers of the objects, sorted: it does not matter which is first."""
    if content is None:
        return None
    named = [(name.rstrip("123 "), value) for name, value in attributes(content).items()]
    return sorted((name, value) for name, value in named if name in names)


def _target_pairs(answer: TurnResult) -> Iterator[tuple[MediaSpec, MediaSpec | None]]:
    """Each content that should be shown, beside what was seen in the medium that was made for it."""
    return ((wanted, seen) for _, wanted, seen in _judged_targets(answer))


def _judged_targets(answer: TurnResult) -> Iterator[tuple[str, MediaSpec, MediaSpec | None]]:
    """Modality, content that should be shown, and what was seen; media of one modality are paired in their order."""
    seen: dict[str, list[MediaSpec]] = {}
    for medium, content in zip(answer.media, answer.judged_specs, strict=True):
        seen.setdefault(medium.modality, []).append(content)
    for made in answer.turn.target_media:
        left = seen.get(made.modality, [])
        yield made.modality, made.spec, left.pop(0) if left else None
