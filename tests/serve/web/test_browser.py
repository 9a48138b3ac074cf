"""The chat page in headless Chromium: what a person does, and what comes of it."""

from __future__ import annotations

import base64
import json
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.browser

KINDS = ("image", "audio", "video")
DROP = """([bytes, name, type, event]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))], name, { type }));
  const target = document.querySelector('#message');
  const made = event === 'paste'
    ? new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })
    : new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true });
  target.dispatchEvent(made);
}"""
CONTRAST = """(selector) => {
  const numbers = (colour) => {
    const canvas = new OffscreenCanvas(1, 1).getContext('2d');
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    return [...canvas.getImageData(0, 0, 1, 1).data];
  };
  const light = (colour) => numbers(colour).slice(0, 3).map((value) => value / 255)
    .map((value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const found = [...document.querySelectorAll(selector)].filter((element) => element.offsetParent);
  return found.map((element) => {
    let ground = element;
    while (numbers(getComputedStyle(ground).backgroundColor)[3] < 255) ground = ground.parentElement;
    const [a, b] = [getComputedStyle(element).color, getComputedStyle(ground).backgroundColor].map(light);
    return (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
  });
}"""


def choose(page: Any, *names: str) -> None:
    """Press the modalities of the answer, and no others."""
    for toggle in page.query_selector_all(".chip"):
        wanted = toggle.get_attribute("data-modality") in names
        if wanted != (toggle.get_attribute("aria-pressed") == "true"):
            toggle.click()


def attached(page: Any, count: int = 1) -> None:
    """Wait until so many attachments were read."""
    page.wait_for_function(f"document.querySelectorAll('.attachment[data-kind]').length === {count}")


def ready(page: Any) -> Any:
    """The page once nothing is being answered."""
    page.wait_for_selector(".ng[data-state=ready]")
    return page


def answer(page: Any) -> str:
    """The words of the latest answer."""
    return page.locator(".turn.assistant .words").last.inner_text()


def plays(page: Any, selector: str) -> None:
    """Wait until a player has its medium and its time goes on."""
    page.wait_for_function("(selector) => document.querySelector(selector).readyState >= 3", arg=selector)
    page.wait_for_function("(selector) => document.querySelector(selector).currentTime > 0.05", arg=selector)


def test_an_example_is_answered_and_the_conversation_survives_a_reload(page: Any) -> None:
    page.click(".example >> nth=0")
    page.wait_for_selector(".turn.assistant .words")
    ready(page)
    said = page.inner_text(".turn.user .words")
    page.reload()
    page.wait_for_selector(".turn.assistant .words")
    assert page.inner_text(".turn.user .words") == said
    assert page.inner_text(".room[aria-current=true]") == said
    page.click("#new")
    page.wait_for_selector(".welcome", state="visible")
    page.click(".room")
    page.wait_for_selector(f".turn.user .words >> text={said}")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_attached_by_the_button(page: Any, stage: Any, files: dict[str, Path], kind: str) -> None:
    page.set_input_files(".composer input[type=file]", str(files[kind]))
    attached(page)
    page.press("#message", "Enter")
    page.wait_for_selector(f".turn.user .medium[data-kind={kind}]")
    ready(page)
    assert answer(page).endswith(f"I got {kind}.")
    assert [part.modality for part in stage.heard[-1].messages[-1].parts] == [kind]


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_file_is_attached_by_drag_and_by_paste(
    page: Any, files: dict[str, Path], say: Any, event: str
) -> None:
    content = base64.b64encode(files["image"].read_bytes()).decode()
    page.evaluate(DROP, [content, "red.png", "image/png", event])
    attached(page)
    assert "red.png" in page.inner_text(".attachment")
    assert answer(say(page, "What?")).endswith("I got image, text.")


def test_what_is_no_medium_is_told(page: Any, tmp_path: Path, tolerated: list[str]) -> None:
    tolerated.append("status of 400")
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.7 nothing")
    with page.expect_response("**/media") as told:
        page.set_input_files(".composer input[type=file]", str(path))
    assert told.value.status == 400
    page.wait_for_selector(
        ".toast >> text=a.pdf: The file is a PDF document; expected a picture, sound or film."
    )
    assert page.query_selector(".attachment") is None


def test_what_was_attached_can_be_removed(page: Any, files: dict[str, Path]) -> None:
    page.set_input_files(".composer input[type=file]", str(files["image"]))
    attached(page)
    assert page.is_enabled("#send")
    page.click(".attachment .remove")
    assert page.query_selector(".attachment") is None
    assert page.is_disabled("#send")


def test_sound_comes_from_the_microphone(page: Any) -> None:
    page.click(".mic")
    page.wait_for_selector(".mic[aria-pressed=true]")
    page.wait_for_timeout(700)
    page.click(".mic")
    attached(page)
    page.click("#send")
    plays_after = page.wait_for_selector(".turn.user .medium[data-kind=audio] .toggle")
    ready(page)
    assert answer(page).endswith("I got audio.")
    plays_after.click()
    plays(page, ".turn.user audio")


def test_a_picture_and_a_film_come_from_the_camera(page: Any) -> None:
    page.click(".bar .camera")
    page.click(".finder .take")
    attached(page)
    page.click(".bar .camera")
    page.wait_for_function("document.querySelector('.finder video')?.readyState >= 3")
    page.click(".finder .film")
    page.wait_for_timeout(1500)
    page.click(".finder .film")
    attached(page, 2)
    page.click("#send")
    page.wait_for_selector(".turn.assistant .words")
    ready(page)
    assert answer(page).endswith("I got image, video.")


def test_every_medium_comes_in_speaking_order_and_plays(page: Any, say: Any) -> None:
    choose(page, "text", *KINDS)
    say(page, "everything")
    shown = page.eval_on_selector_all(
        ".turn.assistant:not(.tail) > .content > *", "all => all.map((one) => one.dataset.kind ?? 'text')"
    )
    assert shown == ["text", *KINDS]
    page.wait_for_function("document.querySelector('.turn.assistant img').naturalWidth === 8")
    assert (
        page.eval_on_selector(".turn.assistant img", "one => getComputedStyle(one).imageRendering")
        == "pixelated"
    )
    page.click(".turn.assistant .audio .toggle")
    plays(page, ".turn.assistant audio")
    plays(page, ".turn.assistant video")
    page.fill(".turn.assistant .seek", "500")
    page.wait_for_function("document.querySelector('.turn.assistant audio').currentTime > 0.7")
    choose(page)


def test_a_picture_is_enlarged_and_closed_by_a_key(page: Any, say: Any) -> None:
    choose(page, "image")
    say(page, "a picture")
    page.click(".turn.assistant .frame")
    page.wait_for_selector(".lightbox img", state="visible")
    page.keyboard.press("Escape")
    page.wait_for_selector(".lightbox", state="detached")
    choose(page)


def test_a_medium_on_its_way_shows_its_step_and_a_preview(page: Any, stage: Any) -> None:
    stage.gate.clear()
    choose(page, "text", "image")
    page.fill("#message", "wait for it")
    page.press("#message", "Enter")
    page.wait_for_selector(".making[data-kind=image] >> text=Image: step 2 of 3")
    assert page.get_attribute(".making progress", "value") == "2"
    page.wait_for_function("document.querySelector('.making img')?.naturalWidth > 0")
    assert page.inner_text(".turn.assistant .words") == "Here it is."
    stage.gate.set()
    page.wait_for_selector(".turn.assistant .medium img")
    ready(page)
    assert page.query_selector(".making") is None
    choose(page)


@pytest.mark.parametrize("how", ["button", "key"])
def test_an_answer_is_stopped_and_what_was_said_stays(page: Any, stage: Any, say: Any, how: str) -> None:
    stage.closed.clear()
    page.fill("#message", "slow")
    page.press("#message", "Enter")
    page.wait_for_selector(".turn.assistant .words >> text=and and")
    page.click("#send") if how == "button" else page.keyboard.press("Escape")
    page.wait_for_selector(".foot >> text=Stopped.")
    ready(page)
    assert stage.closed.wait(10)
    assert answer(page).startswith("and and")
    assert answer(say(page, "go on")).startswith("Turn 3")


def test_a_page_that_goes_away_ends_its_answer(visit: Any, chat: str, stage: Any) -> None:
    stage.closed.clear()
    page = ready(visit(chat))
    page.fill("#message", "slow")
    page.press("#message", "Enter")
    page.wait_for_selector(".turn.assistant .words >> text=and and")
    page.close()
    assert stage.closed.wait(30)


def test_a_retry_has_another_seed(page: Any, stage: Any, say: Any) -> None:
    first = answer(say(page, "hello"))
    assert "seed 0" in page.inner_text("#seed-was")
    page.click(".retry")
    page.wait_for_function("!['seed 0', undefined].includes(document.querySelector('#seed-was')?.innerText)")
    ready(page)
    assert answer(page) != first
    assert page.locator(".turn.assistant .words").count() == 1
    assert page.inner_text("#seed-was") == f"seed {stage.samplings[-1].seed}"
    assert stage.samplings[-1].seed != 0


def test_an_answer_tells_its_details_and_the_request_that_gives_it_again(
    page: Any, chat: str, stage: Any, say: Any
) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose(page, "text", "image")
    say(page, 'it\'s a "cat"')
    choose(page)
    say(page, "thanks")
    page.hover(".turn.assistant >> nth=0")
    page.click(".turn.assistant:not(.tail) .about >> nth=0")
    told = page.inner_text(".drawer")
    assert re.search(r"Seed\s+0\s+Ended\s+when all was said", told)
    assert "Here it is.[IMG0][IMG1][IMG2][IMG3]" in told
    assert page.locator(".drawer mark").all_inner_texts() == ["[IMG0][IMG1][IMG2][IMG3]"]
    assert re.search(r"Language model\s+0.250 s\s+Image\s+0.500 s\s+Altogether\s+0.750 s", told)
    page.click("[data-copies=python]")
    page.wait_for_selector(".drawer [role=status] >> text=Copied")
    program = page.evaluate("navigator.clipboard.readText()")
    assert f'base_url="{chat}/v1"' in program
    assert json.dumps('it\'s a "cat"') in program and "thanks" not in program
    page.click("[data-copies=curl]")
    page.wait_for_function("navigator.clipboard.readText().then((words) => words.startsWith('curl'))")
    body = page.evaluate("navigator.clipboard.readText()").partition("<<'JSON'\n")[2].removesuffix("\nJSON\n")
    answered = page.request.post(f"{chat}/v1/chat/completions", data=json.loads(body)).json()
    assert answered["choices"][0]["message"]["content"] == "Here it is."
    assert stage.samplings[-1] == stage.samplings[-3]
    page.keyboard.press("Escape")
    page.wait_for_selector(".drawer", state="detached")
    assert "about" in page.evaluate("document.activeElement.className")


def test_a_request_that_may_not_be_copied_is_shown_selected(page: Any, say: Any) -> None:
    say(page, "hello")
    page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    page.focus(".tail .about")
    page.keyboard.press("Enter")
    page.click("[data-copies=python]")
    page.wait_for_selector(".drawer [role=status] >> text=Selected")
    selected = page.evaluate("document.getSelection().toString()")
    assert selected.startswith("import openai") and '"hello"' in selected


def test_only_answers_of_this_server_have_details(page: Any, say: Any, tmp_path: Path) -> None:
    say(page, "hello")
    assert page.is_visible(".tail .about")
    with page.expect_download() as download:
        page.click("#export")
    download.value.save_as(tmp_path / "a.zip")
    page.set_input_files("#import", str(tmp_path / "a.zip"))
    page.wait_for_selector("#seed-was", state="detached")
    assert page.is_visible(".tail .copy")
    assert not page.is_visible(".about")


def test_an_edited_message_is_answered_anew_and_what_followed_is_gone(
    page: Any, stage: Any, say: Any
) -> None:
    say(page, "first")
    say(page, "second")
    page.hover(".turn.user >> nth=0")
    page.click(".turn.user .edit >> nth=0")
    page.fill(".rewrite textarea", "other")
    page.click(".rewrite .main")
    page.wait_for_selector(".turn.user .words >> text=other")
    page.wait_for_function("document.querySelectorAll('.turn.user').length === 1")
    ready(page)
    assert [message.text for message in stage.heard[-1]] == ["other"]
    assert answer(page).startswith("Turn 1")


def test_what_was_made_is_used_as_input_from_the_answer_and_from_the_gallery(
    page: Any, stage: Any, say: Any
) -> None:
    choose(page, "image", "audio")
    say(page, "make them")
    choose(page)
    page.click(".turn.assistant .medium[data-kind=image] .use")
    page.click("#gallery")
    kinds = page.eval_on_selector_all(".gallery .medium", "all => all.map((one) => one.dataset.kind)")
    assert kinds == ["audio", "image"]
    page.click(".gallery .medium[data-kind=audio] .use")
    page.wait_for_selector(".gallery", state="detached")
    attached(page, 2)
    assert answer(say(page, "Again")).endswith("I got image, audio, text.")
    made = stage.heard[-1].messages[1].media
    assert [one.digest for one in stage.heard[-1].messages[2].media] == [one.digest for one in made]


def test_a_conversation_is_exported_and_imported_with_its_media(page: Any, say: Any, tmp_path: Path) -> None:
    choose(page, "text", *KINDS)
    say(page, "everything, please")
    choose(page)
    with page.expect_download() as download:
        page.click("#export")
    path = tmp_path / "conversation.zip"
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        assert json.loads(archive.read("conversation.json"))[0]["parts"][0]["text"] == "everything, please"
        assert {Path(name).suffix for name in archive.namelist()} == {".json", ".png", ".wav", ".mp4"}
    room = page.evaluate("JSON.parse(localStorage.nextgpt).open")
    page.set_input_files("#import", str(path))
    page.wait_for_function("(room) => JSON.parse(localStorage.nextgpt).open !== room", arg=room)
    page.wait_for_selector(".turn.assistant .medium[data-kind=video]")
    assert page.locator(".turn.assistant .medium").count() == 3
    plays(page, ".turn.assistant video")
    assert answer(say(page, "go on")).startswith("Turn 3")


def test_a_damaged_archive_is_told(page: Any, tmp_path: Path, tolerated: list[str]) -> None:
    tolerated.append("status of 400")
    path = tmp_path / "a.zip"
    path.write_bytes(b"no archive")
    with page.expect_response("**/rooms"):
        page.set_input_files("#import", str(path))
    page.wait_for_selector(".toast >> text=damaged, encrypted or no ZIP")


def test_settings_reach_the_model_and_are_kept(page: Any, stage: Any, say: Any) -> None:
    page.click("#settings")
    page.fill("#seed", "17")
    for name, value in (("steps", "9"), ("guidance", "2.5"), ("length", "40")):
        page.fill(f"#{name}", value)
    page.keyboard.press("Escape")
    choose(page)
    assert "seed 17" in answer(say(page, "hello"))
    page.reload()
    ready(page)
    choose(page, "image")
    say(page, "again")
    used = stage.samplings[-1]
    assert (used.seed, used.steps, used.guidance, used.max_tokens) == (17, 9, 2.5, 40)
    assert used.modalities == ("image",)
    page.click("#settings")
    page.click(".sheet .plain")
    assert page.input_value("#seed") == "0"


def test_a_refusal_is_told_and_tried_again(page: Any, say: Any) -> None:
    say(page, "refuse")
    assert "expected another word" in page.inner_text(".foot [role=alert]")
    assert page.is_visible(".retry")
    assert answer(say(page, "something else")).startswith("Turn 2")


def test_a_turn_takes_the_keyboard_alone(page: Any, stage: Any) -> None:
    assert page.evaluate("document.activeElement.id") == "message"
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn.assistant .words")
    ready(page)
    assert stage.heard[-1].messages[-1].text == "one\ntwo"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("three")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn.user .words >> text=three")
    ready(page)
    page.focus("#message")
    reached = []
    for _ in range(40):
        page.keyboard.press("Shift+Tab")
        reached.append(page.evaluate("document.activeElement.className"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        if "retry" in reached[-1]:
            break
    before = len(stage.samplings)
    page.keyboard.press("Enter")
    page.wait_for_selector(".ng[data-state=busy]", state="detached")
    page.wait_for_function("!['seed 0', undefined].includes(document.querySelector('#seed-was')?.innerText)")
    assert len(stage.samplings) == before + 1


def test_an_answer_is_read_out(page: Any, say: Any) -> None:
    say(page, "hello")
    spoken = page.locator("#spoken")
    assert spoken.get_attribute("aria-live") == "polite"
    assert re.search(r"complete: .*I got text", spoken.inner_text().replace("\n", " "))


def test_the_page_fits_a_phone(visit: Any, chat: str, say: Any, files: dict[str, Path]) -> None:
    page = ready(visit(chat, viewport={"width": 360, "height": 740}, has_touch=True, is_mobile=True))
    fits = "[document.documentElement, document.querySelector('.scroll')].every((one) => one.scrollWidth <= innerWidth)"
    assert page.evaluate(fits)
    page.set_input_files(".composer input[type=file]", [str(path) for path in files.values()])
    attached(page, 3)
    assert page.evaluate(fits)
    choose(page, "text", *KINDS)
    say(page, "x" * 200)
    page.wait_for_selector(".turn.assistant video")
    assert page.evaluate(fits)
    page.tap(".tail .about")
    page.wait_for_selector(".drawer")
    assert page.evaluate("document.querySelector('.drawer').scrollWidth <= innerWidth")
    page.tap(".drawer header button")
    box = page.locator("#send").bounding_box()
    assert box["x"] + box["width"] <= 360 and box["y"] + box["height"] <= 740
    assert not page.is_visible(".side")
    page.tap(".menu")
    page.wait_for_selector(".side.open .room", state="visible")
    page.tap("#new")
    page.wait_for_selector(".welcome", state="visible")
    assert not page.evaluate("document.querySelector('.side').classList.contains('open')")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_words_stand_out_in_both_themes(visit: Any, chat: str, say: Any, theme: str) -> None:
    page = ready(visit(chat, color_scheme=theme))
    measured = page.evaluate(
        CONTRAST, ".welcome h1, .welcome p, .example strong, .example span, .chip, .side *, #send"
    )
    choose(page, "text", "image")
    say(page, "hello")
    measured += page.evaluate(CONTRAST, ".words, .words div, .facts, .use, .room, .actions button")
    page.click(".tail .about")
    page.wait_for_selector(".drawer mark")
    measured += page.evaluate(
        CONTRAST, ".drawer h3, .drawer dt, .drawer dd, .code, .code mark, .drawer button"
    )
    assert len(measured) > 30
    assert min(measured) >= 4.5
    brightness = page.evaluate(
        "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)[0]"
    )
    assert (brightness < 60) == (theme == "dark")


def test_the_theme_is_switched_and_kept(page: Any) -> None:
    assert page.evaluate("document.documentElement.dataset.theme") == "light"
    page.click("#theme")
    page.reload()
    ready(page)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"


def test_conversations_are_renamed_and_found(page: Any, say: Any) -> None:
    say(page, "a red cat")
    page.click("#new")
    page.wait_for_selector(".welcome", state="visible")
    say(page, "a blue dog")
    page.hover(".rooms li")
    page.click("[aria-label='Rename this conversation']")
    page.fill("input.room", "My whale")
    page.press("input.room", "Enter")
    page.reload()
    page.wait_for_selector("button.room:has-text('My whale')")
    page.focus("button.room >> nth=0")
    page.keyboard.press("F2")
    page.fill("input.room", "nothing of this stays")
    page.keyboard.press("Escape")
    assert page.locator("button.room").all_inner_texts() == ["My whale", "a red cat"]
    page.fill("#find", "WHALE")
    assert page.locator("button.room").all_inner_texts() == ["My whale"]
    page.fill("#find", "zebra")
    page.wait_for_selector(".rooms >> text=No conversation has this in its name.")
    page.fill("#find", "")
    assert page.locator("button.room").count() == 2


def test_a_deleted_conversation_is_gone(page: Any, chat: str, say: Any) -> None:
    say(page, "forget me")
    room = page.evaluate("JSON.parse(localStorage.nextgpt).open")
    page.hover(".rooms li")
    page.click("[aria-label='Delete this conversation']")
    page.wait_for_selector(".welcome", state="visible")
    assert page.locator(".room").count() == 0
    assert page.request.get(f"{chat}/chat/rooms/{room}/export").status == 404


def test_a_conversation_that_the_server_forgot_is_told_and_the_words_are_kept(
    page: Any, chat: str, say: Any
) -> None:
    say(page, "hello")
    room = page.evaluate("JSON.parse(localStorage.nextgpt).open")
    assert page.request.delete(f"{chat}/chat/rooms/{room}").status == 204
    say(page, "are you there?")
    page.wait_for_selector(".toast >> text=not kept any more")
    assert page.input_value("#message") == "are you there?"
    page.press("#message", "Enter")
    page.wait_for_selector(".turn.assistant .words")
    assert answer(ready(page)).startswith("Turn 1")


def test_markup_of_a_person_or_the_model_is_words(page: Any, say: Any) -> None:
    page.on("dialog", lambda dialog: pytest.fail("a script of the message ran"))
    say(page, "<img src=x onerror=alert(1)> <b>bold</b>")
    assert page.inner_text(".turn.user .words") == "<img src=x onerror=alert(1)> <b>bold</b>"
    assert page.locator(".turn.assistant .words strong").inner_text() == "seed 0"


def test_a_key_is_typed_once_and_opens_the_page_alone(visit: Any, keyed_chat: str, say: Any) -> None:
    page = visit(keyed_chat)
    page.wait_for_selector("#key")
    assert page.url == f"{keyed_chat}/chat/key"
    page.fill("#key", "open sesame")
    page.press("#key", "Enter")
    ready(page)
    assert answer(say(page, "hello")).endswith("I got text.")
    assert page.request.get(f"{keyed_chat}/v1/models").status == 401
    assert "sesame" not in json.dumps(page.context.cookies())
    assert page.evaluate("document.cookie") == ""


@pytest.mark.slow
def test_nano_draws_plays_and_films_in_the_page(visit: Callable[..., Any], serving: Any, say: Any) -> None:
    from nextgpt import NextGPT
    from nextgpt.serve.engine import BatchingEngine
    from nextgpt.serve.web import MOUNT

    engine = BatchingEngine(NextGPT.from_pretrained("nano"), "nano")
    with serving(engine, mount=[MOUNT]) as address:
        page = ready(visit(address))
        for kind in KINDS:
            choose(page, "text", kind)
            say(
                page,
                {"image": "Draw a red cat.", "audio": "Play a trumpet.", "video": "Show me a moving ball."}[
                    kind
                ],
            )
            page.wait_for_selector(f".turn.assistant .medium[data-kind={kind}]")
        page.click(".tail .about")
        assert re.search(r"Prompt\s+\d+ tokens\s+Answer\s+\d+ tokens", page.inner_text(".drawer"))
        assert page.inner_text(".drawer mark").startswith("[VID0][VID1]")
        page.keyboard.press("Escape")
        page.wait_for_function("document.querySelector('.turn.assistant img').naturalWidth === 64")
        page.click(".turn.assistant .audio .toggle")
        plays(page, ".turn.assistant audio")
        plays(page, ".turn.assistant video")
        page.close()
