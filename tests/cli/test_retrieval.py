"""``--index`` and ``--via`` of a chat, ``data index`` and ``data calibrate``."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from nextgpt.cli.app import main
from nextgpt.cli.repl import Chat
from nextgpt.cli.retrieval import RetrievalOptions
from nextgpt.errors import ConfigError
from nextgpt.message import Attribution, MediumFinished, Reply, ReplyFinished, Sampling
from nextgpt.model.nextgpt import NextGPT
from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.retrieval import FakeIndex
from nextgpt.testing.scripted_model import ScriptedModel, tiny_image

Printed = pytest.CaptureFixture[str]


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("corpus")
    colours = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}
    rows = []
    for name, colour in colours.items():
        tiny_image(colour).save(folder / f"{name}.png")
        rows.append({"id": name, "pair": {"type": "image", "path": f"{name}.png", "caption": f"a {name} square"}})
    (folder / "own.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder / "own.jsonl"


@pytest.fixture(scope="module")
def index_dir(corpus: Path, model_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("index")
    assert main(["data", "index", str(corpus), "--out", str(out), "--model", str(model_dir), "--licence", "CC0"]) == 0
    return out


def test_an_index_is_built_and_searched(corpus: Path, index_dir: Path, model_dir: Path, capsys: Printed) -> None:
    arguments = [str(corpus), "--out", str(index_dir), "--model", str(model_dir), "--licence", "CC0"]
    assert main(["data", "index", *arguments, "--query", "a blue square", "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["items"] == {"image": 3}
    assert (printed["found"][0]["caption"], printed["found"][0]["licence"]) == ("a blue square", "CC0")


def test_a_chat_takes_its_image_from_the_index(
    index_dir: Path, model_dir: Path, tmp_path: Path, capsys: Printed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tiny model draws only if it is made to, so that its reply has an image."""
    chat = NextGPT.chat
    forced = Sampling(modalities=("image",), max_tokens=4)
    monkeypatch.setattr(NextGPT, "chat", lambda model, content, _, **options: chat(model, content, forced, **options))
    arguments = ["chat", str(model_dir), "--once", "Draw.", "--index", str(index_dir), "--out", str(tmp_path), "--json"]
    assert main(arguments) == 0
    [part] = [part for part in json.loads(capsys.readouterr().out)["parts"] if part["type"] == "image"]
    assert part["attribution"]["caption"].endswith("square")
    assert part["attribution"]["licence"] == "CC0"
    assert Path(part["path"]).is_file()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--via", "retrieve"], "--via retrieve needs an index"),
        (["--index", "nowhere"], "nowhere holds no index"),
        (["--via", "cascade", "--index", "nowhere"], "--via cascade uses no index"),
    ],
)
def test_options_that_cannot_work_are_one_line(
    arguments: list[str], message: str, model_dir: Path, capsys: Printed
) -> None:
    assert main(["chat", str(model_dir), "--once", "hi", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_a_chat_by_the_cascade_needs_no_index(model_dir: Path, tmp_path: Path, capsys: Printed) -> None:
    arguments = ["chat", str(model_dir), "--once", "Hi", "--via", "cascade", "--out", str(tmp_path), "--json"]
    assert main(arguments) == 0
    assert set(json.loads(capsys.readouterr().out)) == {"model", "seed", "parts", "dropped", "timings_s"}


def test_auto_needs_a_calibrated_index(index_dir: Path, model_dir: Path) -> None:
    with pytest.raises(ConfigError, match="nextgpt data calibrate"):
        RetrievalOptions(index_dir, "auto").open_index(str(model_dir))


def test_the_default_follows_the_index() -> None:
    assert RetrievalOptions().resolve_via(None) == "generate"
    assert RetrievalOptions(Path()).resolve_via(FakeIndex()) == "retrieve"
    assert RetrievalOptions(Path()).resolve_via(FakeIndex(thresholds={"image": 0.5})) == "auto"
    assert RetrievalOptions(Path(), "generate").resolve_via(FakeIndex()) == "generate"


def test_a_retrieved_medium_is_shown_with_source_and_licence(paper, tmp_path: Path) -> None:
    attribution = Attribution("7", "a cat", "a shelf\x1b[2J", "", 0.8)
    image = tiny_image()
    paper.output().stream(iter([MediumFinished(image, attribution), ReplyFinished(Reply((image,)))]), tmp_path)
    assert "[retrieved: a cat; source: a shelf[2J; licence: unknown]" in paper.out.getvalue()


@pytest.mark.parametrize(("name", "is_known"), [("nano", True), ("elsewhere", False)])
def test_help_says_what_an_embedded_model_knows(name: str, is_known: bool, paper, tmp_path: Path) -> None:
    Chat(ScriptedModel, paper.output(), tmp_path, Sampling(), name=name).run(["/help"])
    assert ("objects (" in paper.out.getvalue()) == is_known
