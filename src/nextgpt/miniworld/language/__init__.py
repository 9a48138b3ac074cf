"""What can be said about the small world: captions, questions, requests, edits and dialogues."""

from nextgpt.miniworld.language.canonical import canonical_caption, parse_caption
from nextgpt.miniworld.language.captions import caption

__all__ = ["canonical_caption", "caption", "parse_caption"]
