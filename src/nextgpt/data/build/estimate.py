"""Estimate of a build before anything is sent: requests, tokens, price, media."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from nextgpt.data.build.prompting import answer_schema, build_messages, planned_fields
from nextgpt.data.build.recipe import BuildRecipe
from nextgpt.data.build.row import BuildRow

CHARACTERS_PER_TOKEN = 4.0
"""Average of English prompts; other languages need more tokens."""
TEXT_TOKENS, CAPTION_TOKENS, KEY_TOKENS = 30, 20, 8
REPAIR_SHARE = 0.1
"""Assumed share of answers that go back once."""


@dataclass(frozen=True)
class Estimate:
    """Expected size and price of a build."""

    dialogues: int
    requests: int
    """Number of requests, with the assumed repairs."""
    input_tokens: int
    output_tokens: int
    price: float
    """Price of the LLM and of media from an endpoint."""
    media: dict[str, int]
    """Media by modality, without the alternatives of each."""
    mixes: dict[str, int]
    intents: dict[str, int]
    turns: dict[int, int]
    both_sides: int


def estimate_build(rows: Sequence[BuildRow], recipe: BuildRecipe) -> Estimate:
    """Estimate the build of planned rows."""
    inputs = outputs = 0.0
    for row in rows:
        prompt = build_messages(row.id, row.plan, demonstrations=recipe.demonstrations)
        characters = sum(len(message["content"]) for message in prompt) + len(json.dumps(answer_schema(row.plan)))
        inputs += characters / CHARACTERS_PER_TOKEN
        for field in planned_fields(row.plan):
            outputs += KEY_TOKENS + (TEXT_TOKENS if field.type == "text" else CAPTION_TOKENS)
    inputs, outputs = inputs * (1 + REPAIR_SHARE) + outputs * REPAIR_SHARE, outputs * (1 + REPAIR_SHARE)
    turns = [turn for row in rows for turn in row.plan.turns]
    media = Counter(name for turn in turns for name in (*turn.user_media, *turn.assistant_media))
    price = (inputs * recipe.llm.price_input + outputs * recipe.llm.price_output) / 1e6
    if (endpoint := recipe.media.endpoint) is not None and recipe.media.mode != "none":
        price += endpoint.price * recipe.media.candidates * sum(media[name] for name in endpoint.modalities)
    return Estimate(
        dialogues=len(rows),
        requests=round(len(rows) * (1 + REPAIR_SHARE)),
        input_tokens=round(inputs),
        output_tokens=round(outputs),
        price=round(price, 4),
        media=dict(sorted(media.items())),
        mixes=dict(Counter("+".join(row.plan.mix) or "text" for row in rows)),
        intents=dict(Counter(turn.intent for turn in turns)),
        turns=dict(sorted(Counter(len(row.plan.turns) for row in rows).items())),
        both_sides=sum(row.plan.has_media_on_both_sides for row in rows),
    )
