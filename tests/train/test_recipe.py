"""Recipes: what they may say, what is wrong with them, and that none is run twice."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from nextgpt.errors import ConfigError, ModelError
from nextgpt.nano import autoencoder
from nextgpt.train.recipe import BaseRecipe, read_recipe, run_recipe
from nextgpt.train.registry import RECIPE_KINDS, check_arguments, load_recipe_kind, require_component

RECIPES = sorted(path for path in (Path(__file__).parents[2] / "recipes").rglob("*.yaml") if path.parent.name != "data")
SETTINGS = {
    "kind": "autoencoder",
    "modality": "image",
    "model": "model",
    "work": "work",
    "architecture": {"latent_channels": 4},
    "fit": {"max_steps": 10, "batch_size": 2},
}


def write(path: Path, **settings: object) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(yaml.safe_dump(settings))
    return path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return write(tmp_path / "recipe.yaml", **SETTINGS)


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_recipe_is_valid_and_its_first_line_is_the_command_that_runs_it(recipe: Path) -> None:
    read_recipe(recipe)
    root = Path(__file__).parents[2]
    assert recipe.read_text().splitlines()[0] == f"# nextgpt train {recipe.relative_to(root)}"


@pytest.mark.parametrize("family", ["nano", "small"])
def test_every_recipe_of_an_embedded_model_has_a_smoke_recipe_of_the_same_kind(family: str) -> None:
    full = {path.name: path for path in RECIPES if path.parent.name == family}
    smoke = {path.name: path for path in RECIPES if path.parts[-3:-1] == (family, "smoke")}
    assert full and full.keys() == smoke.keys()
    for name, recipe in full.items():
        whole, tiny = read_recipe(recipe), read_recipe(smoke[name])
        assert (tiny.kind, tiny.work.name) == (whole.kind, whole.work.name)
        assert tiny.model != whole.model and tiny.work != whole.work


def test_overrides_reach_nested_settings_with_values_of_yaml(path: Path) -> None:
    recipe = read_recipe(
        path, ["fit.max_steps=20", "fit.ema_decay=0.9", "fit.muon_learning_rate=null", "model=elsewhere"]
    )
    assert (recipe.fit.max_steps, recipe.fit.ema_decay, recipe.fit.muon_learning_rate) == (20, 0.9, None)
    assert recipe.model == Path("elsewhere")


def test_a_recipe_says_only_what_differs_from_its_base(path: Path) -> None:
    folder = path.parent / "sub"
    middle = write(folder / "middle.yaml", base="../recipe.yaml", fit={"batch_size": 8}, work="other")
    top = write(folder / "top.yaml", base="middle.yaml", fit={"max_steps": 1}, architecture={"widths": [8, 8]})
    recipe = read_recipe(top)
    assert (recipe.fit.max_steps, recipe.fit.batch_size) == (1, 8)
    assert (recipe.model, recipe.work) == (Path("model"), Path("other"))
    assert recipe.architecture == {"latent_channels": 4, "widths": [8, 8]}
    assert read_recipe(middle).fit.max_steps == 10


def test_a_recipe_that_is_its_own_base_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "a.yaml", base="b.yaml")
    write(tmp_path / "b.yaml", base="a.yaml")
    with pytest.raises(ConfigError, match=r"its own base \(a\.yaml -> b\.yaml -> a\.yaml\).* a chain that ends"):
        read_recipe(tmp_path / "a.yaml")


def test_a_base_that_is_missing_is_named_with_who_asked_for_it(tmp_path: Path) -> None:
    asks = write(tmp_path / "a.yaml", base="nowhere.yaml")
    with pytest.raises(ConfigError, match=rf"nowhere\.yaml is not a file, which {asks} names as its base"):
        read_recipe(asks)


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (["fit.max_stepz=3"], "Did you mean 'fit.max_steps'?"),
        (["modlity=image"], "Did you mean 'modality'?"),
        (["fitt.steps=3"], "Did you mean 'fit'?"),
        (["fit.max_steps"], "expected key=value"),
        (["fit.max_steps=many"], "fit.max_steps: got 'many'; expected a valid integer."),
        (["fit.max_steps=0"], "fit.max_steps: got 0; expected a value greater than 0."),
        (["fit.learning_rate=-1"], "fit.learning_rate: got -1; expected a value greater than or equal to 0."),
        (["fit.max_steps=[1"], "is not YAML"),
        (["kind=autoencode"], "Did you mean 'autoencoder'?"),
        (["modality=smell"], "modality: got 'smell'; expected 'image', 'audio' or 'video'."),
    ],
)
def test_a_wrong_setting_is_named_with_the_nearest_known_one(overrides: list[str], said: str, path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        read_recipe(path, overrides)
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("text", "said"), [("[1, 2]", "holds a list"), ("a: [", "is not YAML"), ("", "holds a NoneType")]
)
def test_a_file_that_is_no_recipe_is_refused(text: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_recipe(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"missing\.yaml is not a file; expected a recipe"):
        read_recipe(tmp_path / "missing.yaml")


def test_a_recipe_is_run_once_and_again_when_it_or_its_part_changed(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained: list[int] = []

    def train(recipe: BaseRecipe, on_metrics: object) -> bool:
        recipe.output_dir.mkdir(parents=True, exist_ok=True)
        trained.append(recipe.fit.max_steps)
        return True

    monkeypatch.setattr(autoencoder, "run", train)
    at = [f"model={tmp_path / 'model'}", f"work={tmp_path / 'work'}"]
    assert run_recipe(read_recipe(path, at))
    assert not run_recipe(read_recipe(path, at))
    assert run_recipe(read_recipe(path, [*at, "fit.max_steps=11"]))
    (tmp_path / "model" / "image" / "vae").rmdir()
    assert run_recipe(read_recipe(path, [*at, "fit.max_steps=11"]))
    assert trained == [10, 11, 11]


def test_a_recipe_that_was_stopped_is_not_done(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model" / "image" / "vae").mkdir(parents=True)
    monkeypatch.setattr(autoencoder, "run", lambda recipe, on_metrics: False)
    recipe = read_recipe(path, [f"model={tmp_path / 'model'}", f"work={tmp_path / 'work'}"])
    for _ in range(2):
        with pytest.raises(SystemExit, match="0"):
            run_recipe(recipe)


@pytest.mark.parametrize("kind", RECIPE_KINDS)
def test_every_kind_has_a_config_of_its_own_name(kind: str) -> None:
    module = load_recipe_kind(kind)
    assert module.Config.model_fields["kind"].annotation.__args__ == (kind,)
    assert callable(module.run) and callable(module.count_parameters)


def test_a_recipe_that_broke_off_is_run_again(path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "model" / "image" / "vae").mkdir(parents=True)

    def fail(recipe: BaseRecipe, on_metrics: object) -> bool:
        raise KeyboardInterrupt

    monkeypatch.setattr(autoencoder, "run", fail)
    recipe = read_recipe(path, [f"model={tmp_path / 'model'}", f"work={tmp_path / 'work'}"])
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            run_recipe(recipe)


def test_settings_that_a_network_does_not_take_are_refused() -> None:
    from diffusers import CogVideoXTransformer3DModel
    from transformers import LlamaConfig

    from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder

    for kind, good, bad in (
        (PatchAutoencoder, "widths", "width"),
        (CogVideoXTransformer3DModel, "num_layers", "num_layer"),
        (LlamaConfig, "hidden_size", "hiden_size"),  # transformers itself would ignore it
    ):
        check_arguments(kind, {good: 1}, where="architecture")
        with pytest.raises(ConfigError, match=rf"architecture: setting '{bad}' is unknown.*Did you mean '{good}'"):
            check_arguments(kind, {bad: 1}, where="architecture")


def test_a_part_that_is_built_on_must_be_there(tmp_path: Path) -> None:
    assert require_component(tmp_path) == tmp_path
    with pytest.raises(ModelError, match=r"vae is missing; expected a trained component"):
        require_component(tmp_path / "vae")
