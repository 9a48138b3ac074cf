"""Plans hold the shares of the recipe exactly."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from nextgpt.data.build.estimate import estimate_build
from nextgpt.data.build.plan import load_topics, plan_dialogues
from nextgpt.data.build.recipe import MIXES, BuildRecipe, read_build_recipe
from nextgpt.errors import ConfigError

ROOT = Path(__file__).parents[3]


@pytest.mark.parametrize("seed", range(5))
def test_a_plan_holds_every_share(make_recipe: Callable[..., BuildRecipe], seed: int) -> None:
    recipe = make_recipe(dialogues=80, seed=seed, languages={"en": 3, "de": 1})
    plans = [row.plan for row in plan_dialogues(recipe)]
    assert Counter(plan.mix for plan in plans) == dict.fromkeys(MIXES.values(), 10)
    assert Counter(plan.language for plan in plans) == {"en": 60, "de": 20}
    assert Counter(len(plan.turns) for plan in plans) == dict.fromkeys(range(3, 8), 16)
    with_media = [plan for plan in plans if plan.mix]
    assert sum(plan.has_media_on_both_sides for plan in with_media) >= 0.7 * len(with_media)
    for intent, share in recipe.contains.items():
        assert sum(any(turn.intent == intent for turn in plan.turns) for plan in plans) >= share * len(plans)


def test_media_have_what_they_refer_to(make_recipe: Callable[..., BuildRecipe]) -> None:
    for row in plan_dialogues(make_recipe(dialogues=80)):
        seen: set[str] = set()
        for turn in row.plan.turns:
            seen |= set(turn.user_media)
            if turn.intent == "edit":
                assert turn.assistant_media[0] in seen
            if turn.intent in ("question", "cross_modal"):
                assert seen
            if turn.intent in ("question", "refusal", "chat"):
                assert not turn.assistant_media
            seen |= set(turn.assistant_media)


def test_a_plan_depends_on_recipe_and_seed_only(make_recipe: Callable[..., BuildRecipe]) -> None:
    assert plan_dialogues(make_recipe()) == plan_dialogues(make_recipe())
    assert plan_dialogues(make_recipe()) != plan_dialogues(make_recipe(seed=1))


def test_impossible_shares_are_refused(make_recipe: Callable[..., BuildRecipe]) -> None:
    with pytest.raises(ConfigError, match="contains.cross_modal is 0.9"):
        plan_dialogues(make_recipe(mixes={"image": 1}, contains={"cross_modal": 0.9}))


def test_there_are_more_than_100_topics_and_users_bring_their_own(tmp_path: Path) -> None:
    assert len(set(load_topics(()))) == len(load_topics(())) > 100
    (tmp_path / "own.txt").write_text("stamps\n\ncoins\n")
    (tmp_path / "own.yaml").write_text("garden: [roses]\n")
    assert load_topics([str(tmp_path / "own.txt"), "kites", str(tmp_path / "own.yaml")]) == [
        "stamps", "coins", "kites", "roses",
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="no topic"):
        (tmp_path / "none.txt").write_text("\n")
        load_topics([str(tmp_path / "none.txt")])


def test_a_dry_run_estimates_tokens_and_price(make_recipe: Callable[..., BuildRecipe]) -> None:
    recipe = make_recipe()
    estimate = estimate_build(plan_dialogues(recipe), recipe)
    assert estimate.dialogues == 8 and sum(estimate.mixes.values()) == 8
    assert estimate.price == pytest.approx((estimate.input_tokens + 4 * estimate.output_tokens) / 1e6, abs=1e-4)


@pytest.mark.parametrize("path", sorted((ROOT / "recipes" / "data").glob("*.yaml")), ids=lambda path: path.stem)
def test_recipes_are_valid_and_begin_with_their_command(path: Path) -> None:
    read_build_recipe(path)
    assert path.read_text().splitlines()[0] == f"# nextgpt data build {path.relative_to(ROOT)}"


def test_recipes_in_the_document_are_valid(tmp_path: Path) -> None:
    text = (ROOT / "docs" / "data-building.md").read_text()
    recipes = re.findall(r"^```yaml\n(# \w+\.yaml\n.*?)^```", text, flags=re.S | re.M)
    assert recipes
    for recipe in recipes:
        (tmp_path / "recipe.yaml").write_text(recipe)
        read_build_recipe(tmp_path / "recipe.yaml")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"mixes": {"smell": 1}}, "smell"),
        ({"turns": (7, 3)}, "turns"),
        ({"kind": "x2t"}, "corpus"),
        ({"media": {"mode": "retrieve"}}, "media.index"),
        ({"languages": {"en": 0}}, "languages"),
    ],
)
def test_wrong_recipes_are_refused(make_recipe: Callable[..., BuildRecipe], settings: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_recipe(**settings)
