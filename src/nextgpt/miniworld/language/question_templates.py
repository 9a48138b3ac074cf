"""All questions about media; their answers follow from the specs alone. One table row per question."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from nextgpt.miniworld.language import audio_questions, visual_questions
from nextgpt.miniworld.language.dialogue_state import DialogueState
from nextgpt.miniworld.language.templates import TemplateSet
from nextgpt.miniworld.language.types import QuestionAnswer
from nextgpt.miniworld.specs import MediaSpec


@dataclass(frozen=True)
class QuestionTemplate:
    """One question: modalities, answer function and templates."""

    modalities: tuple[str, ...]
    ask: Callable[[DialogueState, MediaSpec], QuestionAnswer | None]
    """Compute the answer; None if it is ambiguous for this spec."""
    templates: TemplateSet


QUESTION_TEMPLATES = (
    QuestionTemplate(
        ("image", "video"),
        visual_questions.what_object,
        TemplateSet(
            (
                "what is this?",
                "what is in [this|the] {medium}?",
                "which object [is this|do you see]?",
                "what is it?",
                "what can be seen[ here|]?",
                "do you know what this is?",
            ),
            held_out=(
                "what is [it|this], please?",
                "which object is in [this|the] {medium}?",
                "what can you see[ here|]?",
            ),
        ),
    ),
    QuestionTemplate(
        ("image", "video"),
        visual_questions.is_object,
        TemplateSet(
            (
                "is this {thing}?",
                "is it {thing}?",
                "is it {thing} or not?",
                "does the {medium} show {thing}?",
                "is the object {thing}?",
                "am I right that this is {thing}?",
                "is this {thing} or something else?",
                "is it true that it is {thing}?",
                "would you say that this is {thing}?",
                "this is {thing}, right?",
            ),
            held_out=("am I right that it is {thing}?", "is this {thing} or not?"),
        ),
    ),
    QuestionTemplate(
        ("image",),
        visual_questions.which_objects,
        TemplateSet(
            (
                "what is in [this|the] {medium}?",
                "which objects [are there|do you see]?",
                "what can be seen[ here|]?",
                "list the objects.",
            ),
            held_out=("which objects are in [this|the] {medium}?", "what objects can you see[ here|]?"),
        ),
    ),
    QuestionTemplate(
        ("image",),
        visual_questions.where_is,
        TemplateSet(
            (
                "where is the {thing}?",
                "where do you see the {thing}?",
                "at which place is the {thing}?",
                "can you tell me where the {thing} is?",
                "I want to know where the {thing} is.",
                "say where the {thing} is.",
                "where in the {medium} do you see the {thing}?",
                "can you see where the {thing} is?",
                "in which part of the {medium} is the {thing}?",
            ),
            held_out=(
                "where in the {medium} is the {thing}?",
                "do you see where the {thing} is?",
                "tell me where the {thing} is.",
            ),
        ),
    ),
    QuestionTemplate(
        ("image",),
        visual_questions.what_is_at,
        TemplateSet(
            (
                "what is {place}?",
                "what do you see {place}?",
                "which object is {place}?",
                "can you tell me what is {place}?",
                "tell me what you see {place}.",
                "say what is {place}.",
                "what is there {place}?",
                "which object can be seen {place}?",
            ),
            held_out=(
                "what can be seen {place}?",
                "tell me what is {place}.",
                "which object do you see {place}?",
            ),
        ),
    ),
    QuestionTemplate(
        ("image",),
        visual_questions.how_many,
        TemplateSet(
            (
                "how many objects [are there|do you see]?",
                "how many things are in [this|the] {medium}?",
                "count the objects.",
                "count the objects in [this|the] {medium}.",
                "can you tell me how many objects there are?",
                "tell me how many objects you see.",
                "what is the number of objects?",
            ),
            held_out=("how many objects are in [this|the] {medium}?", "can you count the objects?"),
        ),
    ),
    QuestionTemplate(
        ("image",),
        visual_questions.how_many_of,
        TemplateSet(
            (
                "how many {things} [are there|do you see]?",
                "how many {things} are in [this|the] {medium}?",
                "count the {things}.",
                "count the {things} in [this|the] {medium}.",
                "can you tell me how many {things} there are?",
                "tell me how many {things} you see.",
                "are there {things}, and how many?",
                "what is the number of {things}?",
                "how many {things} can be seen?",
                "how many {things} does the {medium} show?",
                "do you see {things}, and how many?",
                "can you say how many {things} there are?",
                "what number of {things} do you see?",
            ),
            held_out=("how many {things} can you see?", "can you count the {things}?"),
        ),
    ),
    QuestionTemplate(
        ("image", "video"),
        visual_questions.which_color,
        TemplateSet(
            (
                "[what|which] color is the {thing}?",
                "[what|which] colour is the {thing}?",
                "what is the color of the {thing}?",
                "which color does the {thing} have?",
                "can you tell me the color of the {thing}?",
                "say which color the {thing} has.",
                "I want to know the color of the {thing}.",
                "tell me which color the {thing} is.",
                "in which color do you see the {thing}?",
            ),
            held_out=(
                "in which color is the {thing}?",
                "tell me the color of the {thing}.",
                "what color does the {thing} have?",
            ),
        ),
    ),
    QuestionTemplate(
        ("image", "video"),
        visual_questions.which_background,
        TemplateSet(
            (
                "what is the background?",
                "[what|which] background is it?",
                "what is in the background?",
                "what is behind the {thing}?",
                "can you tell me what is behind the {thing}?",
                "tell me what the background is.",
                "which background do you see?",
                "say which background it is.",
                "which background does [this|the] {medium} have?",
            ),
            held_out=(
                "which background is this?",
                "what background does [this|the] {medium} have?",
                "tell me what is behind the {thing}.",
            ),
        ),
    ),
    QuestionTemplate(
        ("image",),
        visual_questions.how_big,
        TemplateSet(
            (
                "how big is the {thing}?",
                "is the {thing} small or large?",
                "which size is the {thing}?",
                "is the {thing} large or small?",
                "how small is the {thing}?",
                "is the {thing} big or small?",
                "which size do you see the {thing} in?",
                "what size does the {thing} have?",
                "tell me how big the {thing} is.",
                "what is the size of the {thing}?",
            ),
            held_out=("how large is the {thing}?", "which size does the {thing} have?"),
        ),
    ),
    QuestionTemplate(
        ("image",),
        visual_questions.is_there,
        TemplateSet(
            (
                "is there {thing}?",
                "do you see {thing}?",
                "do you see {thing} in [this|the] {medium}?",
                "can {thing} be seen[ here|]?",
                "is {thing} there or not?",
                "is {thing} in [this|the] {medium}?",
                "can you find {thing}?",
                "is {thing} to be seen?",
                "are you sure that there is {thing}?",
                "does the {medium} show {thing}?",
            ),
            held_out=("is there {thing} in [this|the] {medium}?", "can you see {thing}?"),
        ),
    ),
    QuestionTemplate(
        ("image", "video"),
        visual_questions.is_colored,
        TemplateSet(
            (
                "is the {thing} {color}?",
                "is the color of the {thing} {color}?",
                "is this {thing} {color}?",
                "does this {thing} have a {color} color?",
                "does the {medium} show {a} {color} {thing}?",
                "can you see {a} {color} {thing}?",
                "is it {color}, the {thing}?",
                "do you see {a} {color} {thing}?",
                "does the {thing} look {color}?",
                "has the {thing} the color {color}?",
                "would you say that the {thing} is {color}?",
                "the {thing} is {color}, right?",
            ),
            held_out=("is it {a} {color} {thing}?", "does the {thing} have the color {color}?"),
        ),
    ),
    QuestionTemplate(
        ("image", "video"),
        visual_questions.is_category,
        TemplateSet(
            (
                "is this {category}?",
                "is it {category}?",
                "do you see {category}[ here|]?",
                "is it {category} or not?",
                "do you see {category} or not?",
                "am I right that this is {category}?",
                "can {category} be seen[ here|]?",
                "does the {medium} show {category}?",
                "is the object {category}?",
                "is this {category} or something else?",
                "is it true that it is {category}?",
                "would you say that this is {category}?",
            ),
            held_out=("can you see {category}[ here|]?", "is this {category} or not?"),
        ),
    ),
    QuestionTemplate(
        ("video",),
        visual_questions.which_motion,
        TemplateSet(
            (
                "what does the {thing} do?",
                "what is the {thing} doing?",
                "how does the {thing} move?",
                "what happens to the {thing}?",
                "which motion does the {thing} make?",
                "tell me how the {thing} moves.",
                "say what the {thing} does.",
                "which motion is it?",
                "can you tell me what the {thing} is doing?",
            ),
            held_out=(
                "tell me what the {thing} does.",
                "how is the {thing} moving?",
                "which motion do you see?",
            ),
        ),
    ),
    QuestionTemplate(
        ("video",),
        visual_questions.which_way,
        TemplateSet(
            (
                "which way does the {thing} [go|move]?",
                "where does the {thing} [go|move]?",
                "in which direction does the {thing} [go|move]?",
                "in which direction is the {thing} moving?",
                "tell me which way the {thing} moves.",
                "which direction does the {thing} have?",
            ),
            held_out=("which way is the {thing} moving?", "what is the direction of the {thing}?"),
        ),
    ),
    QuestionTemplate(
        ("video",),
        visual_questions.is_moving,
        TemplateSet(
            (
                "is the {thing} {motion}?",
                "do you see the {thing} {motion}?",
                "is it {motion}?",
                "is this {thing} {motion}?",
                "is it {motion} or not?",
                "can you see it {motion}?",
                "does the video show it {motion}?",
                "would you say that it is {motion}?",
                "is it true that the {thing} is {motion}?",
            ),
            held_out=("can you see the {thing} {motion}?", "is the {thing} {motion} or not?"),
        ),
    ),
    QuestionTemplate(
        ("audio",),
        audio_questions.what_sound,
        TemplateSet(
            (
                "what is this?",
                "what makes this sound?",
                "what can be heard[ here|]?",
                "which sound is this?",
                "what is it?",
                "do you know this sound?",
                "who or what do I hear?",
            ),
            held_out=("what is this sound?", "which sound do you hear?", "do you know what I hear?"),
        ),
    ),
    QuestionTemplate(
        ("audio",),
        audio_questions.which_instrument,
        TemplateSet(
            (
                "[what|which] instrument is this?",
                "[what|which] instrument is played?",
                "[what|which] instrument do you hear?",
                "do you know this instrument?",
            ),
            held_out=(
                "which instrument can be heard?",
                "what is this instrument?",
                "which instrument makes this sound?",
            ),
        ),
    ),
    QuestionTemplate(
        ("audio",),
        audio_questions.which_word,
        TemplateSet(
            (
                "[what|which] word is this?",
                "[what|which] word is said?",
                "[what|which] word do you hear?",
                "what is said[ here|]?",
            ),
            held_out=("which word can be heard?", "what is this word?"),
        ),
    ),
    QuestionTemplate(
        ("audio",),
        audio_questions.is_source,
        TemplateSet(
            (
                "is this {source}?",
                "is it {source}?",
                "do you hear {source}?",
                "do you hear {source} or not?",
                "can {source} be heard?",
                "is it {source} or not?",
                "is this the sound of {source}?",
                "would you say that this is {source}?",
                "is it true that this is {source}?",
                "does it sound like {source}?",
            ),
            held_out=("can you hear {source}?", "is it the sound of {source}?"),
        ),
    ),
    QuestionTemplate(
        ("audio",),
        audio_questions.how_high,
        TemplateSet(
            (
                "how high is {source}?",
                "how high is the pitch?",
                "what is the pitch?",
                "is it low or high?",
                "which pitch does it have?",
                "is {source} high or low?",
            ),
            held_out=("what pitch does {source} have?", "is the pitch high or low?", "how high is it?"),
        ),
    ),
    QuestionTemplate(
        ("audio",),
        audio_questions.is_pitched,
        TemplateSet(
            (
                "is the pitch {pitch}?",
                "is it at a {pitch} pitch?",
                "do you hear a {pitch} pitch?",
                "is its pitch {pitch}?",
                "is it played at a {pitch} pitch?",
                "has it a {pitch} pitch?",
                "am I right that the pitch is {pitch}?",
            ),
            held_out=("does it have a {pitch} pitch?", "is this a {pitch} pitch?"),
        ),
    ),
    QuestionTemplate(
        ("audio",),
        audio_questions.which_pattern,
        TemplateSet(
            (
                "[what|which] pattern is it?",
                "is it rising or falling?",
                "how is it played?",
                "which pattern do you hear?",
                "does it go up or down?",
                "is it heard once or repeated?",
                "tell me how it is played.",
                "does it rise or fall?",
                "which pattern is heard?",
                "which pattern has it?",
                "is it rising, falling or repeated?",
                "which way do the notes go?",
                "which pattern is it played in?",
                "does it fall or rise?",
                "what pattern do the notes have?",
            ),
            held_out=("which pattern does it have?", "is it falling or rising?", "what is the pattern?"),
        ),
    ),
    QuestionTemplate(
        ("audio",),
        audio_questions.how_fast,
        TemplateSet(
            (
                "how fast is it?",
                "is it fast or slow?",
                "which speed does it have?",
                "is it played fast or slowly?",
                "what speed does it have?",
                "at which speed is it played?",
                "tell me how fast it is.",
                "is this fast or slow?",
                "say how fast it is played.",
                "which is its speed?",
                "at what speed does it go?",
                "how slow is it?",
                "would you call it slow or fast?",
            ),
            held_out=("is it slow or fast?", "what is the speed?"),
        ),
    ),
)
