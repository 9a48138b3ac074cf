"""The adapter for lmms-eval: with stand-ins for two of its classes, and in a run of it where it is installed."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
import types
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import PIL.Image
import pytest

import nextgpt
from nextgpt.message import Conversation, Image, Reply, Sampling, Text
from nextgpt.testing.scripted_model import tiny_audio, tiny_image


@dataclass
class FakeModel:
    """Draws if it is asked to, and records what it received."""

    conversations: list[Conversation]
    samplings: list[Sampling]

    def chat_batch(self, conversations: Sequence[Conversation], samplings: Sequence[Sampling]) -> list[Reply]:
        self.conversations += conversations
        self.samplings += samplings
        return [
            Reply((Text("Here."), tiny_image(), tiny_audio()) if "Draw" in one.messages[-1].text else (Text("A car."),))
            for one in conversations
        ]


@dataclass(frozen=True)
class Request:
    """Stand-in for lmms-eval's Instance."""

    args: tuple[Any, ...]


@dataclass(frozen=True)
class Manifest:
    """Stand-in for lmms-eval's entry of its registry."""

    model_id: str
    simple_class_path: str


@pytest.fixture
def fake() -> FakeModel:
    """The model behind the adapter."""
    return FakeModel([], [])


@pytest.fixture
def adapter(fake: FakeModel, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The module, with stand-ins for the classes that it takes from lmms-eval and for the model."""
    names = ("lmms_eval", "lmms_eval.api", "lmms_eval.api.model", "lmms_eval.models", "lmms_eval.models.registry_v2")
    for name in names:
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules[names[2]].lmms = type("lmms", (), {"__init__": lambda self: None})  # type: ignore[attr-defined]
    sys.modules[names[4]].ModelManifest = Manifest  # type: ignore[attr-defined]
    model = type("NextGPT", (), {"from_pretrained": staticmethod(lambda name, **options: fake)})
    monkeypatch.setattr(nextgpt, "NextGPT", model, raising=False)
    monkeypatch.delitem(sys.modules, "nextgpt.evaluate.lmms_eval", raising=False)
    yield importlib.import_module("nextgpt.evaluate.lmms_eval")
    sys.modules.pop("nextgpt.evaluate.lmms_eval", None)


def requests(tmp_path: Path) -> tuple[dict[str, Any], list[Request]]:
    """Return documents and requests about them: a drawing, and a question about two images."""
    tiny_image().save(tmp_path / "a.png")
    documents = [{"visual": []}, {"visual": [PIL.Image.new("RGBA", (4, 4)), str(tmp_path / "a.png")]}]

    def request(text: str, number: int, settings: dict[str, Any]) -> Request:
        return Request((text, settings, lambda document: document["visual"], number, "task", "test"))

    asked = [request("Draw a cat.", 0, {"max_new_tokens": 16}), request("What is this?", 1, {"until": ["\n"]})]
    return {"task": {"test": documents}}, asked


def test_replies_with_media_are_json_and_others_are_text(adapter: Any, fake: FakeModel, tmp_path: Path):
    model = adapter.NextGPTModel("nano", out=str(tmp_path / "media"), batch_size="2", seed=3)
    model.task_dict, asked = requests(tmp_path)
    drawn, text = model.generate_until(asked)
    content = json.loads(drawn)
    assert content["text"] == "Here." and text == "A car."
    assert [Path(path).suffix for path in (*content["images"], *content["audios"])] == [".png", ".wav"]
    assert all(Path(path).is_file() for path in (*content["images"], *content["audios"]))
    assert [type(part) for part in fake.conversations[1].messages[0].parts] == [Image, Image, Text]
    assert [sampling.max_tokens for sampling in fake.samplings] == [16, adapter.MAX_TOKENS]
    assert {sampling.seed for sampling in fake.samplings} == {3}


def test_media_of_tasks_are_converted(adapter: Any, tmp_path: Path):
    decoded = adapter.to_medium({"array": [0.0, 0.5], "sampling_rate": 8000})
    assert (decoded.sample_rate_hz, decoded.samples.shape) == (8000, (1, 2))
    tiny_audio().save(tmp_path / "a.wav")
    assert adapter.to_medium(tmp_path / "a.wav").modality == "audio"
    with pytest.raises(TypeError, match="int is no medium"):
        adapter.to_medium(3)


def test_the_entry_point_names_the_class(adapter: Any):
    manifest = adapter.manifest()
    module, _, cls = manifest.simple_class_path.rpartition(".")
    assert manifest.model_id == "nextgpt" and getattr(importlib.import_module(module), cls) is adapter.NextGPTModel
    pyproject = (Path(__file__).parents[2] / "pyproject.toml").read_text()
    assert 'nextgpt = "nextgpt.evaluate.lmms_eval:manifest"' in pyproject


TASK = """
task: nextgpt_draw
dataset_path: json
dataset_kwargs: {{data_files: {{test: {folder}/draw.jsonl}}}}
test_split: test
output_type: generate_until
doc_to_visual: !function draw_utils.doc_to_visual
doc_to_text: !function draw_utils.doc_to_text
doc_to_target: prompt
process_results: !function draw_utils.process_results
generation_kwargs: {{max_new_tokens: 64}}
metric_list: [{{metric: has_image, aggregation: mean, higher_is_better: true}}]
metadata: [{{version: 0.0}}]
"""
FUNCTIONS = """
import json, os
def doc_to_visual(doc): return []
def doc_to_text(doc, lmms_eval_specific_kwargs=None): return doc["prompt"]
def process_results(doc, results):
    return {"has_image": float(all(os.path.exists(path) for path in json.loads(results[0])["images"]))}
"""


@pytest.mark.slow
@pytest.mark.skipif(find_spec("lmms_eval") is None, reason="needs lmms-eval; pip install it into an own environment")
def test_lmms_eval_runs_a_local_task_of_generation(tmp_path: Path):
    (tmp_path / "draw.yaml").write_text(TASK.format(folder=tmp_path))
    (tmp_path / "draw_utils.py").write_text(FUNCTIONS)
    (tmp_path / "draw.jsonl").write_text('{"prompt": "Draw a yellow car on the right on grass."}\n')
    options = ["--model_args", f"pretrained=nano,out={tmp_path / 'media'}", "--include_path", str(tmp_path)]
    command = [sys.executable, "-m", "lmms_eval", "--model", "nextgpt", "--tasks", "nextgpt_draw", *options]
    done = subprocess.run(command, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr[-2000:]
    assert "has_image" in done.stdout and len(list((tmp_path / "media").glob("**/*.png"))) == 1
