"""Every word of the interface, one table a language. A language that lacks a word does not construct.

The tables travel to the page whole, which takes the first of its reader's languages that there is.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Example:
    """A message to click on."""

    kind: str
    """The modality that it shows."""
    title: str
    text: str


@dataclass(frozen=True)
class Strings:
    """The words of one language; names in braces are filled in."""

    language: str
    """Its code, for ``<html lang>``."""
    greeting: str
    lead: str
    examples: tuple[Example, ...]
    # The side
    new: str
    history: str
    history_empty: str
    rename: str
    search: str
    search_nothing: str
    delete: str
    menu: str
    close: str
    gallery: str
    gallery_empty: str
    settings: str
    export: str
    import_: str
    dark: str
    light: str
    # The message
    message: str
    send: str
    stop: str
    attach: str
    microphone: str
    microphone_stop: str
    camera: str
    take: str
    film: str
    film_stop: str
    drop: str
    remove: str
    reading: str
    modalities: str
    modality_help: str
    names: dict[str, str]
    """A modality's name."""
    # The conversation
    you: str
    model: str
    edit: str
    resend: str
    cancel: str
    copy: str
    copied: str
    retry: str
    use: str
    download: str
    enlarge: str
    play: str
    pause: str
    position: str
    thinking: str
    making: str
    left: str
    seed_was: str
    answered: str
    stopped: str
    dropped: str
    # Behind an answer
    details: str
    prompt_took: str
    answer_took: str
    ended: str
    endings: dict[str, str]
    left_off: str
    said: str
    stages_took: str
    stages: dict[str, str]
    """A stage's name; those that make media go by the modality's."""
    seconds: str
    again: str
    copy_curl: str
    copy_python: str
    selected: str
    left_out: str
    # Settings
    seed: str
    seed_help: str
    steps: str
    guidance: str
    model_default: str
    length: str
    tokens: str
    reset: str
    # The door
    key: str
    key_open: str
    key_wrong: str
    # What goes wrong
    nothing_said: str
    failed: str
    no_device: str
    too_large: str
    offline: str
    expired: str


ENGLISH = Strings(
    language="en",
    greeting="What shall we make?",
    lead="Write, or show and play something. Answers come as words, pictures, sounds and films.",
    examples=(
        Example("image", "Draw a picture", "Draw a red cat at the top left on grass."),
        Example("audio", "Make a sound", "What does a bell sound like?"),
        Example("video", "Film a scene", "Show me a blue ball moving to the right."),
        Example("text", "Mix them", "Draw a blue dog and play a trumpet."),
    ),
    new="New conversation",
    history="Conversations",
    history_empty="What you talk about is listed here.",
    rename="Rename this conversation",
    search="Search conversations",
    search_nothing="No conversation has this in its name.",
    delete="Delete this conversation",
    menu="Menu",
    close="Close",
    gallery="Gallery",
    gallery_empty="Pictures, sounds and films that the model makes are collected here.",
    settings="Settings",
    export="Export as ZIP",
    import_="Import a ZIP",
    dark="Dark",
    light="Light",
    message="Message NExT-GPT",
    send="Send",
    stop="Stop",
    attach="Attach pictures, sounds or films",
    microphone="Record sound",
    microphone_stop="Stop recording",
    camera="Camera",
    take="Take a picture",
    film="Record a film",
    film_stop="Stop the film",
    drop="Drop files here",
    remove="Remove",
    reading="Reading {name}",
    modalities="Answer with",
    modality_help="Nothing chosen: the model decides.",
    names={"text": "Text", "image": "Image", "audio": "Audio", "video": "Video"},
    you="You",
    model="NExT-GPT",
    edit="Edit",
    resend="Send again",
    cancel="Cancel",
    copy="Copy",
    copied="Copied",
    retry="Try again with a new seed",
    use="Use this as input",
    download="Download",
    enlarge="Enlarge",
    play="Play",
    pause="Pause",
    position="Position",
    thinking="Thinking",
    making="{modality}: step {step} of {total}",
    left="{seconds} s left",
    seed_was="seed {seed}",
    answered="The answer is complete: {what}",
    stopped="Stopped.",
    dropped="The model began and could not finish: {what}",
    details="Details of this answer",
    prompt_took="Prompt",
    answer_took="Answer",
    ended="Ended",
    endings={
        "stop": "when all was said",
        "length": "at the longest answer that was allowed",
        "broken": "early: it was broken off",
    },
    left_off="Not finished",
    said="As the model said it",
    stages_took="What it took",
    stages={
        "encoding": "Encoding",
        "llm": "Language model",
        "output_projection": "Output projection",
        "total": "Altogether",
    },
    seconds="{seconds} s",
    again="The request that asks for it again",
    copy_curl="Copy as curl",
    copy_python="Copy as Python",
    selected="Selected; copy it with the keyboard.",
    left_out="Too large to stand here; put their base64 where they are named: {files}",
    seed="Seed",
    seed_help="The same seed and conversation give the same answer.",
    steps="Steps of each medium",
    guidance="Guidance",
    model_default="model's own",
    length="Longest answer",
    tokens="{count} tokens",
    reset="Back to the defaults",
    key="API key",
    key_open="Open the chat",
    key_wrong="This key is not known; expected one that the server was started with. Check it.",
    nothing_said="An empty message came; expected words or a file. Write something, or attach a file.",
    failed="The server failed at this answer; expected nothing of the kind. Try again.",
    no_device="The browser gave no {device}; expected permission to use it. Allow it, or attach a file.",
    too_large="{name} is larger than {most} MiB; expected less. Shrink it.",
    expired="This conversation is not kept any more; a new one has begun. Send your message again.",
    offline="The server cannot be reached. Check that it runs, and reload the page.",
)

LANGUAGES: dict[str, Strings] = {"en": ENGLISH}
"""By language code; a further language is one more row."""


def strings_for(accept_language: str) -> Strings:
    """The first language of an ``Accept-Language`` header that there is, English otherwise."""
    wanted = (choice.split(";")[0].strip().lower().split("-")[0] for choice in accept_language.split(","))
    return next((LANGUAGES[code] for code in wanted if code in LANGUAGES), ENGLISH)
