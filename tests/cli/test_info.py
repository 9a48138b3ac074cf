from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from nextgpt.cli.app import main
from nextgpt.config import LoraConfig, read_config
from nextgpt.model.llm import lora
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.summary import count_parameters, lora_parameters, summarize_model
from nextgpt.model.trained_weights import trained_state_dict
from nextgpt.testing.language_model import tiny_language_model
from nextgpt.testing.model import write_tiny_model

Printed = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("models") / "tiny")


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """A copy that a test may harm."""
    return Path(shutil.copytree(written, tmp_path / "tiny"))


def _info(folder: Path, capsys: Printed) -> dict:
    assert main(["info", str(folder), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def test_json_names_every_part_in_the_promised_form(written: Path, capsys: Printed) -> None:
    told = _info(written, capsys)
    assert list(told) == ["model", "parts", "parameters", "trainable"]
    assert [part["name"] for part in told["parts"]] == [
        "encoder", "input_projection", "llm", "llm.signals",
        "output_projection.image", "output_projection.audio", "output_projection.video",
        *(f"{modality}.{part}" for modality in ("image", "audio", "video")
          for part in ("transformer", "vae", "text_encoder")),
    ]  # fmt: skip
    fields = ["name", "class", "parameters", "trainable", "dtype", "source", "licence"]
    assert all(list(part)[:7] == fields for part in told["parts"])
    assert [part["name"] for part in told["parts"] if len(part) > 7] == ["encoder"]
    assert told["parameters"] == sum(part["parameters"] for part in told["parts"])


def test_the_counts_are_those_of_the_loaded_model(written: Path) -> None:
    rows = {row.name: row for row in summarize_model(read_config(written), written)}
    model = NextGPT.from_pretrained(written)
    assert rows["encoder"].parameters == count_parameters(model.encoder)
    assert rows["llm"].parameters == count_parameters(model.llm.transformer)
    assert rows["image.transformer"].parameters == count_parameters(model.synthesizer("image").components.denoiser)
    assert sum(row.trainable for row in rows.values()) == sum(t.numel() for t in trained_state_dict(model).values())


def test_the_count_of_lora_is_that_of_real_adapters() -> None:
    settings = LoraConfig(rank=3, targets=("q_proj", "down_proj"))
    llm = tiny_language_model().transformer
    told = lora_parameters(llm, settings)
    lora.inject(llm, rank=3, alpha=3, dropout=0.0, targets=settings.targets)
    assert told == sum(tensor.numel() for tensor in lora.adapter_state_dict(llm).values())


def test_no_weights_are_needed(folder: Path, capsys: Printed) -> None:
    whole = _info(folder, capsys)
    for path in folder.rglob("*.safetensors"):
        path.unlink()
    assert _info(folder, capsys)["parts"] == whole["parts"]


def test_the_licence_is_that_of_the_model_card(folder: Path, capsys: Printed) -> None:
    (folder / "README.md").write_text("---\ntags: [a]\nlicense: mit\n---\n# Tiny\n")
    (folder / "llm" / "README.md").write_text('---\nlicense: "apache-2.0"\n---\n')
    (folder / "encoder" / "README.md").write_text("license: gpl\n")
    licences = {part["name"]: part["licence"] for part in _info(folder, capsys)["parts"]}
    assert (licences["llm"], licences["encoder"], licences["llm.signals"]) == ("apache-2.0", "mit", "mit")


def test_the_dtype_is_that_of_the_weights_on_disk(folder: Path, capsys: Printed) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    path = folder / "encoder" / "model.safetensors"
    save_file({name: tensor.to(torch.float16) for name, tensor in load_file(path).items()}, path)
    dtypes = {part["name"]: part["dtype"] for part in _info(folder, capsys)["parts"]}
    assert (dtypes["encoder"], dtypes["llm"]) == ("float16", "float32")


def test_the_table_shows_every_part_and_the_totals(written: Path, capsys: Printed) -> None:
    assert main(["info", str(written)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 1 + 16 + 2 + 1  # the encoder's two towers have lines of their own
    assert lines[0].split() == ["name", "class", "parameters", "trainable", "dtype", "source", "licence"]


@pytest.mark.parametrize("harmed", ["config.json", "llm/config.json", "image/model_index.json", "encoder/config.json"])
def test_a_missing_config_is_status_2(harmed: str, folder: Path, capsys: Printed) -> None:
    (folder / harmed).unlink()
    assert main(["info", str(folder), "--json"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and printed.err.count("\n") == 1


def test_damaged_weights_are_status_2(folder: Path, capsys: Printed) -> None:
    path = folder / "llm" / "model.safetensors"
    path.write_bytes(path.read_bytes()[:20])
    assert main(["info", str(folder)]) == 2
    assert "model.safetensors is damaged" in capsys.readouterr().err


def test_an_unknown_model_is_status_2_and_the_nearest_is_named(capsys: Printed) -> None:
    assert main(["info", "nanoo"]) == 2
    assert "Did you mean 'nano'?" in capsys.readouterr().err


def test_the_plan_within_a_budget_is_shown(written: Path, capsys: Printed) -> None:
    assert main(["info", str(written), "--max-memory", "1GB", "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)["plan"]
    assert list(plan["parts"]) == ["encoder", "trained", "llm", "image", "audio", "video"]
    assert plan["parts"]["llm"]["dtype"] == "float32" and plan["parts"]["llm"]["offload_to"] == "none"
    assert 0.5 < plan["peak_gb"] < 0.6
    assert main(["info", str(written), "--dtype", "llm=int4", "--dtype", "image=bfloat16"]) == 0
    shown = capsys.readouterr().out
    assert "int4" in shown and "while inactive" in shown


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--max-memory", "1MB"], "needs at least 0.5 GB"),
        (["--max-memory", "lots"], "expected a number with a unit"),
        (["--dtype", "llm=int5"], "type 'int5' is unknown"),
        (["--dtype", "int4", "--dtype", "llm=int4"], "expected one value for all components, or COMPONENT=VALUE"),
    ],
)
def test_a_plan_that_cannot_be_is_status_2(options: list[str], told: str, written: Path, capsys: Printed) -> None:
    assert main(["info", str(written), *options]) == 2
    said = capsys.readouterr().err
    assert told in said and said.count("\n") == 1
