"""The real shapes with random weights: every part works once, without weights on disk, and only one is in memory."""

from __future__ import annotations

import gc
import json
import weakref

import pytest
import torch
from benchmarks.random_weights import random_module as random_modules
from benchmarks.random_weights import turn_cost
from benchmarks.random_weights.random_module import random_module
from benchmarks.random_weights.run import main
from benchmarks.random_weights.turn_cost import measure_turn, to_markdown
from tests.model.synthesis.families import write_tiny_audioldm, write_tiny_stable_diffusion, write_tiny_zeroscope
from torch import nn

from nextgpt.config import read_config, write_config
from nextgpt.errors import ModelError
from nextgpt.testing.model import write_tiny_model


@pytest.fixture(scope="module")
def configs(tmp_path_factory):
    """A tiny model with the paper's kinds of synthesizers, its weights removed."""
    folder = write_tiny_model(tmp_path_factory.mktemp("model") / "tiny")
    config = read_config(folder)
    rows = dict(config.synthesizers)
    writers = (
        ("image", write_tiny_stable_diffusion, 77),
        ("audio", write_tiny_audioldm, 1),
        ("video", write_tiny_zeroscope, 77),
    )
    for modality, write, queries in writers:
        write(folder / f"{modality}-2")
        projection = rows[modality].output_projection.model_copy(update={"queries": queries, "condition_width": 16})
        source = rows[modality].source.model_copy(update={"path": f"{modality}-2"})
        rows[modality] = rows[modality].model_copy(update={"source": source, "output_projection": projection})
    write_config(config.model_copy(update={"synthesizers": rows}), folder)
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    return folder


def test_every_part_works_once_without_weights(configs):
    turn = measure_turn("tiny", configs)
    assert [part.name for part in turn.components] == [
        "encoder", "llm.first_token", "llm.token",
        *(f"{m}.{part}" for m in ("image", "audio", "video") for part in ("denoiser", "decoder")),
    ]  # fmt: skip
    assert all(part.parameters > 0 and part.run_s > 0 and part.roofline_s > 0 for part in turn.components)
    assert turn.components[1].dtype == "bfloat16"
    assert turn.components[1].weights_gb == pytest.approx(2 * turn.components[1].parameters / 1e9)
    assert "llm" in to_markdown(turn)


def test_only_one_part_is_in_memory_at_a_time(configs, monkeypatch):
    projections = ("LinearProjection", "QueryTransformer")
    alive: list[weakref.ref] = []

    def watched(build, dtype, device):
        module = random_module(build, dtype, device)
        if type(module).__name__ not in projections:
            gc.collect()
            assert [ref for ref in alive if ref() is not None] == []
            alive.append(weakref.ref(module))
        return module

    monkeypatch.setattr(turn_cost, "random_module", watched)
    measure_turn("tiny", configs)
    assert len(alive) == 8


def test_the_peak_is_each_parts_own_and_arithmetic_is_counted(configs):
    turn = measure_turn("tiny", configs)
    assert all(part.tflop > 0 for part in turn.components)
    first, token = turn.components[1:3]
    assert token.tflop < first.tflop and token.parameters == first.parameters
    assert all(
        part.roofline_s
        == pytest.approx(max(part.weights_gb / turn.bandwidth_gb_s, part.tflop / turn.tflop_s[part.dtype]))
        for part in turn.components
    )


def test_the_peak_starts_again_with_every_part():
    turn_cost._reset_peak("cpu")
    before = turn_cost._peak_gb("cpu")
    held = torch.ones(50_000_000)
    assert turn_cost._peak_gb("cpu") > before + 0.15
    del held
    turn_cost._reset_peak("cpu")
    assert turn_cost._peak_gb("cpu") < before + 0.1


def test_weights_are_random_and_norms_are_one():
    module = random_module(lambda: nn.Sequential(nn.Linear(2000, 2000), nn.LayerNorm(4)), torch.bfloat16, "cpu")
    weight = module[0].weight
    assert weight.dtype == torch.bfloat16 and 0.01 < weight.float().std() < 0.03
    assert not module[0].bias.any() and bool((module[1].weight == 1).all())


def test_a_component_that_does_not_fit_is_refused_before_it_is_allocated(configs, monkeypatch):
    monkeypatch.setattr(random_modules, "available_bytes", lambda: 1000)
    with pytest.raises(ModelError, match=r"ImageBind needs 0.0 GB; 0.0 GB of memory are free. Stop other"):
        measure_turn("tiny", configs)


def test_the_command_prints_one_json_object(configs, capsys):
    main(str(configs), json=True)
    cost = json.loads(capsys.readouterr().out)
    assert cost["peak_gb"] > 0 and len(cost["components"]) == 9
