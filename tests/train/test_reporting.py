"""What a run shows: metrics to trackers, samples of the model in training, a card; and what it says when it fails."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from nextgpt import NextGPT
from nextgpt.errors import ConfigError
from nextgpt.message import Reply, Text
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video
from nextgpt.train.align import run
from nextgpt.train.alignment_recipe import AlignmentRecipe, load_sources
from nextgpt.train.model_card import CARD_FILE
from nextgpt.train.sample_callback import sample_requests

Make = Callable[..., AlignmentRecipe]
Losses = Callable[[AlignmentRecipe], list[float]]
SHOWN = {"num_workers": 0, "sample_steps": 2, "num_samples": 3}


@pytest.fixture
def answers(monkeypatch: pytest.MonkeyPatch) -> None:
    """Answer every request with words and one medium of each kind."""
    reply = Reply((Text("There: "), tiny_image(), tiny_audio(), tiny_video()))
    monkeypatch.setattr(NextGPT, "chat_batch", lambda self, conversations: [reply] * len(conversations))


def test_requests_are_what_persons_say_first_of_the_sources_in_turn(recipe: Make) -> None:
    sources = load_sources(recipe("encoding-alignment"))
    requests, again = sample_requests(sources, 5), sample_requests(sources, 5)
    assert list(requests) == ["00-image", "01-audio", "02-video", "03-llava", "04-image"]
    assert [message.role for message in requests["00-image"]] == ["user"]
    assert [medium.modality for medium in requests["01-audio"].media] == ["audio"]
    digests = [[medium.digest for request in drawn.values() for medium in request.media] for drawn in (requests, again)]
    assert digests[0] == digests[1]


def test_requests_with_broken_media_are_passed_over(recipe: Make) -> None:
    everything = sample_requests(load_sources(recipe("encoding-alignment")), 1000)
    assert sum(name.endswith("-image") for name in everything) == 4


def test_samples_are_written_as_files(recipe: Make, answers: None) -> None:
    settings = recipe("decoding-alignment", engine=SHOWN)
    run(settings)
    folder = settings.work / "samples"
    assert sorted(path.name for path in folder.iterdir()) == ["step-00000002", "step-00000004"]
    told = json.loads((folder / "step-00000004" / "00-image" / "reply.json").read_text())
    assert told["request"] == [{"type": "text", "text": "a red"}]
    assert [part.get("path", part.get("text")) for part in told["reply"]] == [
        "There: ", "01-image.png", "02-audio.wav", "03-video.mp4"
    ]  # fmt: skip
    assert all((folder / "step-00000004/00-image" / part["path"]).is_file() for part in told["reply"][1:])


def test_looking_at_samples_changes_nothing_that_is_learned(recipe: Make, losses: Losses) -> None:
    plain, shown = (
        recipe("instruction-tuning", name="plain"),
        recipe("instruction-tuning", name="shown", engine=SHOWN),
    )
    run(plain)
    run(shown)
    assert losses(shown) == losses(plain)
    answer = json.loads((shown.work / "samples/step-00000002/00-image/reply.json").read_text())
    assert answer["reply"]


def test_tensorboard_takes_metrics_and_samples(recipe: Make, losses: Losses, answers: None) -> None:
    accumulators = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    settings = recipe("decoding-alignment", engine=SHOWN | {"report_to": ["tensorboard"]})
    run(settings)
    read = accumulators.EventAccumulator(str(settings.work / "tracking" / "nextgpt"))
    read.Reload()
    scalars = [event.value for event in read.Scalars("loss")]
    assert scalars == pytest.approx(losses(settings), rel=1e-6)
    tags = read.Tags()
    assert "00-image/1" in tags["images"] and "00-image/3" in tags["images"] and "00-image/2" in tags["audio"]
    assert [event.step for event in read.Images("00-image/1")] == [2, 4]


def test_a_tracker_that_is_not_installed_is_named(recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nextgpt.train.logging.importlib.util.find_spec", lambda name: None)
    with pytest.raises(ConfigError, match="report_to names wandb, which is not installed"):
        run(recipe("encoding-alignment", engine={"num_workers": 0, "report_to": ["wandb"]}))


def test_the_card_says_data_losses_recipe_and_the_share_that_is_trained(recipe: Make, initial: Path) -> None:
    settings = recipe("decoding-alignment", losses={"cross_entropy": 1, "l2": 2})
    run(settings)
    card = (settings.model / CARD_FILE).read_text()
    assert "| image | cc3m_json | 5 | 0 | 1 |" in card and "| llava | llava | 2 | 0 | 1 |" in card
    assert "4 of 4 steps" in card and "| l2." in card
    trained = sum(value.numel() for value in NextGPT.from_pretrained(initial).output_projections.parameters())
    assert f"{trained:,} of " not in card  # signal tokens are trained too
    told = yaml.safe_load(card.partition("```yaml\n")[2].partition("```")[0])
    assert AlignmentRecipe.model_validate(told) == settings


def test_every_checkpoint_has_a_card_of_its_own_step(recipe: Make) -> None:
    settings = recipe("encoding-alignment")
    run(settings)
    steps = [(folder / CARD_FILE).read_text() for folder in sorted((settings.work / "checkpoints").iterdir())]
    assert "2 of 4 steps" in steps[0] and "4 of 4 steps" in steps[1]
