"""Phrasings of authors: every pattern can be filled, words and labels agree, and authors are never mixed."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nextgpt.errors import ConfigError
from nextgpt.miniworld.language import Dialogue, DialogueTurn, MediaPart, sample_dialogue
from nextgpt.miniworld.language.description_parser import parse_descriptions
from nextgpt.miniworld.language.descriptions import in_reading_order
from nextgpt.miniworld.language.dialogue_state import BRIEF_ANSWER
from nextgpt.miniworld.language.lexicon import article, noun, plural
from nextgpt.miniworld.language.out_of_domain import UNKNOWN
from nextgpt.miniworld.language.phrasings import (
    AUTHOR_SPLITS,
    PHRASED_TASKS,
    Author,
    edits,
    load_authors,
    messages,
    noun_phrases,
    out_of_domain,
    questions,
    read_author,
    sample_phrased_dialogue,
)
from nextgpt.miniworld.language.phrasings.author import INTENTS, everyday_nouns, shared_phrasings
from nextgpt.miniworld.language.phrasings.filling import fill, misspell
from nextgpt.miniworld.language.phrasings.state import PhrasedState
from nextgpt.miniworld.language.templates import all_expansions
from nextgpt.miniworld.language.types import QuestionAnswer, attributes
from nextgpt.miniworld.objects import OBJECTS
from nextgpt.miniworld.specs import TINTS, ClipSpec, ObjectSpec, SceneSpec, SoundSpec
from nextgpt.miniworld.splits import is_held_out

TRAIN, DEV = load_authors("train"), load_authors("dev")
AUTHORS = (*TRAIN, *DEV)
SLOTS = {slot for slots in INTENTS.values() for slot in slots}


def dialogues(
    count: int, task: str | None = None, authors: tuple[Author, ...] = TRAIN, seed: int = 0, **options: float | bool
) -> list[Dialogue]:
    rng = np.random.default_rng(seed)
    return [sample_phrased_dialogue(rng, authors, task, **options) for _ in range(count)]


def turns(count: int, task: str | None = None) -> list[DialogueTurn]:
    return [turn for dialogue in dialogues(count, task) for turn in dialogue.turns]


def text_of(turn: DialogueTurn) -> str:
    return " ".join(part for part in turn.user if isinstance(part, str))


def state_of(author: Author, seed: int = 0) -> PhrasedState:
    return PhrasedState(np.random.default_rng(seed), "train", author=author)


def full_author() -> Author:
    """An author with patterns for everything."""
    return next(author for author in TRAIN if author.has("edit_color", "edit_swap_places", "undo"))


@pytest.mark.parametrize("author", AUTHORS, ids=lambda author: author.name)
def test_every_pattern_of_an_author_fills(author: Author):
    values = dict.fromkeys(SLOTS, "value")
    for intent, patterns in author.patterns.items():
        for pattern in patterns:
            for variant in all_expansions(pattern):
                words = fill(np.random.default_rng(0), variant, values)
                assert words and not set("{}[]|") & set(words), f"{author.name}, {intent}: {words!r}"


def test_there_are_many_patterns_by_several_authors():
    assert sum(len(patterns) for author in TRAIN for patterns in author.patterns.values()) >= 3000
    assert len(TRAIN) >= 4 and DEV


def test_a_training_author_is_no_development_author():
    assert not {author.name for author in TRAIN} & {author.name for author in DEV}
    assert all(load_authors(split) for split in AUTHOR_SPLITS)


def test_only_the_given_authors_are_used(monkeypatch: pytest.MonkeyPatch):
    shared = shared_phrasings()  # what belongs to no author is marked too
    for key in ("still", "image_video", "video_audio", "all", "edit_count", "edit_one_more", "edit_no_background"):
        monkeypatch.setitem(shared, key, [f"zq {pattern}" for pattern in shared[key]])
    monkeypatch.setitem(shared, "q_video_is", [f"zq {pattern}" for pattern in shared["q_video_is"]])
    full = full_author()
    patterns = {intent: tuple(f"zq {p}" for p in patterns) for intent, patterns in full.patterns.items()}
    marks = {"patterns": patterns, "talk": dict.fromkeys(full.talk, ("zq",)), "before": (), "after": ()}
    marked = full.model_copy(update=marks)
    for dialogue in dialogues(150, authors=(marked,), free_form_rate=0.0):
        for turn in dialogue.turns:
            assert text_of(turn).lower().startswith("zq"), text_of(turn)


def test_the_same_seed_gives_the_same_dialogues():
    assert dialogues(20, seed=3) == dialogues(20, seed=3) != dialogues(20, seed=4)


def test_many_requests_to_hear_it_are_about_things_that_sound():
    heard = [bool(dialogue.turns[-1].target_media) for dialogue in dialogues(60, "hear_it")]
    assert sum(heard) > 15


def test_an_unknown_task_is_refused():
    with pytest.raises(ConfigError, match="undo"):
        sample_phrased_dialogue(np.random.default_rng(0), TRAIN, "udno")


@pytest.mark.parametrize("task", [task for task in PHRASED_TASKS if task != "dialogue"])
def test_every_task_can_be_asked_for(task: str):
    found = dialogues(5, task, authors=(full_author(),))
    assert all(dialogue.turns for dialogue in found)


def names_in(text: str, name: str) -> bool:
    words = {name, noun(name), plural(name), f"{name}s"}
    words |= {one for author in AUTHORS for one in author.synonyms.nouns.get(name, ())}
    words |= set(everyday_nouns().get(name, ()))
    return any(word.lower() in text.lower() for word in words)


def test_the_object_in_a_request_is_the_object_of_the_label():
    missed = []
    for turn in turns(400, "text_to_image"):
        scene = turn.target_media[0].spec
        assert isinstance(scene, SceneSpec)
        missed += [text_of(turn) for placed in scene.objects if not names_in(text_of(turn), placed.object)]
    assert len(missed) < 0.06 * 400, missed  # typing errors change some names


def test_a_colour_in_a_request_is_the_colour_of_the_label():
    rng = np.random.default_rng(0)
    plain = [author for author in TRAIN if author.has("image")]
    for _ in range(300):
        (turn,) = sample_phrased_dialogue(rng, plain, "text_to_image").turns
        scene = turn.target_media[0].spec
        assert isinstance(scene, SceneSpec)
        for placed in scene.objects:
            if placed.tint != "natural":
                colors = {placed.tint, *(w for a in TRAIN for w in a.synonyms.colors.get(placed.tint, ()))}
                text = text_of(turn).lower()
                # One swapped or dropped letter at most.
                assert any(color in text or misses_little(color, text) for color in colors), text


def misses_little(word: str, text: str) -> bool:
    """Return True if ``text`` holds ``word`` with one typing error."""
    rng = np.random.default_rng(0)
    return any(misspell(rng, word) in text for _ in range(200))


def test_words_that_name_a_medium_stand_before_it():
    for turn in turns(300):
        for position, part in enumerate(turn.assistant):
            if isinstance(part, MediaPart):
                before = turn.assistant[position - 1]
                assert position > 0 and isinstance(before, str)
                assert in_reading_order(parse_descriptions(before)[-1]) == in_reading_order(part.spec), before


def test_training_contents_are_never_held_out():
    for turn in turns(400):
        assert not any(is_held_out(part.spec) for part in (*turn.input_media, *turn.target_media)), text_of(turn)


def test_answers_say_their_own_key_words():
    asked = [turn for turn in turns(500) if turn.key_words]
    assert len(asked) > 50
    for turn in asked:
        assert turn.contains_key_words(" ".join(part for part in turn.assistant if isinstance(part, str))), turn


def made_before(dialogue: Dialogue, index: int, modality: str) -> list:
    earlier = [*dialogue.turns[:index]]
    media = [part for turn in earlier for part in (*turn.input_media, *turn.target_media)] + list(
        dialogue.turns[index].input_media
    )
    return [part.spec for part in media if part.modality == modality]


def test_edits_keep_what_they_do_not_change():
    seen = 0
    for dialogue in dialogues(400):
        for index, turn in enumerate(dialogue.turns):
            if not turn.task.startswith("edit_") or not turn.target_media:
                continue
            before, after = (made_before(dialogue, index, turn.target_media[0].modality)[-1], turn.target_media[0].spec)
            old, new = attributes(before), attributes(after)
            assert all(
                old[name] == value for name, value in new.items() if name in old and name not in turn.changed_attributes
            )
            assert before != after
            seen += 1
    assert seen > 50


@pytest.mark.parametrize(
    ("editor", "allowed"),
    [
        (edits.edit_color, {"tint"}),
        (edits.edit_natural, {"tint"}),
        (edits.edit_size, {"size"}),
        (edits.edit_place, {"place"}),
        (edits.edit_background, {"background"}),
        (edits.edit_motion, {"motion"}),
        (edits.edit_reverse, {"motion"}),
        (edits.edit_pitch, {"pitch"}),
        (edits.edit_speed, {"speed"}),
        (edits.edit_source, {"source"}),
        (edits.edit_how, {"pattern", "speed"}),
    ],
)
def test_an_edit_changes_its_own_attribute_alone(editor: edits.Editor, allowed: set[str]):
    state = state_of(full_author())
    scene = SceneSpec((ObjectSpec("cat", "red", "left", "small"),), "grass")
    clip, sound = ClipSpec("dog", "blue", "sea", "up"), SoundSpec("flute", "middle", "rising", "fast")
    tried = 0
    for content in (scene, clip, sound):
        try:
            found = editor(state, content)
        except AssertionError:  # of another modality
            continue
        if found is not None:
            old, new = attributes(content), attributes(found.spec)
            assert {name for name in old if old[name] != new.get(name)} <= allowed
            tried += 1
    assert tried


def test_an_added_object_stands_beside_the_old_one():
    state = state_of(full_author())
    scene = SceneSpec((ObjectSpec("cat", "red"),), "night")
    found = edits.edit_add(state, scene)
    assert found is not None and isinstance(found.spec, SceneSpec)
    assert len(found.spec.objects) == 2 and found.spec.background == "night"
    kept = next(placed for placed in found.spec.objects if placed.object == "cat")
    assert kept.tint == "red" and kept.place != found.spec.objects[1 - found.spec.objects.index(kept)].place


def author_of_messages(**patterns: str) -> Author:
    """An author of the given templates alone, and without words of their own."""
    return Author(name="anna", patterns={intent: (template,) for intent, template in patterns.items()})


def messages_of(task: str, author: Author, monkeypatch: pytest.MonkeyPatch) -> list[DialogueTurn]:
    monkeypatch.setattr(messages, "MESSAGE_RATE", 1.0)
    return [d.turns[-1] for d in dialogues(40, task, authors=(author,), free_form_rate=0.0)]


def test_a_message_states_what_it_has_slots_for(monkeypatch: pytest.MonkeyPatch):
    author = author_of_messages(message_image="{noun}. {color}. {background}, and {size}")
    for turn in messages_of("text_to_image", author, monkeypatch):
        scene = turn.target_media[0].spec
        assert isinstance(scene, SceneSpec)
        (placed,) = scene.objects
        assert placed.place == "center" and placed.tint != "natural"


def test_a_message_about_two_objects_keeps_their_attributes_apart(monkeypatch: pytest.MonkeyPatch):
    author = author_of_messages(message_image="{noun2} in {color2} {place2}, {noun} {place}")
    for turn in messages_of("text_to_image", author, monkeypatch):
        scene = turn.target_media[0].spec
        assert isinstance(scene, SceneSpec) and len(scene.objects) == 2
        assert sorted(placed.tint == "natural" for placed in scene.objects) == [False, True]
        text = text_of(turn).lower()
        colored = next(placed for placed in scene.objects if placed.tint != "natural")
        assert f"in {colored.tint}" in text or misses_little(colored.tint, text)


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_an_answer_names_objects_in_the_order_of_the_request(rate: float):
    checked = 0
    for dialogue in dialogues(400, "text_to_image", free_form_rate=rate):
        (turn,) = dialogue.turns
        answer, scene = turn.assistant[0], turn.target_media[0].spec
        assert isinstance(answer, str) and scene == in_reading_order(scene)
        names = [noun(name) for name in dict.fromkeys(placed.object for placed in scene.objects)]
        text = f" {text_of(turn).lower()}"
        # Synonyms and typing errors are not found; a name found twice may be a color, as in lemon yellow.
        is_found = all(text.count(f" {name}") == 1 for name in names)
        if len(names) > 1 and is_found and not any(a in b for a in names for b in names if a != b):
            asked = [text.find(f" {name}") for name in names]
            order = [answer.find(f" {name}") for name in names]
            assert np.argsort(asked).tolist() == np.argsort(order).tolist(), (text_of(turn), answer)
            checked += 1
    assert checked > 20


def test_the_object_that_a_message_names_first_is_on_the_left(monkeypatch: pytest.MonkeyPatch):
    author = author_of_messages(message_image="{noun2} in {color2}, then {noun}")
    for turn in messages_of("text_to_image", author, monkeypatch):
        scene = turn.target_media[0].spec
        assert isinstance(scene, SceneSpec)
        assert [(placed.place, placed.tint == "natural") for placed in scene.objects] == [
            ("left", False),
            ("right", True),
        ]


@pytest.mark.parametrize("task", ["text_to_image", "text_to_video"])
def test_an_answer_repeats_every_color_that_a_request_states(task: str):
    """A natural color too: ``a yellow key`` in the request is ``a yellow key`` in the answer."""
    own = 0
    for turn in turns(1500, task):
        answer, words = turn.assistant[0], text_of(turn).lower()
        assert isinstance(answer, str)
        (shown,) = parse_descriptions(answer)
        # A background has a color of its own: grass is green in "on green grass".
        behind = {"grass": "green"}.get(shown.background, shown.background)
        for color in set(TINTS[1:]) - {behind}:
            if f" {color} " in words:
                assert color in answer, (words, answer)
                own += color not in str(shown)
    assert own > 30


def test_edits_keep_the_order_in_which_the_answer_before_named_the_objects():
    kept = 0
    for dialogue in dialogues(400, "edit"):
        before, after = (parse_descriptions(str(turn.assistant[0])) for turn in dialogue.turns[-2:])
        scenes = [spec for specs in (before[-1:], after) for spec in specs if isinstance(spec, SceneSpec)]
        if len(scenes) < 2 or dialogue.turns[-1].input_media:
            continue
        old, new = ([obj.object for obj in scene.objects] for scene in scenes)
        common = [name for name in old if name in new]
        if len(set(common)) < 2 or len(common) > len(new):
            continue
        assert [name for name in new if name in common] == common, (old, new)
        kept += old != [obj.object for obj in in_reading_order(scenes[0]).objects]
    assert kept > 3


def test_the_media_of_a_message_come_in_the_order_of_their_slots(monkeypatch: pytest.MonkeyPatch):
    author = author_of_messages(message_several="{audio} for my ears, {image} for my wall, {audio2} for later")
    for turn in messages_of("text_to_several", author, monkeypatch):
        assert turn.modalities == ("audio", "image", "audio")


def test_a_message_with_a_speed_alone_means_a_repeated_sound(monkeypatch: pytest.MonkeyPatch):
    author = author_of_messages(message_audio="let me hear {source}, {speed}")
    for turn in messages_of("text_to_audio", author, monkeypatch):
        sound = turn.target_media[0].spec
        assert isinstance(sound, SoundSpec) and sound.pattern == "repeated"


TWO = SceneSpec((ObjectSpec("cat", "red", "left", "small"), ObjectSpec("dog", "blue", "right", "small")), "sea")


def test_an_object_is_added_at_a_place_of_its_own():
    state = state_of(author_of_messages(edit_add_at="{thing} {place}"))
    for scene in [TWO, SceneSpec((ObjectSpec("cat", "red"),), "sea")] * 20:
        found = edits.edit_add_at(state, scene)
        if found is None:  # no layout has these two and a third
            continue
        assert isinstance(found.spec, SceneSpec) and found.spec.background == "sea"
        places = [placed.place for placed in found.spec.objects]
        assert len(set(places)) == len(places) == len(scene.objects) + 1
        cat = next(placed for placed in found.spec.objects if placed.object == "cat")
        assert cat.tint == "red" and (len(scene.objects) == 1 or cat.place == "left")


def test_a_named_object_is_replaced_in_its_color_and_place():
    state = state_of(full_author())
    for _ in range(20):
        found = edits.edit_replace_named(state, TWO)
        assert found is not None and isinstance(found.spec, SceneSpec) and found.required == {"noun"}
        assert [(placed.tint, placed.place) for placed in found.spec.objects] == [("red", "left"), ("blue", "right")]
        assert len({placed.object for placed in found.spec.objects} & {"cat", "dog"}) == 1


def test_an_object_that_moves_to_an_occupied_place_changes_places():
    found = edits.edit_swap_to_place(state_of(full_author()), TWO)
    assert found is not None and isinstance(found.spec, SceneSpec)
    assert {(placed.object, placed.place) for placed in found.spec.objects} == {("cat", "right"), ("dog", "left")}


def test_a_removed_object_is_gone_and_the_other_stays():
    state = state_of(full_author())
    scene = SceneSpec((ObjectSpec("cat", "red", "left", "small"), ObjectSpec("dog", "blue", "right", "small")), "sea")
    found = edits.edit_remove(state, scene)
    assert found is not None and isinstance(found.spec, SceneSpec)
    (left,) = found.spec.objects
    assert left in scene.objects and found.values["noun"] != noun(left.object)


def test_undo_goes_back_to_what_was_before_the_edit():
    for dialogue in dialogues(30, "undo", authors=(full_author(),)):
        first, _, last = dialogue.turns
        assert last.target_media[0].spec == first.target_media[-1].spec or last.target_media[0].spec in [
            p.spec for p in first.target_media
        ]


def test_again_makes_the_same_once_more():
    for dialogue in dialogues(30, "again", authors=(full_author(),)):
        *_, before, last = dialogue.turns
        assert last.target_media[0].spec == before.target_media[-1].spec


def test_several_media_come_in_the_order_asked():
    words = {"image": ("picture", "image", "drawing", "draw", "pic", "paint", "sketch", "photo", "illustration"),
             "audio": ("sound", "audio", "recording", "play", "hear", "listen"),
             "video": ("video", "clip", "film", "animat", "gif", "movie", "vid")}  # fmt: skip
    ordered = total = 0
    for turn in turns(300, "text_to_several"):
        text = text_of(turn).lower()
        if len(set(turn.modalities)) == 2:
            places = [
                min((text.find(w) for w in words[modality] if w in text), default=-1) for modality in turn.modalities
            ]
            if min(places) >= 0:
                total += 1
                ordered += places == sorted(places)
    assert total > 100 and ordered / total > 0.85


def test_shares_of_the_mix_are_as_planned():
    first = [dialogue.turns[0] for dialogue in dialogues(1000)]
    requests = [turn for turn in first if turn.task.startswith("text_to_")]
    several = sum(turn.task == "text_to_several" for turn in requests) / len(requests)
    assert 0.13 < several < 0.22
    every = [turn for dialogue in dialogues(1000, seed=1) for turn in dialogue.turns]
    assert sum(turn.task == "out_of_domain" for turn in every) / len(every) <= 0.05


def test_the_small_world_has_the_dialogues_of_training_authors_as_a_task():
    expected = sample_phrased_dialogue(np.random.default_rng(3), TRAIN)
    assert sample_dialogue(np.random.default_rng(3), "train", "phrased") == expected
    assert sample_dialogue(np.random.default_rng(3), "train", "phrased.undo").turns[-1].task == "undo"
    with pytest.raises(ConfigError, match="undo"):
        sample_dialogue(np.random.default_rng(3), "train", "phrased.udno")
    with pytest.raises(ConfigError, match="people"):
        sample_dialogue(np.random.default_rng(3), "test", "phrased")


def test_the_task_any_is_the_own_mixture_of_the_small_world():
    first, second = (sample_dialogue(np.random.default_rng(3), "train", task) for task in ("any", None))
    assert first == second


def test_every_answer_describes_its_media_if_none_is_brief():
    rng = np.random.default_rng(0)
    for _ in range(100):
        for turn in sample_dialogue(rng, "train", "text_to_image", brief_share=0.0).turns:
            assert turn.assistant[0] != BRIEF_ANSWER


def test_general_questions_ask_for_no_medium():
    assert all(not turn.target_media and turn.task == "general" for turn in turns(30, "general"))


@pytest.mark.parametrize(
    ("words", "expected"), [("owl", "an"), ("ufo", "a"), ("UFO", "a"), ("unicorn", "a"), ("hour", "an"), ("cat", "a")]
)
def test_articles_follow_the_sound(words: str, expected: str):
    assert article(words) == expected


def test_an_article_before_a_slot_agrees_with_its_value():
    rng = np.random.default_rng(0)
    assert (
        fill(rng, "A {color} one, not an {other} one", {"color": "orange", "other": "red"})
        == "An orange one, not a red one"
    )


def test_a_sound_is_named_once():
    rng = np.random.default_rng(0)
    assert fill(rng, "the sound of {what}", {"what": "the sound of a bell"}) == "the sound of a bell"


@pytest.mark.parametrize(
    ("batch", "message"),
    [
        ({"patterns": {"imagine": ["draw {what}"]}}, "imagine: unknown intent"),
        ({"patterns": {"image": ["draw {thing}"]}}, "slot 'thing'"),
        ({"patterns": {"image": ["draw it"]}}, "lacks the slot 'what'"),
        ({"patterns": {"image": ["[draw {what}"]}}, "bracket"),
        ({"patterns": {"edit_color_named": ["make it {color}"]}}, "lacks the slot 'noun'"),
        ({"patterns": {"edit_background": ["change it"]}}, "neither"),
        ({"patterns": {"message_image": ["{color} please"]}}, "none of the slots noun, thing"),
        ({"patterns": {"message_image": ["{noun} {place} and {noun2}"]}}, "both places or none"),
        ({"patterns": {"message_image": ["{noun}, {color2}"]}}, "neither {thing2} nor {noun2}"),
        ({"patterns": {"message_video": ["a video of {thing}"]}}, "none of the slots inf, ing, s"),
        ({"patterns": {"message_several": ["{audio} please"]}}, "fewer than two media"),
        ({"image": ["draw {what}"], "patterns": {}}, "'image' is unknown"),
        ({"patterns": {}, "talk": {"weather": ["nice day"]}}, "unknown topic"),
    ],
)
def test_a_faulty_batch_is_refused_by_name(batch: dict, message: str, tmp_path: Path):
    path = tmp_path / "anna.json"
    path.write_text(json.dumps(batch))
    with pytest.raises(ConfigError, match=message) as caught:
        read_author(path)
    assert "anna.json" in str(caught.value)


@pytest.mark.parametrize(
    ("words", "intent", "content", "start"),
    [
        ("is it low?", "q_sound_pitch", SoundSpec("flute", "low"), "Yes, "),
        ("was that low", "q_sound_pitch", SoundSpec("flute", "high"), "No, "),
        ("is it high or low?", "q_sound_pitch", SoundSpec("flute", "high"), "It"),
        ("how high is it?", "q_sound_pitch", SoundSpec("flute", "high"), "It"),
        ("Was it repeated?", "q_sound_how", SoundSpec("flute", "high", "single"), "No, "),
        ("does it go up or down?", "q_sound_how", SoundSpec("flute", "high", "rising"), "It"),
        ("is it big?", "q_size", SceneSpec((ObjectSpec("cat", size="large"),)), "Yes, "),
    ],
)
def test_a_question_about_one_value_is_answered_with_yes_or_no(
    words: str, intent: str, content: SoundSpec | SceneSpec, start: str
):
    found = questions.answer_yes_or_no(words, intent, content, QuestionAnswer("It is so.", (("so",),)))
    assert found.answer.startswith(start)


def test_no_author_has_a_word_for_an_unknown_thing():
    names = out_of_domain.unknown_names((*UNKNOWN["things"].train, *UNKNOWN["sounds"].train, "church choir"))
    assert "church choir" not in names and len(names) > 200
    for author in AUTHORS:
        words = {w.lower() for ws in author.synonyms.nouns.values() for w in ws}
        assert not words & set(names), author.name
    assert not {word for words in everyday_nouns().values() for word in words} & set(names)


@pytest.mark.parametrize("kind", ["things", "names", "sounds"])
def test_no_held_out_word_for_an_unknown_thing_is_part_of_one_in_training(kind: str):
    trained = [word for words in everyday_nouns().values() for word in words]
    trained += [name for one in ("things", "names", "sounds") for name in UNKNOWN[one].train]
    text = f" {' | '.join(trained).lower()} "
    assert not [word for word in UNKNOWN[kind].held_out if f" {word.lower()} " in text]


def test_an_everyday_noun_has_one_meaning():
    objects = [name for name, words in everyday_nouns().items() for _ in set(words)]
    words = [word for words in everyday_nouns().values() for word in set(words)]
    assert set(objects) <= set(OBJECTS) and len(words) > 900
    assert len(set(words)) == len(words) and not set(words) & set(OBJECTS)


def test_an_author_of_the_evaluation_has_no_words_of_others(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(noun_phrases, "everyday_nouns", lambda: dict.fromkeys(OBJECTS, ("zqnoun",)))
    options = {"free_form_rate": 0.0}
    of_dev = dialogues(100, "text_to_image", authors=DEV, any_split=True, **options)
    of_train = dialogues(100, "text_to_image", **options)
    has_marks = [["zqnoun" in text_of(d.turns[-1]).lower() for d in found] for found in (of_dev, of_train)]
    assert not any(has_marks[0]) and sum(has_marks[1]) > 10


def test_a_template_for_unknown_things_also_requests_known_ones():
    author = next(author for author in TRAIN if author.has("image", "unknown_image"))
    patterns = {"unknown_image": ("zq {x}",), "image": ("draw {what}",)}
    said = [
        text_of(dialogue.turns[-1]).lower()
        for dialogue in dialogues(
            200, "text_to_image", authors=(author.model_copy(update={"patterns": patterns}),), free_form_rate=0.0
        )
    ]
    assert 20 < sum(text.startswith("zq") for text in said) < 100
