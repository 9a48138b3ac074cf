from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nextgpt.errors import ConversationError
from nextgpt.evaluate.caption_llm import CaptionLLM
from nextgpt.evaluate.caption_synthesizer import CaptionSynthesizer, create_prompt_encoders
from nextgpt.evaluate.miniworld.cascade import CascadeSystem, caption_writer, oracle_captions
from nextgpt.evaluate.miniworld.cases import EvalCase
from nextgpt.evaluate.miniworld.correctness import all_turns_correct
from nextgpt.evaluate.miniworld.runner import judge_results, recognize_media
from nextgpt.evaluate.miniworld.systems import NextGPTSystem, OracleSystem
from nextgpt.evaluate.miniworld.text_only import TextOnlySystem
from nextgpt.message import Audio, Conversation, Image, Reply, Text, Video
from nextgpt.miniworld.language import Dialogue, DialogueTurn, MediaPart, sample_dialogue
from nextgpt.miniworld.render import render
from nextgpt.miniworld.specs import ClipSpec, ObjectSpec, SceneSpec, SoundSpec
from nextgpt.model.nextgpt import NextGPT
from nextgpt.testing.model import write_tiny_model

CAT, FLUTE, DOG = (SceneSpec((ObjectSpec("cat", "red"),), "grass"), SoundSpec("flute"), ClipSpec("dog", motion="left"))


def case(*turns: DialogueTurn, seed: int = 0, all_turns: bool = False) -> EvalCase:
    return EvalCase("source", Dialogue(turns), seed, all_turns)


def ask(words: str, *answer: str | MediaPart) -> DialogueTurn:
    return DialogueTurn("task", (words,), answer)


class Echo:
    """Answers with the number of messages that it heard; refuses long conversations."""

    def __init__(self, longest: int = 99) -> None:
        self.batches: list[list[Conversation]] = []
        self.longest = longest

    def chat_batch(self, conversations, samplings) -> list[Reply]:
        self.batches.append(list(conversations))
        if any(len(conversation) > self.longest for conversation in conversations):
            raise ConversationError("too long")
        return [
            Reply((Text(str(len(conversation))),), sampling.seed)
            for conversation, sampling in zip(conversations, samplings, strict=True)
        ]


@pytest.fixture
def echo() -> NextGPTSystem:
    system = NextGPTSystem.__new__(NextGPTSystem)
    system._model, system._num_inference_steps = Echo(), None
    return system


def test_the_last_turn_is_asked_after_the_true_answers_to_the_others(echo: NextGPTSystem) -> None:
    (result,) = echo.answer([case(ask("One?", "First."), ask("Two?", "Second."), seed=7)])
    (conversation,) = echo._model.batches[0]
    assert [message.text for message in conversation] == ["One?", "First.", "Two?"]
    assert (result.last.reply.text, result.last.reply.seed) == ("3", 7)


def test_in_a_whole_dialogue_the_models_own_answers_stay(echo: NextGPTSystem) -> None:
    turns = ask("One?", "First."), ask("Two?", "Second."), ask("Three?", "Third.")
    (result,) = echo.answer([case(*turns, all_turns=True)])
    assert [answer.reply.text for answer in result.turns] == ["1", "3", "5"]
    assert [message.text for message in echo._model.batches[2][0]] == ["One?", "1", "Two?", "3", "Three?"]


def test_dialogues_of_different_lengths_are_held_side_by_side(echo: NextGPTSystem) -> None:
    short, long = (case(ask("A?", "a"), all_turns=True), case(*[ask("B?", "b")] * 3, all_turns=True))
    results = echo.answer([short, long])
    assert [len(batch) for batch in echo._model.batches] == [2, 1, 1]
    assert [len(result.turns) for result in results] == [1, 3]


def test_a_conversation_that_is_too_long_spoils_no_other(echo: NextGPTSystem) -> None:
    echo._model.longest = 2
    long, short = case(ask("One?", "First."), ask("Two?", "Second.")), case(ask("One?", "First."))
    results = echo.answer([long, short])
    assert [result.last.reply.text for result in results] == ["", "1"]


def test_the_truth_is_judged_right() -> None:
    rng = np.random.default_rng(0)
    cases = [case(*sample_dialogue(rng, "test", "dialogue").turns, all_turns=True) for _ in range(3)]
    assert all(map(all_turns_correct, judge_results(OracleSystem().answer(cases))))


def test_media_of_other_sizes_are_judged_alike() -> None:
    picture, sound, film = render(CAT), render(FLUTE), render(DOG)
    assert isinstance(picture, Image) and isinstance(sound, Audio) and isinstance(film, Video)
    larger = Image(picture.image.resize((128, 128)))
    stereo = Audio(np.repeat(sound.samples, 2, axis=0), sound.sample_rate_hz)
    slower = Video(np.repeat(film.frames, 2, axis=0), film.fps * 2)
    assert recognize_media([slower, larger, stereo]) == [DOG, CAT, FLUTE]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


def captioned(home: Path) -> CascadeSystem:
    model = NextGPT.from_pretrained(home)
    return CascadeSystem(oracle_captions, CaptionSynthesizer(model, create_prompt_encoders(model.config, home)))


def test_captions_become_media_in_their_places(home: Path) -> None:
    several = case(ask("Both.", "Here:", MediaPart(CAT), "And here:", MediaPart(FLUTE), MediaPart(DOG)))
    (result,) = captioned(home).answer([several])
    assert [part.modality for part in result.last.reply.parts] == ["text", "image", "text", "audio", "video"]
    assert result.last.reply.text == "Here:\nAnd here:"


def test_captions_take_the_same_seeds_as_the_models_own_media(home: Path) -> None:
    system = captioned(home)
    after_words = case(ask("Draw.", "Here:", MediaPart(CAT)), seed=3)
    alone, later = case(ask("Draw.", MediaPart(CAT)), seed=4), case(ask("Draw.", MediaPart(CAT)), seed=5)
    results = system.answer([after_words, alone, later])
    first, second, third = (result.last.media[0].digest for result in results)
    assert first == second != third


def test_the_language_model_before_the_alignments_writes_an_answer_for_each(home: Path) -> None:
    write = caption_writer(CaptionLLM(home / "llm", "nano"))
    written = write([case(ask("Draw a cat.", "x")), case(ask("Hi", "y"), ask("Again", "z"))])
    assert len(written) == 2 and "<|end|>" not in "".join(written)


def test_in_words_captions_become_true_renderings_and_stay_in_the_dialogue() -> None:
    heard: list[list[str]] = []

    def write(cases: Sequence[EvalCase]) -> list[str]:
        heard.append(["".join(str(say) for say in turn.assistant) for turn in cases[0].dialogue.turns[:-1]])
        answers = ["<|edit|><|image|>large red cat left, grass background<|close|>", "<|image|>no caption<|close|>Yes."]
        return [answers[len(cases[0].dialogue.turns) - 1]]

    task_cases = [case(ask("Draw.", "Here."), ask("And?", "Yes."), all_turns=True)]
    (result,) = judge_results(TextOnlySystem(write).answer(task_cases))
    first, second = result.turns
    (seen,) = first.judged_specs
    assert (seen.objects[0].object, seen.objects[0].tint, seen.background) == ("cat", "red", "grass")
    assert first.reply.text == "" and second.reply.text == "Yes." and not second.media
    assert heard == [[], ["<|edit|><|image|>large red cat left, grass background<|close|>"]]
