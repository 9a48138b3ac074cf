"""Checks of one written dialogue against its plan.

The LLM gets the problems back once; a dialogue that still has some is dropped.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from nextgpt.data.build.language_id import is_in_language
from nextgpt.data.build.prompting import load_demonstrations, planned_fields
from nextgpt.data.build.recipe import CheckConfig
from nextgpt.data.build.row import BuiltMessage, DialoguePlan
from nextgpt.modality import MODALITIES

COPY_LENGTH = 5
"""Words of the n-grams that are compared with demonstrations and instructions, and of texts that may occur twice."""
MARKUP = re.compile(
    r"</?\s*(image|audio|video|data|example|s|Image|Audio|Video)\s*/?>|<\||\[(IMG|AUD|VID)\d+\]|\[EDIT\]|```|!\[|"
    r'^\s*\{"|"turn\d+_',
    re.MULTILINE,
)
"""Tags, signal tokens, code fences and JSON, which must not occur in texts."""
SPEAKER = re.compile(
    r"^\s*(user|assistant|human|gpt|machine|system)\s*:|^\W*the (user|assistant)\b", re.IGNORECASE | re.MULTILINE
)
"""Speaker names, and texts that describe what a speaker does in place of the speaker's words."""
ADDRESS = re.compile(r"https?://|www\.", re.IGNORECASE)
MEDIUM_WORDS = re.compile(
    r"\b(images?|pictures?|photos?|drawings?|draw|paint|sketch|illustrat\w+|sounds? (clip|file)|audio|recordings?|"
    r"videos?|films?|clips?|animations?|bild(er)?|fotos?|zeichne\w*|tonaufnahme|imagen|vídeos?|dessin\w*)\b",
    re.IGNORECASE,
)
"""Words that make an implicit request explicit, in the most common languages."""
NAMED_MEDIUM = re.compile(
    r"\b(audio|video) (clip|recording)s?\b|"
    r"^\W*((an?|the|this) )?(\w+ )?(image|picture|photo|photograph|audio|video)s? (of|that|which|shows|showing|with)\b",
    re.IGNORECASE,
)
"""Beginnings of captions that name their own medium; elsewhere a word such as picture may be content."""


@dataclass(frozen=True)
class Problem:
    """A broken rule."""

    reason: str
    """Name, for counting."""
    detail: str
    """Explanation that the LLM gets for the repair."""


def find_problems(plan: DialoguePlan, messages: tuple[BuiltMessage, ...], config: CheckConfig) -> list[Problem]:
    """Return all problems of a dialogue, plan first."""
    return [*_plan_problems(plan, messages), *_text_problems(plan, messages, config)]


def _plan_problems(plan: DialoguePlan, messages: tuple[BuiltMessage, ...]) -> Iterator[Problem]:
    """Compare roles, number of turns and media with the plan; check what intents mean."""
    expected = [(role, turn.media(role)) for turn in plan.turns for role in ("user", "assistant")]
    written = [(message.role, tuple(part.type for part in message.media)) for message in messages]
    if written != expected:
        yield Problem("plan", f"roles and media are {written}; expected {expected}")
        return
    last_caption: dict[str, str] = {}
    for index, turn in enumerate(plan.turns):
        request, reply = messages[2 * index : 2 * index + 2]
        if turn.intent == "implicit" and (match := MEDIUM_WORDS.search(request.text)):
            yield Problem("explicit", f"turn{index + 1}_user names {match[0]!r}; the request must stay implicit")
        last_caption |= {part.type: part.caption or "" for part in request.media}
        if turn.intent == "edit":
            edited = reply.media[0]
            if _fold(edited.caption or "") == _fold(last_caption.get(edited.type, "")):
                yield Problem("edit", f"turn{index + 1}_assistant_{edited.type} equals the caption before the edit")
        last_caption |= {part.type: part.caption or "" for part in reply.media}


def _text_problems(plan: DialoguePlan, messages: tuple[BuiltMessage, ...], config: CheckConfig) -> Iterator[Problem]:
    prompt = _PromptTexts(plan, config.max_copied)
    given = plan.given.caption if plan.given else None
    total = 0
    texts: set[str] = set()
    captions: set[tuple[str, str]] = set()
    for index, message in enumerate(messages):
        name = f"turn{index // 2 + 1}_{message.role}"
        total += (count := count_words(message.text))
        if not count:
            yield Problem("empty", f"{name} is empty")
        elif count > config.max_words_per_text:
            yield Problem("length", f"{name} has {count} words; expected at most {config.max_words_per_text}")
        yield from _forbidden(name, message.text)
        yield from prompt.copies(name, message.text)
        if count >= COPY_LENGTH and _fold(message.text) in texts:
            yield Problem("repeated", f"{name} repeats an earlier text of the dialogue")
        texts.add(_fold(message.text))
        for part in message.media:
            caption, field = part.caption or "", f"{name}_{part.type}"
            if caption != given:
                yield from _caption_problems(field, caption, config)
                yield from prompt.copies(field, caption)
            if (part.type, _fold(caption)) in captions and not part.is_edit:
                yield Problem("repeated", f"{field} repeats the caption of an earlier {part.type}")
            captions.add((part.type, _fold(caption)))
    if total > config.max_words:
        yield Problem("length", f"the dialogue has {total} words; expected at most {config.max_words}")
    if not is_in_language("\n".join(message.text for message in messages), plan.language):
        yield Problem("language", f"the texts are not in the requested language ({plan.language})")


def _caption_problems(name: str, caption: str, config: CheckConfig) -> Iterator[Problem]:
    count = count_words(caption)
    if count < 2:
        yield Problem("caption", f"{name} has {count} words; expected a description")
    elif count > config.max_caption_words:
        yield Problem("caption", f"{name} has {count} words; expected at most {config.max_caption_words}")
    elif not is_in_language(caption, "en"):
        yield Problem("caption", f"{name} is not English")
    elif match := NAMED_MEDIUM.search(caption):
        yield Problem("caption", f"{name} contains {match[0].strip()!r}; expected what can be seen or heard")
    yield from _forbidden(name, caption)


class _PromptTexts:
    """Texts of a prompt that answers must not copy: demonstrations, and descriptions of the fields."""

    def __init__(self, plan: DialoguePlan, max_copied: float) -> None:
        self._max_copied = max_copied
        self._demonstrations = _demonstration_ngrams(plan.kind)
        descriptions = (field.description for field in planned_fields(plan))
        self._descriptions = frozenset().union(*(ngrams(text, COPY_LENGTH) for text in descriptions))

    def copies(self, name: str, text: str) -> Iterator[Problem]:
        """Yield a problem if too many n-grams of a text are in the prompt."""
        if _copied_share(text, self._demonstrations) > self._max_copied:
            yield Problem("copied", f"{name} copies an example; write it anew")
        if _copied_share(text, self._descriptions) > self._max_copied:
            yield Problem("instruction", f"{name} copies its description; write what the {_speaker(name)}")


def _speaker(name: str) -> str:
    """Return who a field belongs to and what it holds, for a repair."""
    if name.rpartition("_")[2] in MODALITIES:
        return "medium shows or plays"
    return f"{name.rpartition('_')[2]} says"


def _forbidden(name: str, text: str) -> Iterator[Problem]:
    for reason, pattern in (("markup", MARKUP), ("speaker", SPEAKER), ("address", ADDRESS)):
        if match := pattern.search(text):
            yield Problem(reason, f"{name} contains {match[0].strip()!r}")


def count_words(text: str) -> int:
    """Count words; of scripts without spaces two characters count as one."""
    wide = len(re.findall(r"[\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]", text))
    return len(re.findall(r"[^\W\u3040-\u30ff\u3400-\u9fff\u0e00-\u0e7f]+(?:['’-]\w+)*", text)) + (wide + 1) // 2


def words(text: str) -> list[str]:
    """Return lower-case words."""
    return re.findall(r"\w+", text.lower())


def ngrams(text: str, length: int) -> frozenset[tuple[str, ...]]:
    """Return the n-grams of a text, or its words if it is shorter."""
    tokens = words(text)
    starts = range(max(1, len(tokens) - length + 1)) if tokens else ()
    return frozenset(tuple(tokens[start : start + length]) for start in starts)


def _copied_share(text: str, copied: frozenset) -> float:
    own = ngrams(text, COPY_LENGTH)
    return len(own & copied) / len(own) if own else 0.0


def _demonstration_ngrams(kind: str) -> frozenset[tuple[str, ...]]:
    texts = (text for shown in load_demonstrations(kind) for text in shown.fields.values())
    return frozenset().union(*(ngrams(text, COPY_LENGTH) for text in texts if len(words(text)) >= COPY_LENGTH))


def _fold(text: str) -> str:
    return " ".join(words(text))
