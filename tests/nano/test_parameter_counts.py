"""What a recipe would train is told without training it."""

from __future__ import annotations

from pathlib import Path

import pytest

from nextgpt.errors import ModelError
from nextgpt.testing.model import tiny_model, write_tiny_model
from nextgpt.train.parameter_report import ParameterCount
from nextgpt.train.recipe import read_recipe
from nextgpt.train.registry import load_recipe_kind

NANO = Path(__file__).parents[2] / "recipes" / "nano"
TINY = ["lora={rank: 2, targets: [q_proj, v_proj]}", "data={miniworld: {}}"]


def shares(name: str, model: Path, *overrides: str) -> dict[str, ParameterCount]:
    recipe = read_recipe(NANO / f"{name}.yaml", [f"model={model}", *overrides])
    counts = load_recipe_kind(recipe.kind).count_parameters(recipe)
    return {count.component: count for count in counts}


@pytest.mark.parametrize(
    ("name", "parts"),
    [
        ("1-image-autoencoder", ["encoder", "decoder"]),
        ("3-language-model", ["llm"]),
        ("4-encoder", ["vision tower", "text tower", "audio tower"]),
    ],
)
def test_a_part_made_from_nothing_is_trained_as_a_whole(name: str, parts: list[str], tmp_path: Path) -> None:
    told = shares(name, tmp_path)
    assert list(told) == parts
    assert all(share.trained > 0 and share.frozen == 0 for share in told.values())


def test_a_diffusion_model_is_trained_around_a_frozen_autoencoder(tmp_path: Path) -> None:
    from nextgpt.model.synthesis.patch_autoencoder import PatchAutoencoder

    with pytest.raises(ModelError, match=r"image/vae is missing; expected a trained component"):
        shares("2-image-diffusion", tmp_path)
    autoencoder = PatchAutoencoder(widths=(8, 8), encoder_layers=(1, 1), decoder_layers=(1, 1))
    autoencoder.save_pretrained(tmp_path / "image" / "vae")
    told = shares("2-image-diffusion", tmp_path)
    assert {part: share.trained > 0 for part, share in told.items()} == {
        "text_encoder": True, "transformer": True, "vae": False
    }  # fmt: skip
    assert told["vae"].frozen == sum(parameter.numel() for parameter in autoencoder.parameters())


def test_an_alignment_tells_what_its_stage_trains_and_all_that_stays_frozen(tmp_path: Path) -> None:
    write_tiny_model(tmp_path)
    stages = ("5-encoding-alignment", "6-decoding-alignment", "7-instruction-tuning")
    told = {stage: shares(stage, tmp_path, *TINY) for stage in stages}
    trained = {stage: {part for part, share in of.items() if share.trained} for stage, of in told.items()}
    outputs = {f"output_projection.{modality}" for modality in ("image", "audio", "video")}
    assert trained == {
        stages[0]: {"input_projection"},
        stages[1]: {"signal_tokens", *outputs},
        stages[2]: {"input_projection", "signal_tokens", "llm, with LoRA", *outputs},
    }
    model = tiny_model()
    llm = sum(parameter.numel() for parameter in model.llm.transformer.parameters())
    encoder = sum(parameter.numel() for parameter in model.encoder.parameters())
    for of in told.values():
        assert of["encoder"] == ParameterCount("encoder", 0, encoder)
        assert next(share for part, share in of.items() if part.startswith("llm")).frozen == llm
        assert {"image.transformer", "audio.vae", "video.text_encoder"} <= of.keys()
