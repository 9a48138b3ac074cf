"""Requests in the words of many authors: templates as data, split by author, and dialogues sampled from them."""

from nextgpt.miniworld.language.phrasings.author import AUTHOR_SPLITS, Author, load_authors, read_author
from nextgpt.miniworld.language.phrasings.conversation import GENERAL
from nextgpt.miniworld.language.phrasings.sampler import PHRASED_TASKS, sample_phrased_dialogue

__all__ = [
    "AUTHOR_SPLITS",
    "GENERAL",
    "PHRASED_TASKS",
    "Author",
    "load_authors",
    "read_author",
    "sample_phrased_dialogue",
]
