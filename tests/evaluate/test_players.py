from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from nextgpt.errors import ConversationError
from nextgpt.evaluate.cascade import Captioned, CaptionWriter, text_conditioners, true_words
from nextgpt.evaluate.case import Case
from nextgpt.evaluate.in_words import InWords
from nextgpt.evaluate.judging import contents_of, judge
from nextgpt.evaluate.players import Direct, Truth
from nextgpt.evaluate.scoring import every_turn_is_right
from nextgpt.message import Audio, Conversation, Image, Reply, Text, Video
from nextgpt.miniworld.language import Dialogue, Shown, Turn, sample_dialogue
from nextgpt.miniworld.render import render
from nextgpt.miniworld.scene import Clip, Placed, Scene, Sound
from nextgpt.model.folder import load_model
from nextgpt.testing import write_tiny_model

CAT, FLUTE, DOG = Scene((Placed("cat", "red"),), "grass"), Sound("flute"), Clip("dog", motion="left")


def case(*turns: Turn, seed: int = 0, is_every_turn_asked: bool = False) -> Case:
    return Case("source", Dialogue(turns), seed, is_every_turn_asked)


def ask(words: str, *answer: str | Shown) -> Turn:
    return Turn("task", (words,), answer)


class Echo:
    """Answers with the number of messages that it heard; refuses long conversations."""

    def __init__(self, longest: int = 99) -> None:
        self.batches: list[list[Conversation]] = []
        self.longest = longest

    def chat_batch(self, talks, samplings) -> list[Reply]:
        self.batches.append(list(talks))
        if any(len(talk) > self.longest for talk in talks):
            raise ConversationError("too long")
        return [
            Reply((Text(str(len(talk))),), sampling.seed)
            for talk, sampling in zip(talks, samplings, strict=True)
        ]


@pytest.fixture
def echo() -> Direct:
    player = Direct.__new__(Direct)
    player._model, player._steps = Echo(), None
    return player


def test_the_last_turn_is_asked_after_the_true_answers_to_the_others(echo: Direct) -> None:
    (attempt,) = echo.play([case(ask("One?", "First."), ask("Two?", "Second."), seed=7)])
    (talk,) = echo._model.batches[0]
    assert [message.text for message in talk] == ["One?", "First.", "Two?"]
    assert (attempt.last.reply.text, attempt.last.reply.seed) == ("3", 7)


def test_in_a_whole_dialogue_the_models_own_answers_stay(echo: Direct) -> None:
    turns = ask("One?", "First."), ask("Two?", "Second."), ask("Three?", "Third.")
    (attempt,) = echo.play([case(*turns, is_every_turn_asked=True)])
    assert [answer.reply.text for answer in attempt.answers] == ["1", "3", "5"]
    assert [message.text for message in echo._model.batches[2][0]] == ["One?", "1", "Two?", "3", "Three?"]


def test_dialogues_of_different_lengths_are_held_side_by_side(echo: Direct) -> None:
    short, long = (
        case(ask("A?", "a"), is_every_turn_asked=True),
        case(*[ask("B?", "b")] * 3, is_every_turn_asked=True),
    )
    attempts = echo.play([short, long])
    assert [len(batch) for batch in echo._model.batches] == [2, 1, 1]
    assert [len(attempt.answers) for attempt in attempts] == [1, 3]


def test_a_conversation_that_is_too_long_spoils_no_other(echo: Direct) -> None:
    echo._model.longest = 2
    long, short = case(ask("One?", "First."), ask("Two?", "Second.")), case(ask("One?", "First."))
    attempts = echo.play([long, short])
    assert [attempt.last.reply.text for attempt in attempts] == ["", "1"]


def test_the_truth_is_judged_right() -> None:
    rng = np.random.default_rng(0)
    cases = [
        case(*sample_dialogue(rng, "test", "dialogue").turns, is_every_turn_asked=True) for _ in range(3)
    ]
    assert all(map(every_turn_is_right, judge(Truth().play(cases))))


def test_media_of_other_sizes_are_judged_alike() -> None:
    picture, sound, film = render(CAT), render(FLUTE), render(DOG)
    assert isinstance(picture, Image) and isinstance(sound, Audio) and isinstance(film, Video)
    larger = Image(picture.image.resize((128, 128)))
    stereo = Audio(np.repeat(sound.samples, 2, axis=0), sound.sample_rate_hz)
    slower = Video(np.repeat(film.frames, 2, axis=0), film.fps * 2)
    assert contents_of([slower, larger, stereo]) == [DOG, CAT, FLUTE]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tiny_model(tmp_path_factory.mktemp("tiny"))


def captioned(home: Path) -> Captioned:
    model = load_model(home)
    return Captioned(true_words, model, text_conditioners(model.config, home))


def test_captions_become_media_in_their_places(home: Path) -> None:
    several = case(ask("Both.", "Here:", Shown(CAT), "And here:", Shown(FLUTE), Shown(DOG)))
    (attempt,) = captioned(home).play([several])
    assert [part.modality for part in attempt.last.reply.parts] == ["text", "image", "text", "audio", "video"]
    assert attempt.last.reply.text == "Here:And here:"


def test_captions_take_the_same_seeds_as_the_models_own_media(home: Path) -> None:
    player = captioned(home)
    after_words = case(ask("Draw.", "Here:", Shown(CAT)), seed=3)
    alone, later = case(ask("Draw.", Shown(CAT)), seed=4), case(ask("Draw.", Shown(CAT)), seed=5)
    attempts = player.play([after_words, alone, later])
    first, second, third = (attempt.last.media[0].digest for attempt in attempts)
    assert first == second != third


def test_the_language_model_before_the_alignments_writes_an_answer_for_each(home: Path) -> None:
    written = CaptionWriter(home / "llm")(
        [case(ask("Draw a cat.", "x")), case(ask("Hi", "y"), ask("Again", "z"))]
    )
    assert len(written) == 2 and "<|end|>" not in "".join(written)


def test_in_words_captions_become_true_renderings_and_stay_in_the_dialogue() -> None:
    heard: list[list[str]] = []

    def write(cases: Sequence[Case]) -> list[str]:
        heard.append(["".join(str(say) for say in turn.assistant) for turn in cases[0].dialogue.turns[:-1]])
        answers = [
            "<|edit|><|image|>large red cat left, grass background<|close|>",
            "<|image|>no caption<|close|>Yes.",
        ]
        return [answers[len(cases[0].dialogue.turns) - 1]]

    asked = [case(ask("Draw.", "Here."), ask("And?", "Yes."), is_every_turn_asked=True)]
    (attempt,) = judge(InWords(write).play(asked))
    first, second = attempt.answers
    (seen,) = first.seen
    assert (seen.objects[0].object, seen.objects[0].tint, seen.background) == ("cat", "red", "grass")
    assert first.reply.text == "" and second.reply.text == "Yes." and not second.media
    assert heard == [[], ["<|edit|><|image|>large red cat left, grass background<|close|>"]]
