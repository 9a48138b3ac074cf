"""What people easily get wrong: each is right, or one clear line."""

from __future__ import annotations

import copy
import errno
import pickle
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from nextgpt.errors import ConfigError, ModelError
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis.base import Latents
from nextgpt.testing.model import tiny_model, write_tiny_model
from nextgpt.train import checkpoint
from nextgpt.train.checkpoint import CheckpointManager, TrainingState
from nextgpt.train.corpora import parse

WRONG_TYPES = """
import numpy as np
from nextgpt.message import Conversation, Sampling

sampling = Sampling(stop="shall", seed=np.int64(3), modalities="text")
assert sampling == Sampling(stop=("shall",), seed=3, modalities=("text",))
assert type(sampling.seed) is int
try:
    Conversation().with_message("hi", role="asistant")
except ValueError as error:
    print(error)
"""


def test_arguments_of_a_similar_type_are_taken_and_a_misspelt_role_is_named() -> None:
    """Before, the stop string "shall" stopped at each of its letters. Runs without the tests' own checks of types."""
    command = [sys.executable, "-c", WRONG_TYPES]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert "Did you mean 'assistant'" in ended.stdout


@pytest.mark.parametrize("device", [torch.device("cpu"), {"llm": torch.device("cpu"), "image": "cpu"}])
def test_devices_may_be_those_of_torch(device: object, tmp_path: Path) -> None:
    model = NextGPT.from_pretrained(write_tiny_model(tmp_path), device=device)
    assert model.llm.embed_ids([1]).device == torch.device("cpu")


def test_a_model_says_why_it_is_not_pickled() -> None:
    model = tiny_model()
    for copied in (pickle.dumps, copy.deepcopy):
        with pytest.raises(ModelError, match="save_pretrained"):
            copied(model)


def test_a_synthesizer_that_returns_no_numbers_is_an_error_and_no_black_image() -> None:
    model = tiny_model()
    synthesizer = model.synthesizer("image")
    latents: Latents = torch.zeros(1, *synthesizer.latent_shape)
    assert len(synthesizer.decode(latents)) == 1
    with pytest.raises(ModelError, match="The denoiser .* returned values that are no numbers"):
        synthesizer.decode(latents / 0)
    for weight in synthesizer.components.autoencoder.autoencoder.parameters():
        weight.data.fill_(torch.nan)
    with pytest.raises(ModelError, match="The autoencoder .* returned values that are no numbers"):
        synthesizer.decode(latents)


@pytest.mark.parametrize("weight", [0, -1, float("nan"), float("inf")])
def test_a_corpus_needs_a_weight(weight: float) -> None:
    with pytest.raises(ConfigError, match=r"data.corpora.a: weight"):
        parse({"a": {"path": "a.json", "weight": weight}}, "data.corpora")


def test_a_full_disk_keeps_the_last_checkpoint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    manager = CheckpointManager(tmp_path, 2)
    trained = {"weight": nn.Parameter(torch.ones(2))}
    manager.save(1, trained, TrainingState([], {}))

    def fail(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(checkpoint, "save_file", fail)
    with pytest.raises(ModelError, match="No space left on device.*it continues from step-00000001"):
        manager.save(2, trained, TrainingState([], {}))
    assert manager.latest == tmp_path / "step-00000001"
    assert manager.resume({"weight": nn.Parameter(torch.zeros(2))})[0] == 1
