"""Dataset card: counts beside those of the paper, how the plan was met, sources, licences and filters."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean

from nextgpt.data.build.files import write_atomically
from nextgpt.data.build.recipe import MIXES, BuildRecipe
from nextgpt.data.build.row import BuildRow

PAPER = {
    "instances": "5,000", "turns per dialogue": "4.8 (3 to 7)", "images": "about 4,000", "videos": "about 4,000",
    "audio clips": "about 4,000",
}  # fmt: skip
"""MosIT in the paper (arXiv:2309.05519); a turn is a request with its reply."""


@dataclass(frozen=True)
class BuildStatistics:
    """Counts of the kept rows."""

    dialogues: int
    turns_mean: float
    """Requests with their replies per dialogue."""
    words_mean: float
    user_media: dict[str, int]
    assistant_media: dict[str, int]
    mixes: dict[str, int]
    intents: dict[str, int]
    """Turns by intent."""
    languages: dict[str, int]
    both_sides: int
    """Dialogues with media of both roles."""
    edits: int
    licences: dict[str, int]
    sources: dict[str, int]


def compute_build_statistics(rows: Sequence[BuildRow]) -> BuildStatistics:
    """Count the kept rows."""
    kept = [row for row in rows if row.is_kept]
    names = {modalities: name for name, modalities in MIXES.items()}
    media = [part for row in kept for part in row.media]

    def count_media(role: str) -> dict[str, int]:
        return dict(Counter(p.type for row in kept for m in row.messages if m.role == role for p in m.media))

    return BuildStatistics(
        dialogues=len(kept),
        turns_mean=round(mean([len(row.plan.turns) for row in kept] or [0]), 2),
        words_mean=round(mean([len(row.text.split()) for row in kept] or [0]), 1),
        user_media=count_media("user"),
        assistant_media=count_media("assistant"),
        mixes=dict(Counter(names[row.plan.mix] for row in kept)),
        intents=dict(Counter(turn.intent for row in kept for turn in row.plan.turns)),
        languages=dict(Counter(row.plan.language for row in kept)),
        both_sides=sum(row.plan.has_media_on_both_sides for row in kept),
        edits=sum(part.is_edit for part in media),
        licences=dict(Counter(part.licence or "none" for part in media)),
        sources=dict(Counter(part.source or "none" for part in media)),
    )


def count_outcomes(rows: Sequence[BuildRow]) -> dict[tuple[str, str, str], int]:
    """Count rows that are not kept, by status, stage and reason."""
    return dict(Counter((row.status, row.stage, row.reason) for row in rows if not row.is_kept))


def write_card(rows: Sequence[BuildRow], recipe: BuildRecipe, path: Path) -> None:
    """Write the card as Markdown with the header of Hugging Face cards."""
    stats = compute_build_statistics(rows)
    total = {name: stats.user_media.get(name, 0) + stats.assistant_media.get(name, 0) for name in FOLDER_NOUNS}
    own = {
        "instances": f"{stats.dialogues:,}",
        "turns per dialogue": f"{stats.turns_mean} ({recipe.turns[0]} to {recipe.turns[1]} planned)",
        **{noun: f"{total[name]:,}" for name, noun in FOLDER_NOUNS.items()},
    }
    outcomes = {", ".join(key): number for key, number in count_outcomes(rows).items()}
    lines = [
        "---", "language: [" + ", ".join(sorted(stats.languages)) + "]", "task_categories: [any-to-any]",
        f"pretty_name: {recipe.name}", "---", "", f"# {recipe.name}", "",
        f"{KINDS[recipe.kind]} Texts were written by `{recipe.llm.model}` and checked by programs; media: "
        f"`media.mode: {recipe.media.mode}`. `nextgpt data build` wrote this card.", "",
        "| | this set | MosIT in the paper |", "| --- | ---: | ---: |",
        *(f"| {name} | {value} | {PAPER[name] if recipe.kind == 'mosit' else ''} |" for name, value in own.items()),
        "", f"Words per dialogue: {stats.words_mean} on average. Edits: {stats.edits}.", "",
        *_table("modality", {name: f"{stats.user_media.get(name, 0)} | {stats.assistant_media.get(name, 0)}"
                             for name in FOLDER_NOUNS}, "in requests | in replies"),
        *_table("mix of modalities", stats.mixes, "dialogues"),
        f"Dialogues with media on both sides: {stats.both_sides}.", "",
        *_table("intent", stats.intents, "turns"), *_table("language", stats.languages, "dialogues"),
        *_table("source of media", stats.sources, "media"), *_table("licence of media", stats.licences, "media"),
        "Source, licence and origin of every medium are in `sources.jsonl`. Media of replies are outside the formats "
        "of LLaMA-Factory and ms-swift; `sharegpt` holds them as tags with files, like those of requests.", "",
        "## What was left out", "",
        *(_table("status, stage, reason", outcomes, "dialogues") or ["Nothing.", ""]),
        "Licences of texts depend on the terms of the LLM that wrote them.",
    ]  # fmt: skip
    write_atomically(path, "\n".join(lines) + "\n")


FOLDER_NOUNS = {"image": "images", "video": "videos", "audio": "audio clips"}
KINDS = {
    "mosit": "Dialogues in which modalities switch, with media of users and assistant (MosIT).",
    "t2x": "Requests in text, answered with a medium (T→T+X).",
    "x2t": "Questions about a given medium, answered in text (X→T).",
}


def _table(name: str, counts: dict, heading: str) -> list[str]:
    if not counts:
        return []
    columns = heading.count("|") + 1
    lines = [f"| {name} | {heading} |", "| --- |" + " ---: |" * columns]
    ordered = sorted(counts.items(), key=lambda item: str(item[0]))
    return [*lines, *(f"| {key} | {value} |" for key, value in ordered), ""]
