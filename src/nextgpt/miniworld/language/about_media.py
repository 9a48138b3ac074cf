"""Turns about a medium: what it shows or plays, and single questions about it."""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence

from nextgpt.miniworld.language.asking import Groups, names
from nextgpt.miniworld.language.descriptions import describe
from nextgpt.miniworld.language.dialogue import Shown, Turn
from nextgpt.miniworld.language.phrasing import Phrasings
from nextgpt.miniworld.language.questions import QUESTIONS
from nextgpt.miniworld.language.talk import MEDIUM_NOUNS, Talk
from nextgpt.miniworld.language.wording import MOTION_FORMS, indefinite, noun
from nextgpt.miniworld.scene import Clip, Content, Scene, Sound

DESCRIBE = {
    "image": Phrasings(
        (
            "[please |]describe [this|the] {medium}.",
            "what does [this|the] {medium} show?",
            "what do you see[ here|]?",
            "tell me [all|everything|what] [that |]you see.",
            "[can|could] you describe what you see?",
            "[can|could] you tell me what is in [this|the] {medium}?",
            "tell me what is in [this|the] {medium}.",
            "tell me about [this|the] {medium}.",
            "I want to know what [this|the] {medium} shows.",
            "say what [this|the] {medium} shows.",
            "what is shown[ here|]?",
            "I need [you to describe |a description of ][this|the] {medium}.",
        ),
        held_out=("[can|could] you describe [this|the] {medium}?", "tell me what [this|the] {medium} shows."),
    ),
    "audio": Phrasings(
        (
            "[please |]describe [this|the] {medium}.",
            "what do you hear[ here|]?",
            "tell me [all|everything] that you hear.",
            "[can|could] you describe what you hear?",
            "[can|could] you tell me about [this|the] {medium}?",
            "tell me about [this|the] {medium}.",
            "say what you hear.",
            "I want to know what you hear.",
            "how does [this|the] {medium} go?",
        ),
        held_out=("[can|could] you describe [this|the] {medium}?", "tell me what you hear[ here|]."),
    ),
    "video": Phrasings(
        (
            "[please |]describe [this|the] {medium}.",
            "what does [this|the] {medium} show?",
            "what happens[ here|]?",
            "what do you see[ here|]?",
            "[can|could] you describe what happens?",
            "[can|could] you tell me what [this|the] {medium} shows?",
            "tell me about [this|the] {medium}.",
            "say what happens[ here|].",
            "I want to know what happens.",
        ),
        held_out=("[can|could] you describe [this|the] {medium}?", "tell me what happens[ here|]."),
    ),
}
COMPARE = Phrasings(
    (
        "which one shows {thing}, the first or the second?",
        "in which {medium} do you see {thing}?",
        "which {medium} shows {thing}?",
        "where is {thing}, in the first or in the second?",
        "is {thing} in the first {medium} or in the second?",
        "do you see {thing} in the first or in the second {medium}?",
        "in which {medium} can {thing} be seen?",
        "which {medium} has {thing}?",
        "which one has {thing}, the first or the second?",
        "can you tell me which {medium} shows {thing}?",
    ),
    held_out=("which one is {thing}, the first or the second?", "in which {medium} is {thing}?"),
)
COMPARED_SHARE = 0.06
"""How often a question about pictures is about which of two."""


def description(talk: Talk, modality: str) -> Turn:
    """A request to say in words what a medium is."""
    content = talk.subject(modality)
    words = talk.say(DESCRIBE[modality], medium=talk.choose(MEDIUM_NOUNS[modality]))
    answer = f"I {'hear' if isinstance(content, Sound) else 'see'} {describe(content)}."
    return Turn(f"{modality}_to_text", talk.about(content, words), (answer,), _main_words(content))


def _main_words(content: Content) -> Groups:
    """What a description must say at least."""
    if isinstance(content, Sound):
        return ((content.source,),)
    if isinstance(content, Clip):
        return (MOTION_FORMS[content.motion][0],), names(content.object)
    return tuple(dict.fromkeys(names(placed.object) for placed in content.objects))


def question(talk: Talk, modality: str | None = None) -> Turn | None:
    """A question about the last medium of ``modality``, or about one that is given along."""
    modality = modality or talk.choose(tuple(MEDIUM_NOUNS))
    if modality == "image" and talk.chance(COMPARED_SHARE):
        return comparison(talk)
    return question_about(talk, talk.subject(modality), modality)


def question_about(
    talk: Talk, content: Content, modality: str, functions: Container[Callable] | None = None
) -> Turn | None:
    """A question about ``content``, of all kinds or of those that are answered by one of ``functions``."""
    rows = [
        row for row in QUESTIONS if modality in row.modalities and (functions is None or row.ask in functions)
    ]
    for index in talk.rng.permutation(len(rows)).tolist():
        if asked := rows[index].ask(talk, content):
            words = talk.say(
                rows[index].phrasings, medium=talk.choose(MEDIUM_NOUNS[modality]), **asked.values
            )
            return Turn("question", talk.about(content, words), (asked.answer,), asked.key_words)
    return None


def comparison(talk: Talk, known: Sequence[Content] = ()) -> Turn | None:
    """Which of two pictures shows something: two that are given along, or the two that are ``known`` already."""
    scenes = known or [talk.draw("image") for _ in range(2)]
    shown = [{placed.object for placed in scene.objects} for scene in scenes if isinstance(scene, Scene)]
    if shown[0] & shown[1]:
        return None
    position = int(talk.chance(0.5))
    thing = indefinite(noun(talk.choose(sorted(shown[position]))))
    words = talk.say(COMPARE, thing=thing, medium=talk.choose(MEDIUM_NOUNS["image"]))
    answer = ("first", "second")[position]
    given = () if known else tuple(map(Shown, scenes))
    return Turn("question", (*given, words), (f"The {answer} one.",), ((answer,),))
