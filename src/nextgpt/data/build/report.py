"""Report page of a build: counts per stage and reason, the ledger, samples, and everything that was dropped.

The page lies in the work directory and links to its media. All text from outside is escaped; there are no scripts.
"""

from __future__ import annotations

import html
import random
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from urllib.parse import quote

from nextgpt.data.build.card import compute_build_statistics, count_outcomes
from nextgpt.data.build.files import write_atomically
from nextgpt.data.build.recipe import BuildRecipe
from nextgpt.data.build.request_store import Ledger
from nextgpt.data.build.row import STAGES, BuildRow, Part

REPORT_FILE = "report.html"
SAMPLES = 20
MAX_DROPPED = 500
"""Dropped dialogues that the page lists; the stage files list all."""
_TAGS = {
    "image": '<img src="{0}" alt="{1}" loading="lazy">',
    "audio": '<audio controls preload="metadata" src="{0}"></audio>',
    "video": '<video controls preload="metadata" src="{0}"></video>',
}
_HEAD = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'self'; style-src 'unsafe-inline'; script-src 'none'">
<title>{title}</title>
<style>
:root {{ color-scheme: light dark }}
body {{ font: 16px/1.5 system-ui, sans-serif; max-width: 52rem; margin: 2rem auto; padding: 0 1rem }}
table {{ border-collapse: collapse; margin: 1rem 0 }}
td, th {{ border-bottom: 1px solid #8886; padding: .2rem .8rem .2rem 0; text-align: left; vertical-align: top }}
article {{ border-top: 1px solid #8886; padding: 1rem 0 }}
.assistant {{ margin-left: 3rem }}
img, video {{ max-width: 100%; max-height: 14rem; min-width: 6rem; image-rendering: pixelated; display: block }}
figure {{ margin: .5rem 0 }} figcaption, small {{ opacity: .75; font-size: .85rem }}
</style></head><body><h1>{title}</h1>
"""


def write_report(rows: Sequence[BuildRow], recipe: BuildRecipe, ledger: Ledger) -> Path:
    """Write the page and return its path."""
    kept = [row for row in rows if row.is_kept]
    samples = random.Random(recipe.seed).sample(kept, min(SAMPLES, len(kept)))
    outcomes = sorted(count_outcomes(rows).items(), key=lambda item: (STAGES.index(item[0][1]), item[0]))  # type: ignore[arg-type]
    left_out = [(", ".join(key), number) for key, number in outcomes]
    stats = compute_build_statistics(rows)
    counts = {
        "dialogues planned": len(rows), "kept": len(kept), "turns per dialogue": stats.turns_mean,
        "media in requests": _counts(stats.user_media), "media in replies": _counts(stats.assistant_media),
        "media on both sides": stats.both_sides, "mixes": _counts(stats.mixes), "intents": _counts(stats.intents),
        "languages": _counts(stats.languages), "sources of media": _counts(stats.sources),
        "licences of media": _counts(stats.licences),
    }  # fmt: skip
    money = {
        "answered requests": ledger.answered, "input tokens": ledger.input_tokens,
        "output tokens": ledger.output_tokens, "price": f"{ledger.cost:.4f}",
        "lost attempts": f"{ledger.lost} (at most {ledger.lost_cost:.4f})",
        "budget": "none" if recipe.budget is None else f"{recipe.budget:g}",
    }  # fmt: skip
    page = [
        _HEAD.format(title=html.escape(f"Build of {recipe.name}")),
        _table(counts.items()), "<h2>Requests</h2>", _table(money.items()),
        "<h2>Left out</h2>", _table(left_out or [("nothing", "")]),
        f"<h2>Samples</h2><p>{len(samples)} of {len(kept)}, at random.</p>", *map(_article, samples),
        "<h2>Dropped and pending</h2>",
        *(_article(row) for row in [row for row in rows if not row.is_kept][:MAX_DROPPED]), "</body></html>\n",
    ]  # fmt: skip
    return write_atomically(recipe.work / REPORT_FILE, "\n".join(page))


def _counts(counts: dict[str, int]) -> str:
    ordered = Counter(counts).most_common()
    return ", ".join(f"{name} {number}" for name, number in ordered) or "none"


def _table(rows: Iterable[tuple[str, object]]) -> str:
    cells = (f"<tr><th>{html.escape(name)}</th><td>{html.escape(str(value))}</td></tr>" for name, value in rows)
    return f"<table>{''.join(cells)}</table>"


def _article(row: BuildRow) -> str:
    about = f"{row.id} · {row.plan.topic} · {row.plan.language}"
    reason = html.escape(f"{row.status}: {row.reason}")
    fate = "" if row.is_kept else f"<p><b>{reason}</b> {html.escape(row.detail)}</p>"
    messages = (
        f'<div class="{message.role}"><b>{message.role}</b> {"".join(map(_part, message.content))}</div>'
        for message in row.messages
    )
    return f"<article><small>{html.escape(about)}</small>{fate}{''.join(messages)}</article>"


def _part(part: Part) -> str:
    if part.type == "text":
        return f"<p>{html.escape(part.text or '')}</p>"
    caption = html.escape(part.caption or "", quote=True)
    tag = _TAGS[part.type].format(quote(part.path), caption) if part.path else f"[{part.type} without a file]"
    facts = [part.made_by, part.licence, "" if part.score is None else f"score {part.score:.3f}"]
    about = html.escape(" · ".join(filter(None, facts)))
    return f"<figure>{tag}<figcaption>{caption}<br><small>{about}</small></figcaption></figure>"
