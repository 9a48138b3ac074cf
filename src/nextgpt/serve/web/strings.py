"""Every word of the interface, one table a language. A language that lacks a word does not construct."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Strings:
    """The words of one language; names in braces are filled in."""

    title: str
    lead: str
    conversation: str
    message: str
    stop: str
    retry: str
    new: str
    settings: str
    modalities: str
    modality_help: str
    names: dict[str, str]
    """A modality's name."""
    seed: str
    steps: str
    guidance: str
    model_default: str
    length: str
    camera: str
    take: str
    gallery: str
    gallery_empty: str
    use: str
    export: str
    import_: str
    examples: str
    theme: str
    making: str
    left: str
    stopped: str
    dropped: str
    nothing_said: str
    failed: str
    example_texts: tuple[str, ...]


ENGLISH = Strings(
    title="NExT-GPT",
    lead="Say something, or attach pictures, sounds and films. Answers may hold all of them.",
    conversation="Conversation",
    message="Message; drop or paste files here",
    stop="Stop",
    retry="Retry with a new seed",
    new="New conversation",
    settings="Settings",
    modalities="Answer with",
    modality_help="Nothing chosen: the model decides.",
    names={"text": "text", "image": "image", "audio": "audio", "video": "video"},
    seed="Seed",
    steps="Steps of each medium",
    guidance="Guidance",
    model_default="0: the model's own",
    length="Longest answer in tokens",
    camera="Camera",
    take="Attach the picture",
    gallery="Gallery",
    gallery_empty="What the model makes is collected here.",
    use="Use this as input",
    export="Export as ZIP",
    import_="Import a ZIP",
    examples="Examples",
    theme="Dark or light",
    making="Making {modality}: step {step} of {total}",
    left="{seconds} s left",
    stopped="(stopped)",
    dropped="The model began and could not finish: {what}",
    nothing_said="An empty message came; expected words or a file. Write something, or attach a file.",
    failed="The server failed at this answer; expected nothing of the kind. Try again.",
    example_texts=("Draw a cat on a beach.", "Show me a jumping ball.", "What does a bell sound like?"),
)

LANGUAGES: dict[str, Strings] = {"en": ENGLISH}
"""By language code; a further language is one more row."""


def strings_for(accept_language: str) -> Strings:
    """The first language of an ``Accept-Language`` header that there is, English otherwise."""
    wanted = (choice.split(";")[0].strip().lower().split("-")[0] for choice in accept_language.split(","))
    return next((LANGUAGES[code] for code in wanted if code in LANGUAGES), ENGLISH)
