"""Families of parts as whole models in their real form: loaded, answering with all modalities, saved bit by bit."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tests.model.synthesis.families import FAMILIES

from nextgpt import NextGPT
from nextgpt.message import Conversation
from nextgpt.modality import MODALITIES
from nextgpt.testing.model import write_tiny_model_of
from nextgpt.testing.scripted_model import tiny_audio, tiny_image, tiny_video

PUBLISHED = {"image": "stable diffusion", "audio": "audioldm", "video": "zeroscope"}
PRESENT = {"image": "z-image", "audio": "ace-step", "video": "wan"}


@pytest.fixture(scope="module", params=[PUBLISHED, PRESENT], ids=["published", "present"])
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    write = {modality: FAMILIES[family][1] for modality, family in request.param.items()}
    home = tmp_path_factory.mktemp("model")
    return write_tiny_model_of(home, write, is_open=request.param is PRESENT)


def speak_media(model: NextGPT, monkeypatch: pytest.MonkeyPatch) -> None:
    """Make the LLM ask for one medium of each modality, then end."""
    runs = iter([*(model.llm.signals.vocabulary.span_ids(name)[0] for name in MODALITIES), min(model.llm.end_ids)])

    def logits(hidden: torch.Tensor) -> torch.Tensor:
        scores = torch.zeros(len(hidden), model.llm.vocabulary_size + len(model.llm.signals.vocabulary))
        scores[:, next(runs)] = 1.0
        return scores

    monkeypatch.setattr(model.llm, "logits", logits)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_it_hears_and_answers_with_all_modalities_and_comes_back_bit_by_bit(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    asked = Conversation().with_message([tiny_image(), tiny_audio(), tiny_video(), "Make one of each."])
    model = NextGPT.from_pretrained(folder)
    speak_media(model, monkeypatch)
    reply = model.chat(asked)
    assert [part.modality for part in reply.parts] == list(MODALITIES)

    model.save_pretrained(tmp_path / "again")
    assert files(tmp_path / "again") == files(folder)
    again = NextGPT.from_pretrained(tmp_path / "again")
    speak_media(again, monkeypatch)
    assert [part.digest for part in again.chat(asked).parts] == [part.digest for part in reply.parts]
