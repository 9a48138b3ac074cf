"""What the package ships for tests: found by name, the same each time, and answering as a real model does."""

from __future__ import annotations

import subprocess
import sys

import pytest
import torch

from nextgpt.message import Conversation, MediumFinished, ReplyFinished, Sampling
from nextgpt.testing.fakes import FakeEncoder, FakeSynthesizer
from nextgpt.testing.model import fake_model
from nextgpt.testing.scripted_model import ScriptedModel, tiny_audio, tiny_image, tiny_video


def test_nothing_heavy_is_imported_before_it_is_used():
    told = "import sys, nextgpt.testing.scripted_model; print('torch' in sys.modules, 'diffusers' in sys.modules)"
    answer = subprocess.run([sys.executable, "-c", told], capture_output=True, text=True, check=True)
    assert answer.stdout.split() == ["False", "False"]


def test_equal_seeds_make_equal_models_and_leave_the_callers_random_stream_alone():
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    one, same, other = fake_model(), fake_model(), fake_model(seed=1)
    assert torch.equal(torch.rand(3), expected)
    weights, again = one.state_dict(), same.state_dict()
    assert weights.keys() == again.keys() and all(torch.equal(weights[name], again[name]) for name in weights)
    assert not torch.equal(one.llm.signals.input, other.llm.signals.input)


def test_a_fake_encoder_tells_media_apart_by_content_and_remembers_calls():
    encoder = FakeEncoder(width=8)
    red, same, blue = encoder.encode([tiny_image(), tiny_image(), tiny_image((0, 0, 255))])
    assert red.vectors.shape == (1, 8)
    assert torch.equal(red.vectors, same.vectors) and not torch.equal(red.vectors, blue.vectors)
    encoder.encode([tiny_audio(), tiny_video()])
    assert encoder.calls == [["image", "image", "image"], ["audio", "video"]]


@pytest.mark.parametrize("modality", ["image", "audio", "video"])
def test_a_fake_synthesizer_makes_media_of_its_modality_that_tell_the_seed_and_the_source(modality):
    synthesizer = FakeSynthesizer(modality)
    conditions = torch.zeros(2, 6, 16)
    steps = list(synthesizer.denoise(conditions, seeds=[0, 1], num_inference_steps=3))
    assert [(step.index, step.total) for step in steps] == [(1, 3), (2, 3), (3, 3)]
    one, other = synthesizer.decode(steps[-1].latents)
    assert one.modality == other.modality == modality
    assert one.digest != other.digest
    *_, edited = synthesizer.denoise(conditions, seeds=[0, 1], edit_source=[tiny_image(), tiny_image()])
    assert synthesizer.decode(edited.latents)[0].digest != one.digest
    assert synthesizer.calls[0] == {"batch": 2, "seeds": [0, 1], "edit_source": None, "guidance_scale": None}


def test_a_scripted_model_streams_what_it_chats():
    model = ScriptedModel()
    says = Conversation().with_message("hi")
    *events, last = model.stream(says, Sampling())
    assert isinstance(last, ReplyFinished) and not any(isinstance(event, ReplyFinished) for event in events)
    words = "".join(part.text for part in last.reply.parts if part.modality == "text")
    assert words == "".join(event.text for event in events if hasattr(event, "text"))
    media = [event.medium for event in events if isinstance(event, MediumFinished)]
    assert media == list(last.reply.message.media)
    assert model.received == [says]
