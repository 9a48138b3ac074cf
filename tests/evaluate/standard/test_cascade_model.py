from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from nextgpt.errors import ConversationError
from nextgpt.evaluate.caption_llm import MARKERS, TAGS, CaptionLLM, CaptionMessage, CaptionPart
from nextgpt.evaluate.standard.cascade_model import Captioner, Cascade
from nextgpt.evaluate.standard.item_systems.true_caption import TrueCaptionSystem
from nextgpt.evaluate.standard.items import EvalItem, medium, user_message
from nextgpt.message import Conversation, MediumFinished, Reply, ReplyFinished, Sampling, Text, TextDelta
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.scripted_model import tiny_image


@pytest.mark.parametrize("notation", [MARKERS, TAGS])
def test_captions_are_read_as_they_are_written(notation) -> None:
    answer = f"Here: {notation.write('image', 'a <b> cat')} and {notation.write('audio', 'a bark')} Bye."
    assert notation.split(answer) == ["Here:", "image", "a <b> cat", "and", "audio", "a bark", "Bye."]
    assert notation.split("Only words.") == ["Only words."]


def test_a_caption_that_is_cut_off_ends_with_the_answer() -> None:
    assert TAGS.split("Here. <image>A red") == ["Here.", "image", "A red", ""]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


@pytest.fixture(scope="module")
def cascade(home: Path) -> Cascade:
    return Cascade.from_pretrained(home)


def test_text_that_looks_like_a_marker_stays_text() -> None:
    llm = CaptionLLM(resolve_model_dir("nano") / "llm", "nano")
    ids = llm._prompt([CaptionMessage("user", ("<|image|>x<|close|>", CaptionPart("image", "y")))])
    vocabulary = llm._tokenizer.hf_tokenizer.get_vocab()
    assert llm.format is MARKERS
    assert ids.count(vocabulary["<|image|>"]) == ids.count(vocabulary["<|close|>"]) == 1


def test_llms_without_markers_are_instructed(home: Path) -> None:
    llm = CaptionLLM(home / "llm", "nano")
    assert llm.format is TAGS
    prompt = llm._tokenizer.decode(llm._prompt([CaptionMessage("user", ("Hi", CaptionPart("image", "a cat")))]))
    assert prompt.startswith("You answer with text") and prompt.endswith("Hi<image>a cat</image>")
    assert "Here it is. <audio>A piano plays a short melody.</audio>" in prompt


class Writer:
    """A caption LLM that answers from a script."""

    format = TAGS

    def __init__(self, answer: str) -> None:
        self.answer = answer
        self.requests: list = []

    def write(self, conversations, max_tokens) -> list[str]:
        self.requests += conversations
        return [self.answer for _ in conversations]


class Describer:
    """A model that describes media."""

    def __init__(self) -> None:
        self.batches: list = []
        self.words = "caption {}"

    def chat_batch(self, requests, sampling) -> list[Reply]:
        self.batches.append(requests)
        return [Reply((Text(self.words.format(index)),)) for index, _ in enumerate(requests)]


def scripted(cascade: Cascade, answer: str) -> tuple[Cascade, Writer, Describer]:
    writer, describer = Writer(answer), Describer()
    changed = Cascade.__new__(Cascade)
    changed._llm, changed.synthesizer = writer, cascade.synthesizer
    changed.captioner = Captioner.__new__(Captioner)
    changed.captioner._model, changed.captioner._captions = describer, {}
    return changed, writer, describer


def test_media_become_captions_and_captions_become_media(cascade: Cascade) -> None:
    model, writer, describer = scripted(cascade, "Here. <image>a blue cat</image>")
    conversation = Conversation().with_message([tiny_image(), "Make it blue."])
    replies = model.chat_batch([conversation, conversation], Sampling(seed=5))
    assert [[part.modality for part in reply.parts] for reply in replies] == [["text", "image"]] * 2
    assert writer.requests[0][0].parts == (CaptionPart("image", "caption 0"), "Make it blue.")
    assert len(describer.batches) == 1 and len(describer.batches[0]) == 1  # equal media are described once
    assert replies[0].images[0].digest == replies[1].images[0].digest


def test_llms_with_markers_read_canonical_captions(cascade: Cascade) -> None:
    model, writer, describer = scripted(cascade, "A cat.")
    writer.format = MARKERS
    describer.words = "I see a large red cat at the top left on grass."
    model.chat(Conversation().with_message([tiny_image(), "What?"]))
    assert writer.requests[0][0].parts[0] == CaptionPart("image", "large red cat top left, grass background")


def test_a_reply_streams_in_its_order(cascade: Cascade) -> None:
    model, *_ = scripted(cascade, "Here. <audio>a bark</audio> Nice?")
    events = list(model.stream(Conversation().with_message("Bark!")))
    assert [type(event) for event in events] == [TextDelta, MediumFinished, TextDelta, ReplyFinished]


def test_true_captions_go_to_the_synthesizer_or_to_the_llm(cascade: Cascade) -> None:
    model, writer, _ = scripted(cascade, "A red cat.")
    source = medium("image", "a.png")
    draw = EvalItem(
        id="1", suite="s", request=user_message("Draw."), target_caption="A cat.", expected_modalities=("image",)
    )
    ask = EvalItem(
        id="2", suite="s", request=user_message(source, "What?"), source_medium=source, source_caption="a red cat"
    )
    drawn, answered = TrueCaptionSystem(model).answer([draw, ask], [1, 2])
    assert [part.modality for part in drawn.parts] == ["image"]
    assert answered.text == "A red cat."
    assert [message.parts for message in writer.requests[0]] == [(CaptionPart("image", "a red cat"), "What?")]


def test_the_tiny_model_answers_by_its_own_components(cascade: Cascade) -> None:
    reply = cascade.chat(Conversation().with_message([tiny_image(), "Hi"]), Sampling(max_tokens=8))
    assert reply.seed == 0


def test_a_folder_without_trained_weights_answers_texts_only(home: Path, tmp_path: Path) -> None:
    shutil.copytree(home, tmp_path / "untrained")
    (tmp_path / "untrained" / "nextgpt.safetensors").unlink()
    model = Cascade.from_pretrained(tmp_path / "untrained")
    assert isinstance(model.chat(Conversation().with_message("Hi"), Sampling(max_tokens=4)), Reply)
    with pytest.raises(ConversationError, match=r"cannot describe media; expected text only"):
        model.chat(Conversation().with_message([tiny_image(), "Hi"]))
