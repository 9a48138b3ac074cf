"""When an answer is right: each function takes an attempt at a case and says yes or no."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator

from nextgpt.evaluate.case import Answer, Attempt
from nextgpt.miniworld.language.dialogue import Turn, attributes
from nextgpt.miniworld.scene import Content

IsRight = Callable[[Attempt], bool]

MAIN_ATTRIBUTES = {"image": ("object",), "audio": ("source",), "video": ("object", "motion")}
"""What a medium must show or play above all."""


def has_right_modalities(attempt: Attempt) -> bool:
    """Whether each answer holds exactly the media that were asked for, in their order."""
    return all(map(_has_right_modalities, attempt.answers))


def shows(*names: str) -> IsRight:
    """Whether the last answer's media have these attributes as they should; with several objects, each of them."""
    return lambda attempt: all(
        _values(seen, names) == _values(wanted, names) for wanted, seen in _pairs(attempt.last)
    )


def says(attempt: Attempt) -> bool:
    """Whether the last answer says all that it must."""
    return attempt.last.turn.is_said(attempt.last.reply.text)


def says_main(attempt: Attempt) -> bool:
    """Whether the last answer says the first of what it must say: the main attribute."""
    main = attempt.last.turn.key_words[:1]
    return Turn(attempt.last.turn.task, (), (), main).is_said(attempt.last.reply.text)


def only_says(attempt: Attempt) -> bool:
    """Whether the last answer says all that it must, and makes no medium that was not asked for."""
    return says(attempt) and has_right_modalities(attempt)


def is_changed(attempt: Attempt) -> bool:
    """Whether the last answer's edit has all that was asked to be changed."""
    return _agree(attempt.last, attempt.last.turn.changed)


def is_kept(attempt: Attempt) -> bool:
    """Whether the last answer's edit left all else as it was."""
    return _agree(attempt.last, attempt.last.turn.kept)


def every_turn_is_right(attempt: Attempt) -> bool:
    """Whether each answer has the right media, says what it must, and shows and plays what it should."""
    return all(map(_is_right, attempt.answers))


def _is_right(answer: Answer) -> bool:
    return (
        _has_right_modalities(answer)
        and answer.turn.is_said(answer.reply.text)
        and _agree(answer, answer.turn.changed)
        and all(_has_main_attributes(wanted, seen, modality) for modality, wanted, seen in _shown(answer))
    )


def _has_right_modalities(answer: Answer) -> bool:
    return tuple(medium.modality for medium in answer.media) == answer.turn.modalities


def _has_main_attributes(wanted: Content, seen: Content | None, modality: str) -> bool:
    names = MAIN_ATTRIBUTES[modality]
    return _values(seen, names) == _values(wanted, names)


def _agree(answer: Answer, names: Iterable[str]) -> bool:
    """Whether the attributes of the answer's edit of these names are as they should be."""
    edits = [made.content for made in answer.turn.made if made.is_edit]
    for wanted, seen in _pairs(answer):
        if wanted in edits:
            found = attributes(seen) if seen else {}
            return bool(found) and all(found.get(name) == attributes(wanted)[name] for name in names)
    return True


def _values(content: Content | None, names: Iterable[str]) -> list[tuple[str, str]] | None:
    """Attributes of these names without the numbers of the objects, sorted: it does not matter which is first."""
    if content is None:
        return None
    named = [(name.rstrip("123 "), value) for name, value in attributes(content).items()]
    return sorted((name, value) for name, value in named if name in names)


def _pairs(answer: Answer) -> Iterator[tuple[Content, Content | None]]:
    """Each content that should be shown, beside what was seen in the medium that was made for it."""
    return ((wanted, seen) for _, wanted, seen in _shown(answer))


def _shown(answer: Answer) -> Iterator[tuple[str, Content, Content | None]]:
    """Modality, content that should be shown, and what was seen; media of one modality are paired in their order."""
    seen: dict[str, list[Content]] = {}
    for medium, content in zip(answer.media, answer.seen, strict=True):
        seen.setdefault(medium.modality, []).append(content)
    for made in answer.turn.made:
        left = seen.get(made.modality, [])
        yield made.modality, made.content, left.pop(0) if left else None
