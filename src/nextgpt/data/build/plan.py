"""Plan: topic, language, modalities, intents and number of turns of every dialogue, in exact shares.

Everything follows from the recipe and its seed. No LLM and no network is needed, so a dry run shows the real plan.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import TypeVar

import yaml

from nextgpt.data.build.prompting import clean_text
from nextgpt.data.build.recipe import MIXES, BuildRecipe, normalized
from nextgpt.data.build.row import BuildRow, DialoguePlan, GivenMedium, Intent, PlannedTurn
from nextgpt.errors import ConfigError
from nextgpt.text_files import read_text

Item = TypeVar("Item")

ATTEMPTS = 400
"""Random arrangements of one dialogue before its plan counts as impossible."""
FILLERS: dict[Intent, float] = {"request": 0.5, "question": 0.35, "chat": 0.15}
"""Weights of turns that no share of the recipe asks for."""


def plan_dialogues(recipe: BuildRecipe) -> list[BuildRow]:
    """Plan all dialogues. Raises :class:`ConfigError` if the shares contradict each other."""
    rng = random.Random(f"{recipe.seed} {recipe.kind}")
    topics = load_topics(recipe.topics)
    order = shuffled(rng, topics, recipe.dialogues)
    languages = allot(rng, normalized(recipe.languages), recipe.dialogues)
    if recipe.kind == "mosit":
        plans = _plan_mosit(recipe, rng, order, languages)
    else:
        plans = _plan_single_media(recipe, rng, order, languages)
    return [BuildRow(id=f"{recipe.kind}-{index:05d}", plan=plan) for index, plan in enumerate(plans)]


def load_topics(names: Sequence[str]) -> list[str]:
    """Return topics; names of files (``.yaml``, ``.txt``) are replaced by the topics in them."""
    if not names:
        groups = yaml.safe_load((resources.files("nextgpt.data.build") / "topics.yaml").read_text(encoding="utf-8"))
        return [topic for group in groups.values() for topic in group]
    topics: list[str] = []
    for name in names:
        topics += _read_topics(Path(name)) if name.endswith((".yaml", ".txt")) else [name]
    return topics


def _read_topics(path: Path) -> list[str]:
    try:
        text = read_text(path)
        values = yaml.safe_load(text) if path.suffix == ".yaml" else text.splitlines()
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise ConfigError(f"{path} cannot be read as topics ({error}); expected YAML lists or one per line.") from None
    groups = values.values() if isinstance(values, dict) else [values]
    topics = [str(topic).strip() for group in groups for topic in (group or []) if str(topic).strip()]
    if not topics:
        raise ConfigError(f"{path} has no topic; expected YAML lists or one topic per line. Add some.")
    return topics


def allot(rng: random.Random, shares: Mapping[Item, float], count: int) -> list[Item]:
    """Return ``count`` items in random order, each as often as its share says (largest remainders)."""
    exact = {item: share * count for item, share in shares.items()}
    counts = {item: int(value) for item, value in exact.items()}
    rest = sorted(exact, key=lambda item: counts[item] - exact[item])
    for item in rest[: count - sum(counts.values())]:
        counts[item] += 1
    items = [item for item, number in counts.items() for _ in range(number)]
    rng.shuffle(items)
    return items


def shuffled(rng: random.Random, items: Sequence[Item], count: int) -> list[Item]:
    """Return ``count`` items; each is used once before any is used again."""
    result: list[Item] = []
    while len(result) < count:
        result += rng.sample(items, len(items))
    return result[:count]


# ---- MosIT ---------------------------------------------------------------------------------------------------------


@dataclass
class _Draft:
    """Requirements of one dialogue."""

    mix: tuple[str, ...]
    turns: int
    is_both_sided: bool = False
    required: list[Intent] = field(default_factory=list)

    @property
    def free_turns(self) -> int:
        """Turns that no requirement has taken."""
        return self.turns - len(self.required)


def _plan_mosit(
    recipe: BuildRecipe, rng: random.Random, topics: Sequence[str], languages: Sequence[str]
) -> Iterator[DialoguePlan]:
    mixes = allot(rng, normalized(recipe.mixes), recipe.dialogues)
    low, high = recipe.turns
    turns = allot(rng, dict.fromkeys(range(low, high + 1), 1 / (high - low + 1)), recipe.dialogues)
    drafts = [_Draft(MIXES[mix], number) for mix, number in zip(mixes, turns, strict=True)]
    with_media = [draft for draft in drafts if draft.mix]
    for draft in rng.sample(with_media, -(-len(with_media) * round(recipe.both_sides * 1000) // 1000)):
        draft.is_both_sided = True
    _require_intents(recipe, rng, drafts)
    for draft, topic, language in zip(drafts, topics, languages, strict=True):
        yield DialoguePlan(kind="mosit", topic=topic, language=language, turns=_arrange(draft, rng))


def _require_intents(recipe: BuildRecipe, rng: random.Random, drafts: Sequence[_Draft]) -> None:
    """Give each required intent to the planned number of dialogues, those with most free turns first."""
    for intent, share in recipe.contains.items():
        least = {"edit": 1, "implicit": 1, "cross_modal": 2, "refusal": 0}[intent]
        suited = [draft for draft in drafts if len(draft.mix) >= least and draft.free_turns > 0]
        possible = sum(weight for mix, weight in normalized(recipe.mixes).items() if len(MIXES[mix]) >= least)
        if share > possible + 1e-6:
            raise ConfigError(
                f"contains.{intent} is {share}, but only {possible:.2f} of the dialogues have the {least} or more "
                "modalities for it. Lower it, or raise the weights of such mixes."
            )
        count = min(len(suited), -(-round(share * 1000) * len(drafts) // 1000))  # sets of a few dialogues round down
        rng.shuffle(suited)
        suited.sort(key=lambda draft: -draft.free_turns)
        for draft in suited[:count]:
            draft.required.append(intent)


def _arrange(draft: _Draft, rng: random.Random) -> tuple[PlannedTurn, ...]:
    """Draw orders of intents until every modality of the mix occurs, on both sides if that is planned."""
    for _ in range(ATTEMPTS):
        weights = FILLERS if draft.mix else {"chat": 1.0}
        fillers: list[Intent] = rng.choices(list(weights), list(weights.values()), k=draft.free_turns)  # type: ignore[arg-type]
        intents = [*draft.required, *fillers]
        rng.shuffle(intents)
        turns = _assign_media(intents, draft, rng)
        if _fulfils(turns, draft):
            return turns
    raise ConfigError(
        f"A dialogue of {draft.turns} turns with {', '.join(draft.mix) or 'text'} cannot hold "
        f"{', '.join(draft.required)}; expected fewer requirements. Raise turns, or lower contains or both_sides."
    )


def _assign_media(intents: Sequence[Intent], draft: _Draft, rng: random.Random) -> tuple[PlannedTurn, ...]:
    """Choose the media of each turn, those first that the dialogue still lacks."""
    turns: list[PlannedTurn] = []
    seen: list[str] = []  # modalities shown so far

    def choose(names: Sequence[str]) -> str:
        unused = [name for name in names if name not in seen]
        return rng.choice(unused or list(names))

    for intent in intents:
        user: tuple[str, ...] = ()
        assistant: tuple[str, ...] = ()
        if intent in ("request", "implicit"):
            assistant = (choose(draft.mix),)
            if len(draft.mix) > 1 and rng.random() < 0.2:
                assistant += (choose([name for name in draft.mix if name not in assistant]),)
        elif intent == "edit":
            name = choose(draft.mix)
            user = () if name in seen and rng.random() < 0.6 else (name,)
            assistant = (name,)
        elif intent == "cross_modal":
            name = rng.choice(draft.mix)
            user = () if name in seen and rng.random() < 0.5 else (name,)
            assistant = (choose([other for other in draft.mix if other != name]),)
        elif intent == "question":
            user = () if seen and rng.random() < 0.4 else (choose(draft.mix),)
        turns.append(PlannedTurn(intent=intent, user_media=user, assistant_media=assistant))
        seen += [*user, *assistant]
    return tuple(turns)


def _fulfils(turns: Sequence[PlannedTurn], draft: _Draft) -> bool:
    plan = DialoguePlan(kind="mosit", topic="", turns=tuple(turns))
    shows = any(turn.assistant_media for turn in turns)
    sides = plan.has_media_on_both_sides if draft.is_both_sided else not any(turn.user_media for turn in turns)
    # An edit or a question needs an earlier medium, so a one-sided dialogue may show one in its request after all.
    is_excused = not draft.is_both_sided and bool({"edit", "cross_modal"} & set(draft.required))
    return plan.mix == draft.mix and (not draft.mix or (shows and (sides or is_excused)))


# ---- T→T+X and X→T -------------------------------------------------------------------------------------------------


def _plan_single_media(
    recipe: BuildRecipe, rng: random.Random, topics: Sequence[str], languages: Sequence[str]
) -> Iterator[DialoguePlan]:
    """Plan one request for a medium (``t2x``), or questions about a given one (``x2t``)."""
    weights = {mix: weight for mix, weight in recipe.mixes.items() if len(MIXES[mix]) == 1}
    if recipe.corpus is not None:
        chosen = _given_media(recipe, rng, weights)
    elif sum(weights.values()) > 0:
        chosen = [(name, None) for name in allot(rng, normalized(weights), recipe.dialogues)]
    else:
        raise ConfigError(f"mixes: {recipe.kind} needs a positive weight of image, audio or video.")
    low, high = recipe.turns
    for (modality, given), topic, language in zip(chosen, topics, languages, strict=True):
        if recipe.kind == "t2x":
            intent: Intent = "implicit" if rng.random() < recipe.contains.get("implicit", 0) else "request"
            turns: tuple[PlannedTurn, ...] = (PlannedTurn(intent=intent, assistant_media=(modality,)),)
        else:
            questions = [PlannedTurn(intent="question") for _ in range(rng.randint(low, high))]
            turns = (questions[0].model_copy(update={"user_media": (modality,)}), *questions[1:])
        yield DialoguePlan(kind=recipe.kind, topic=topic, language=language, turns=turns, given=given)


def _given_media(
    recipe: BuildRecipe, rng: random.Random, weights: Mapping[str, float]
) -> list[tuple[str, GivenMedium | None]]:
    """Draw captioned media from the corpus, by the weights of their modalities."""
    from nextgpt.data.corpus import read_corpus
    from nextgpt.data.record import media_of

    assert recipe.corpus is not None
    media: dict[str, list[GivenMedium]] = {}
    for record in read_corpus(recipe.corpus, media=recipe.corpus_media).records:
        for medium in media_of(record):
            is_file = medium.byte_range is None and not medium.is_missing
            if medium.caption and (is_file or recipe.kind == "t2x"):
                given = GivenMedium(
                    modality=medium.modality,
                    caption=clean_text(medium.caption),
                    path=str(medium.path.resolve()) if is_file else "",
                    source=medium.source or str(recipe.corpus),
                    licence=medium.licence,
                )
                media.setdefault(medium.modality, []).append(given)
    usable = {name: weights[name] for name in media if weights.get(name, 0) > 0}
    if not usable:
        raise ConfigError(
            f"{recipe.corpus} has no captioned {', '.join(weights)} that {recipe.kind} can use; expected captions"
            f"{' with media files' if recipe.kind == 'x2t' else ''}. Name another corpus, or unpack its tars."
        )
    names = allot(rng, normalized(usable), recipe.dialogues)
    queues = {name: shuffled(rng, media[name], names.count(name)) for name in usable}
    return [(name, queues[name].pop()) for name in names]
