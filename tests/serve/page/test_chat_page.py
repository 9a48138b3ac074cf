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
from tests.browser import ready

pytestmark = pytest.mark.browser

KINDS = ("image", "audio", "video")
DROP = """([bytes, name, type, event]) => {
  const data = new DataTransfer();
  data.items.add(new File([Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0))], name, { type }));
  const target = document.querySelector('#message');
  target.dispatchEvent(event === 'paste'
    ? new ClipboardEvent('paste', { clipboardData: data, bubbles: true, cancelable: true })
    : new DragEvent('drop', { dataTransfer: data, bubbles: true, cancelable: true }));
}"""
FITS = """[document.documentElement, document.querySelector('.scroll'), document.querySelector('.composer')]
  .every((one) => one.scrollWidth <= innerWidth)"""
STORED = """async () => {
  const database = await new Promise((resolve) => {
    const request = indexedDB.open('nextgpt');
    request.onsuccess = () => resolve(request.result);
  });
  const all = (name) => new Promise((resolve) => {
    const request = database.transaction(name).objectStore(name).getAll();
    request.onsuccess = () => resolve(request.result);
  });
  return { conversations: await all('conversations'), media: (await all('media')).length };
}"""


def choose(page: Any, *names: str) -> None:
    """Press the modalities of the answer, and no others."""
    for index in range(page.locator(".chip").count()):
        toggle = page.locator(".chip").nth(index)  # found anew for each action: the page may rebuild its toggles
        wanted = toggle.get_attribute("data-modality") in names
        if wanted != (toggle.get_attribute("aria-pressed") == "true"):
            toggle.click()


def wait_for_attachments(page: Any, count: int = 1) -> None:
    """Wait until so many attachments were read."""
    page.wait_for_selector(f".attachment[data-kind] >> nth={count - 1}")
    assert page.locator(".attachment").count() == count


def answer(page: Any) -> str:
    """Return the text of the latest answer."""
    return str(page.locator(".turn.assistant .text").last.inner_text())


def wait_until_it_plays(page: Any, until: Any, selector: str) -> None:
    """Wait until a player has its medium and its time goes on."""
    until(page, "(selector) => document.querySelector(selector).readyState >= 3", selector)
    until(page, "(selector) => document.querySelector(selector).currentTime > 0.05", selector)


def test_an_example_is_answered_and_the_conversation_survives_a_reload(page: Any) -> None:
    page.click(".example >> nth=0")
    page.wait_for_selector(".turn.assistant .text")
    ready(page)
    text = page.inner_text(".turn.user .text")
    page.reload()
    page.wait_for_selector(".turn.assistant .text")
    assert page.inner_text(".turn.user .text") == text
    assert page.inner_text(".conversation[aria-current=page]") == text
    page.click("#new")
    page.wait_for_selector(".welcome", state="visible")
    page.click(".conversation")
    page.wait_for_selector(f".turn.user .text >> text={text}")


def test_every_conversation_has_an_address(page: Any, chat: str, say: Any) -> None:
    assert page.evaluate("location.hash") == ""
    say(page, "first")
    first = page.evaluate("location.hash")
    assert re.fullmatch(r"#/c/[0-9a-f]{32}", first)
    page.click("#new")
    say(page, "second")
    assert page.evaluate("location.hash") != first
    page.go_back()
    page.wait_for_selector(".welcome", state="visible")
    page.goto(f"{chat}/{first}")
    page.wait_for_selector(".turn.user >> text=first")
    assert page.title() == "first – NExT-GPT"
    page.goto(f"{chat}/#/c/{'0' * 32}")
    page.wait_for_selector(".toast >> text=not kept in this browser")
    page.wait_for_selector(".welcome", state="visible")


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_attached_by_the_button(page: Any, model: Any, files: dict[str, Path], kind: str) -> None:
    page.set_input_files(".composer input[type=file]", str(files[kind]))
    wait_for_attachments(page)
    page.press("#message", "Enter")
    page.wait_for_selector(f".turn.user .medium[data-kind={kind}]")
    ready(page)
    assert answer(page).endswith(f"I got {kind}.")
    assert [part.modality for part in model.conversations[-1].messages[-1].parts] == [kind]


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_a_file_is_attached_by_drag_and_by_paste(page: Any, files: dict[str, Path], say: Any, event: str) -> None:
    content = base64.b64encode(files["image"].read_bytes()).decode()
    page.evaluate(DROP, [content, "red.png", "image/png", event])
    wait_for_attachments(page)
    assert "red.png" in page.inner_text(".attachment")
    assert answer(say(page, "What?")).endswith("I got image, text.")


def test_a_file_that_is_no_medium_is_refused(page: Any, tmp_path: Path, tolerated: list[str]) -> None:
    tolerated.append("status of 400")
    path = tmp_path / "a.pdf"
    path.write_bytes(b"%PDF-1.7 nothing")
    page.set_input_files(".composer input[type=file]", str(path))
    page.wait_for_selector(".toast >> text=/a.pdf: .*PDF document/")
    assert page.query_selector(".attachment") is None


def test_an_attachment_can_be_removed(page: Any, files: dict[str, Path]) -> None:
    page.set_input_files(".composer input[type=file]", str(files["image"]))
    wait_for_attachments(page)
    assert page.is_enabled("#send")
    page.click(".attachment .remove")
    assert page.query_selector(".attachment") is None
    assert page.is_disabled("#send")
    assert page.evaluate("document.activeElement.id") == "message"


def test_a_large_file_is_uploaded_once_and_then_named_by_its_id(
    page: Any, model: Any, say: Any, tmp_path: Path
) -> None:
    import numpy as np
    import PIL.Image

    noise = np.random.default_rng(0).integers(0, 255, (800, 800, 3), dtype=np.uint8)
    PIL.Image.fromarray(noise).save(tmp_path / "noise.png")
    bodies: list[int] = []
    page.on("request", lambda request: bodies.append(len(request.post_data or "")) if "chat" in request.url else None)
    page.set_input_files(".composer input[type=file]", str(tmp_path / "noise.png"))
    wait_for_attachments(page)
    say(page, "What?")
    assert answer(say(page, "And now?")).startswith("Turn 3")
    assert [part.modality for part in model.conversations[-1].messages[0].parts] == ["image", "text"]
    assert len(bodies) == 2 and max(bodies) < 5_000


def test_audio_comes_from_the_microphone(page: Any, until: Any) -> None:
    page.click(".mic")
    page.wait_for_selector(".mic[aria-pressed=true]")
    page.wait_for_timeout(700)
    page.click(".mic")
    wait_for_attachments(page)
    page.click("#send")
    toggle = page.wait_for_selector(".turn.user .medium[data-kind=audio] .toggle")
    ready(page)
    assert answer(page).endswith("I got audio.")
    toggle.click()
    wait_until_it_plays(page, until, ".turn.user audio")


def test_an_image_and_a_video_come_from_the_camera(page: Any, until: Any) -> None:
    page.click(".bar .camera")
    page.click(".finder .take")
    wait_for_attachments(page)
    page.click(".bar .camera")
    until(page, "document.querySelector('.finder video')?.readyState >= 3")
    page.click(".finder .film")
    page.wait_for_timeout(1500)
    page.click(".finder .film")
    wait_for_attachments(page, 2)
    page.click("#send")
    page.wait_for_selector(".turn.assistant .text")
    ready(page)
    assert answer(page).endswith("I got image, video.")


def test_every_medium_comes_in_output_order_and_plays(page: Any, say: Any, until: Any) -> None:
    choose(page, "text", *KINDS)
    say(page, "everything")
    shown = page.eval_on_selector_all(
        ".turn.assistant:not(.tail) > .content > *", "all => all.map((one) => one.dataset.kind ?? 'text')"
    )
    assert shown == ["text", *KINDS]
    until(page, "document.querySelector('.turn.assistant img').naturalWidth === 8")
    rendering = "one => getComputedStyle(one).imageRendering"
    assert page.eval_on_selector(".turn.assistant img", rendering) == "pixelated"
    page.click(".turn.assistant .audio .toggle")
    wait_until_it_plays(page, until, ".turn.assistant audio")
    wait_until_it_plays(page, until, ".turn.assistant video")
    page.fill(".turn.assistant .seek", "500")
    until(page, "document.querySelector('.turn.assistant audio').currentTime > 0.7")


def test_the_server_keeps_no_media_of_the_page(
    page: Any, chat: str, say: Any, files: dict[str, Path], until: Any
) -> None:
    page.set_input_files(".composer input[type=file]", [str(path) for path in files.values()])
    wait_for_attachments(page, 3)
    choose(page, *KINDS)
    say(page, "everything")
    deadline = 50
    while page.request.get(f"{chat}/v1/files").json()["data"] and deadline:
        page.wait_for_timeout(100)
        deadline -= 1
    names = [file["filename"] for file in page.request.get(f"{chat}/v1/files").json()["data"]]
    assert [name for name in names if name != "noise.png"] == []


def test_an_image_is_enlarged_and_closed_by_a_key(page: Any, say: Any) -> None:
    choose(page, "image")
    say(page, "an image")
    page.click(".turn.assistant .frame")
    page.wait_for_selector(".lightbox img", state="visible")
    page.keyboard.press("Escape")
    page.wait_for_selector(".lightbox", state="detached")
    assert "frame" in page.evaluate("document.activeElement.className")


def test_a_medium_in_progress_shows_its_step_and_a_preview(page: Any, model: Any, until: Any) -> None:
    model.gate.clear()
    choose(page, "text", "image")
    page.fill("#message", "wait for it")
    page.press("#message", "Enter")
    page.wait_for_selector(".making[data-kind=image] >> text=Image: step 2 of 3")
    assert page.get_attribute(".making progress", "value") == "2"
    until(page, "document.querySelector('.making img')?.naturalWidth > 0")
    assert page.inner_text(".turn.assistant .text") == "Here it is."
    model.gate.set()
    page.wait_for_selector(".turn.assistant .medium img")
    ready(page)
    assert page.query_selector(".making") is None


def test_audio_in_progress_shows_its_waveform(page: Any, model: Any) -> None:
    model.gate.clear()
    choose(page, "audio")
    page.fill("#message", "wait for it")
    page.press("#message", "Enter")
    page.wait_for_selector(".making[data-kind=audio] .bars svg")
    model.gate.set()
    page.wait_for_selector(".turn.assistant .medium[data-kind=audio]")
    ready(page)


@pytest.mark.parametrize("how", ["button", "key"])
def test_an_answer_is_stopped_and_its_text_stays(page: Any, model: Any, say: Any, how: str) -> None:
    model.cancelled.clear()
    page.fill("#message", "slow")
    page.press("#message", "Enter")
    page.wait_for_selector(".turn.assistant .text >> text=and and")
    page.click("#send") if how == "button" else page.keyboard.press("Escape")
    page.wait_for_selector(".foot >> text=Stopped.")
    ready(page)
    assert model.cancelled.wait(10)
    assert answer(page).startswith("and and")
    assert page.evaluate("document.activeElement.id") == "message"
    page.reload()
    page.wait_for_selector(".foot >> text=Stopped.")
    assert answer(say(page, "go on")).startswith("Turn 3")


def test_an_answer_goes_on_while_another_conversation_is_open(page: Any, model: Any, say: Any) -> None:
    model.gate.clear()
    choose(page, "text", "image")
    page.fill("#message", "wait for it")
    page.press("#message", "Enter")
    page.wait_for_selector(".making")
    page.click("#new")
    page.wait_for_selector(".welcome", state="visible")
    assert page.get_attribute("body", "data-state") == "ready"
    page.click(".conversation")
    page.wait_for_selector(".making")
    page.click("#new")
    model.gate.set()
    page.click(".conversation")
    page.wait_for_selector(".turn.assistant .medium img")
    ready(page)


def test_a_page_that_goes_away_cancels_its_answer_and_keeps_what_arrived(visit: Any, chat: str, model: Any) -> None:
    model.cancelled.clear()
    page = ready(visit(chat))
    page.fill("#message", "slow")
    page.press("#message", "Enter")
    page.wait_for_selector(".turn.assistant .text >> text=and and")
    page.wait_for_timeout(2500)
    page.reload()
    assert model.cancelled.wait(30)
    page.wait_for_selector(".turn.assistant .text >> text=and and")


def test_a_retry_has_another_seed_and_keeps_both_versions(page: Any, model: Any, say: Any, until: Any) -> None:
    first = answer(say(page, "hello"))
    assert page.inner_text("#seed-used") == "seed 0"
    page.click(".retry")
    until(page, "!['seed 0', undefined].includes(document.querySelector('#seed-used')?.innerText)")
    ready(page)
    assert answer(page) != first
    assert page.locator(".turn.assistant .text").count() == 1
    assert page.inner_text("#seed-used") == f"seed {model.samplings[-1].seed}"
    assert model.samplings[-1].seed != 0
    page.click("[aria-label='Previous version']")
    page.wait_for_selector(".versions >> text=1/2")
    assert answer(page) == first
    assert page.evaluate("document.activeElement.getAttribute('aria-label')") == "Next version"
    page.reload()
    page.wait_for_selector(".versions >> text=1/2")


def test_a_retry_with_the_same_seed_repeats_the_answer(page: Any, model: Any, say: Any) -> None:
    first = answer(say(page, "hello"))
    page.click(".repeat")
    page.wait_for_selector(".versions >> text=2/2")
    ready(page)
    assert answer(page) == first
    assert model.samplings[-1].seed == 0


def test_an_answer_has_details_and_the_request_that_gives_it_again(page: Any, chat: str, model: Any, say: Any) -> None:
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    choose(page, "text", "image")
    say(page, 'it\'s a "cat"')
    choose(page)
    say(page, "thanks")
    page.hover(".turn.assistant >> nth=0")
    page.click(".turn.assistant:not(.tail) .about >> nth=0")
    text = page.inner_text(".drawer")
    assert re.search(r"Seed\s+0\s+Finished\s+at its end", text)
    assert "Here it is.[IMG0][IMG1][IMG2][IMG3]" in text
    assert page.locator(".drawer mark").all_inner_texts() == ["[IMG0][IMG1][IMG2][IMG3]"]
    assert re.search(r"Language model\s+0.250 s\s+Image\s+0.500 s\s+Total\s+0.750 s", text)
    page.click("[data-copies=python]")
    page.wait_for_selector(".drawer [role=status] >> text=Copied")
    program = page.evaluate("navigator.clipboard.readText()")
    assert f'base_url="{chat}/v1"' in program
    assert json.dumps('it\'s a "cat"') in program and "thanks" not in program
    page.click("[data-copies=curl]")
    page.wait_for_timeout(200)
    command = page.evaluate("navigator.clipboard.readText()")
    assert command.startswith("curl")
    body = command.partition("<<'JSON'\n")[2].removesuffix("\nJSON\n")
    completion = page.request.post(f"{chat}/v1/chat/completions", data=json.loads(body)).json()
    assert completion["choices"][0]["message"]["content"] == "Here it is."
    assert model.samplings[-1] == model.samplings[-3]
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


def test_an_edited_message_begins_a_branch_and_the_old_one_stays(page: Any, model: Any, say: Any) -> None:
    say(page, "first")
    say(page, "second")
    page.hover(".turn.user >> nth=0")
    page.click(".turn.user .edit >> nth=0")
    page.fill(".rewrite textarea", "other")
    page.click(".rewrite .main")
    page.wait_for_selector(".turn.user .text >> text=other")
    ready(page)
    assert page.locator(".turn.user").count() == 1
    assert [message.text for message in model.conversations[-1]] == ["other"]
    assert answer(page).startswith("Turn 1")
    page.click(".turn.user [aria-label='Previous version']")
    page.wait_for_selector(".turn.user >> text=second")
    assert page.locator(".turn.user .text").all_inner_texts() == ["first", "second"]


def test_editing_ends_with_escape_and_the_focus_returns(page: Any, say: Any) -> None:
    say(page, "first")
    page.focus(".turn.user .edit")
    page.keyboard.press("Enter")
    page.wait_for_selector(".rewrite textarea")
    page.keyboard.type("nothing of this stays")
    page.keyboard.press("Escape")
    page.wait_for_selector(".rewrite", state="detached")
    assert "edit" in page.evaluate("document.activeElement.className")
    assert page.inner_text(".turn.user .text") == "first"


def test_generated_media_are_used_as_input_from_the_answer_and_the_gallery(page: Any, model: Any, say: Any) -> None:
    choose(page, "image", "audio")
    say(page, "make them")
    choose(page)
    page.click(".turn.assistant .medium[data-kind=image] .use")
    page.click("#gallery")
    kinds = page.eval_on_selector_all(".gallery .medium", "all => all.map((one) => one.dataset.kind)")
    assert kinds == ["audio", "image"]
    page.click(".gallery .medium[data-kind=audio] .use")
    page.wait_for_selector(".gallery", state="detached")
    wait_for_attachments(page, 2)
    assert answer(say(page, "Again")).endswith("I got image, audio, text.")
    messages = model.conversations[-1].messages
    assert [one.digest for one in messages[2].media] == [one.digest for one in messages[1].media]


def test_a_conversation_is_exported_and_imported_with_its_media(
    page: Any, say: Any, tmp_path: Path, until: Any
) -> None:
    from nextgpt.message import Conversation

    choose(page, "text", *KINDS)
    say(page, "everything, please")
    choose(page)
    with page.expect_download() as download:
        page.click("#export")
    path = tmp_path / "conversation.zip"
    download.value.save_as(path)
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        assert {Path(name).suffix for name in archive.namelist()} == {".json", ".png", ".wav", ".mp4"}
        archive.extractall(tmp_path / "folder")
    assert len(_read_conversation(tmp_path / "folder" / "conversation.json").media) == 3
    assert isinstance(_read_conversation(tmp_path / "folder" / "conversation.json"), Conversation)
    address = page.evaluate("location.hash")
    page.set_input_files("#import", str(path))
    until(page, "(address) => location.hash !== address", address)
    page.wait_for_selector(".turn.assistant .medium[data-kind=video]")
    assert page.locator(".turn.assistant .medium").count() == 3
    assert not page.is_visible(".about")
    wait_until_it_plays(page, until, ".turn.assistant video")
    assert answer(say(page, "go on")).startswith("Turn 3")


def _read_conversation(path: Path) -> Any:
    from nextgpt.conversation_file import read_conversation

    return read_conversation(path)


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_an_archive_of_nextgpt_chat_is_imported(page: Any, tmp_path: Path, files: dict[str, Path], method: int) -> None:
    parts = [{"type": kind, "path": path.name} for kind, path in files.items()]
    messages = [
        {"role": "user", "parts": [{"type": "text", "text": "Grüße"}, *parts]},
        {"role": "assistant", "parts": [{"type": "text", "text": "Hello."}]},
    ]
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("conversation.json", json.dumps(messages))
        for path in files.values():
            archive.write(path, path.name)
    page.set_input_files("#import", str(tmp_path / "a.zip"))
    page.wait_for_selector(".turn.user .text >> text=Grüße")
    kinds = page.eval_on_selector_all(".turn.user .medium", "all => all.map((one) => one.dataset.kind)")
    assert kinds == list(KINDS)
    assert answer(page) == "Hello."


def _archive(files: dict[str, bytes]) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)

    return write


@pytest.mark.parametrize(
    ("write", "problem"),
    [
        (lambda path: path.write_bytes(b"no archive"), "no ZIP archive"),
        (lambda path: path.write_bytes(b"PK\x03\x04" + bytes(50)), "no ZIP archive"),
        (_archive({"other.json": b"[]"}), "lacks conversation.json"),
        (_archive({"conversation.json": b'[{"role": "king"}]'}), "another form"),
        (
            _archive({"conversation.json": b'[{"role": "user", "parts": [{"type": "image", "path": "../x"}]}]'}),
            "lacks ../x",
        ),
    ],
)
def test_a_wrong_archive_is_refused(page: Any, tmp_path: Path, write: Any, problem: str) -> None:
    write(tmp_path / "a.zip")
    page.set_input_files("#import", str(tmp_path / "a.zip"))
    page.wait_for_selector(f".toast >> text={problem}")
    assert page.locator(".conversation").count() == 0


def test_settings_reach_the_model_and_are_kept(page: Any, model: Any, say: Any) -> None:
    page.click("#settings")
    page.fill("#seed", "17")
    page.fill("#system", "Be brief.")
    for name, value in (("temperature", "0.7"), ("steps", "9"), ("guidance", "2.5"), ("maxTokens", "40")):
        page.fill(f"#{name}", value)
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.id") == "settings"
    assert "seed 17" in answer(say(page, "hello"))
    page.reload()
    ready(page)
    choose(page, "image")
    say(page, "again")
    sampling, first = model.samplings[-1], model.conversations[-1].messages[0]
    assert (sampling.seed, sampling.temperature, sampling.max_tokens) == (17, 0.7, 40)
    assert (sampling.num_inference_steps["image"], sampling.guidance_scale["image"]) == (9, 2.5)
    assert sampling.modalities == ("image",)
    assert (first.role, first.text) == ("system", "Be brief.")
    page.click("#settings")
    page.click(".sheet .plain")
    assert page.input_value("#seed") == "0"
    assert page.input_value("#system") == ""


def test_untouched_settings_leave_it_to_the_model(page: Any, model: Any, say: Any) -> None:
    say(page, "hello")
    sampling = model.samplings[-1]
    assert (sampling.modalities, sampling.num_inference_steps, sampling.guidance_scale) == (None, None, None)
    assert (sampling.seed, sampling.temperature) == (0, 0.0)


def test_a_refusal_is_shown_and_the_conversation_goes_on(page: Any, say: Any, tolerated: list[str]) -> None:
    tolerated.append("status of 400")
    say(page, "refuse")
    assert "expected another word" in page.inner_text(".foot [role=alert]")
    assert page.is_visible(".retry")
    assert answer(say(page, "something else")).startswith("Turn 2")


def test_an_answer_that_was_cut_off_is_marked(page: Any, say: Any) -> None:
    chunks = [
        {"choices": [{"index": 0, "delta": {"content": "A long answ"}, "finish_reason": None}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "length"}], "nextgpt": {"seed": 0, "dropped": []}},
    ]
    body = "".join(f"data: {json.dumps(chunk)}\n\n" for chunk in chunks) + "data: [DONE]\n\n"
    page.route("**/v1/chat/completions", lambda route: route.fulfill(content_type="text/event-stream", body=body))
    say(page, "Tell me everything.")
    page.wait_for_selector(".foot .note >> text=cut off at the longest allowed length (256 tokens)")
    page.unroute("**/v1/chat/completions")
    say(page, "go on")
    page.wait_for_selector(".turn .note:not([hidden]) >> text=Cut off at the longest allowed length.")


def test_a_stream_that_ends_early_keeps_what_arrived_and_offers_a_retry(page: Any, say: Any) -> None:
    chunk = {"choices": [{"index": 0, "delta": {"content": "Half an"}, "finish_reason": None}]}
    body = f"data: {json.dumps(chunk)}\n\n"
    page.route("**/v1/chat/completions", lambda route: route.fulfill(content_type="text/event-stream", body=body))
    say(page, "hello")
    page.wait_for_selector(".foot [role=alert] >> text=The connection ended")
    assert answer(page) == "Half an"
    page.unroute("**/v1/chat/completions")
    page.click(".retry")
    page.wait_for_selector(".versions >> text=2/2")


def test_a_server_that_is_away_is_reported_and_the_message_is_kept(page: Any, say: Any, tolerated: list[str]) -> None:
    tolerated.append("ERR_FAILED")
    page.route("**/v1/**", lambda route: route.abort())
    say(page, "hello")
    page.wait_for_selector(".foot [role=alert] >> text=cannot be reached")
    page.unroute("**/v1/**")
    page.click(".retry")
    page.wait_for_selector(".turn.assistant .text >> text=Turn 1")


def test_media_beyond_the_limit_are_left_out_and_the_answer_says_so(
    visit: Any, small_chat: str, model: Any, say: Any, files: dict[str, Path]
) -> None:
    page = ready(visit(small_chat))
    page.wait_for_selector("#message")
    for kind in ("image", "audio", "video"):
        page.set_input_files(".composer input[type=file]", str(files[kind]))
        wait_for_attachments(page)
        say(page, kind)
    page.wait_for_selector(".foot .note >> text=at most 2 media: the 1 oldest")
    kinds = [part.modality for message in model.conversations[-1] for part in message.media]
    assert kinds == ["audio", "video"]


def test_a_turn_takes_the_keyboard_alone(page: Any, model: Any, until: Any) -> None:
    assert page.evaluate("document.activeElement.id") == "message"
    page.keyboard.type("one")
    page.keyboard.press("Shift+Enter")
    page.keyboard.type("two")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn.assistant .text")
    ready(page)
    assert model.conversations[-1].messages[-1].text == "one\ntwo"
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ControlOrMeta+a")
    page.keyboard.type("three")
    page.keyboard.press("Enter")
    page.wait_for_selector(".turn.user .text >> text=three")
    ready(page)
    page.focus("#message")
    reached: list[str] = []
    for _ in range(40):
        page.keyboard.press("Shift+Tab")
        reached.append(page.evaluate("document.activeElement.className"))
        assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
        if "retry" in reached[-1]:
            break
    before = len(model.samplings)
    page.keyboard.press("Enter")
    until(page, "!['seed 0', undefined].includes(document.querySelector('#seed-used')?.innerText)")
    assert len(model.samplings) == before + 1


def test_an_answer_is_announced(page: Any, say: Any) -> None:
    say(page, "hello")
    spoken = page.locator("#spoken")
    assert spoken.get_attribute("aria-live") == "polite"
    assert re.search(r"complete: .*I got text", spoken.inner_text().replace("\n", " "))


@pytest.mark.parametrize("width", [320, 360])
def test_the_page_fits_a_phone(visit: Any, chat: str, say: Any, files: dict[str, Path], width: int) -> None:
    page = ready(visit(chat, viewport={"width": width, "height": 640}, has_touch=True, is_mobile=True))
    assert page.evaluate(FITS)
    page.set_input_files(".composer input[type=file]", [str(path) for path in files.values()])
    wait_for_attachments(page, 3)
    assert page.evaluate(FITS)
    choose(page, "text", *KINDS)
    say(page, "x" * 200)
    page.wait_for_selector(".turn.assistant video")
    assert page.evaluate(FITS)
    page.tap(".tail .about")
    page.wait_for_selector(".drawer")
    assert page.evaluate("document.querySelector('.drawer').scrollWidth <= innerWidth")
    page.tap(".drawer header button")
    box = page.locator("#send").bounding_box()
    assert box["x"] + box["width"] <= width - 8 and box["y"] + box["height"] <= 640
    assert box["width"] >= 40
    assert not page.is_visible(".sidebar")
    page.tap(".menu")
    page.wait_for_selector(".sidebar.open .conversation", state="visible")
    page.keyboard.press("Escape")
    page.wait_for_selector(".sidebar", state="hidden")
    assert "menu" in page.evaluate("document.activeElement.className")
    page.tap(".menu")
    page.tap("#new")
    page.wait_for_selector(".welcome", state="visible")
    assert not page.evaluate("document.querySelector('.sidebar').classList.contains('open')")


def test_the_theme_is_switched_and_kept(page: Any) -> None:
    shade = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)[0]"
    assert page.evaluate(shade) > 200
    page.click("#theme")
    assert page.evaluate(shade) < 60
    page.reload()
    ready(page)
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    assert page.evaluate(shade) < 60


def test_the_theme_follows_the_system(visit: Any, chat: str) -> None:
    page = ready(visit(chat, color_scheme="dark"))
    shade = "getComputedStyle(document.body).backgroundColor.match(/[0-9]+/g).map(Number)[0]"
    assert page.evaluate(shade) < 60


def test_conversations_are_renamed_and_found(page: Any, say: Any) -> None:
    say(page, "a red cat")
    page.click("#new")
    page.wait_for_selector(".welcome", state="visible")
    say(page, "a blue dog")
    page.hover(".conversations li")
    page.click("[aria-label='Rename this conversation']")
    page.fill("input.conversation", "My whale")
    page.press("input.conversation", "Enter")
    assert page.evaluate("document.activeElement.innerText") == "My whale"
    page.reload()
    page.wait_for_selector("a.conversation:has-text('My whale')")
    page.focus("a.conversation >> nth=0")
    page.keyboard.press("F2")
    page.fill("input.conversation", "nothing of this stays")
    page.keyboard.press("Escape")
    assert page.evaluate("document.activeElement.innerText") == "My whale"
    assert page.locator("a.conversation").all_inner_texts() == ["My whale", "a red cat"]
    page.fill("#search", "WHALE")
    assert page.locator("a.conversation").all_inner_texts() == ["My whale"]
    page.fill("#search", "blue dog")
    assert page.locator("a.conversation").all_inner_texts() == ["My whale"]
    page.fill("#search", "zebra")
    page.wait_for_selector(".conversations >> text=No conversation contains this.")
    page.fill("#search", "")
    assert page.locator("a.conversation").count() == 2


def test_a_deleted_conversation_is_gone_with_its_media_and_can_be_restored(page: Any, say: Any) -> None:
    choose(page, "text", "image")
    say(page, "forget me")
    stored = page.evaluate(STORED)
    assert (len(stored["conversations"]), stored["media"]) == (1, 1)
    page.hover(".conversations li")
    page.click("[aria-label='Delete this conversation']")
    page.wait_for_selector(".welcome", state="visible")
    assert page.locator(".conversation").count() == 0
    assert page.evaluate(STORED) == {"conversations": [], "media": 0}
    page.click(".toast >> text=Undo")
    page.click("a.conversation >> text=forget me")
    page.wait_for_selector(".turn.assistant .medium img")


def test_another_tab_sees_the_conversation(page: Any, chat: str, say: Any) -> None:
    other = page.context.new_page()
    other.goto(f"{chat}/")
    say(page, "hello from the other side")
    other.wait_for_selector("a.conversation >> text=hello from the other side")


def test_markup_of_a_person_or_the_model_stays_text(page: Any, say: Any) -> None:
    page.on("dialog", lambda dialog: pytest.fail("a script of the message ran"))
    say(page, "<img src=x onerror=alert(1)> <b>markup</b>")
    assert page.inner_text(".turn.user .text") == "<img src=x onerror=alert(1)> <b>markup</b>"
    shown = page.locator(".turn.assistant .text").first
    assert shown.locator("strong").inner_text() == "bold"
    assert "<script>alert(1)</script>" in shown.inner_text()
    assert "[y](javascript:alert(1))" in shown.inner_text()
    assert shown.locator("img, script").count() == 0
    (link,) = shown.locator("a").all()
    assert link.get_attribute("href") == "https://example.org/x.png"
    assert link.get_attribute("rel") == "noopener noreferrer"


def test_text_takes_the_direction_of_its_language(page: Any, say: Any) -> None:
    say(page, "مرحبا بالعالم")
    direction = "one => getComputedStyle(one).direction"
    assert page.eval_on_selector(".turn.user .bubble", direction) == "rtl"
    assert page.eval_on_selector(".turn.assistant .text p", direction) == "ltr"
    assert page.eval_on_selector("a.conversation", direction) == "rtl"


def test_on_paper_there_is_the_conversation_alone(page: Any, say: Any) -> None:
    say(page, "hello")
    page.emulate_media(media="print")
    assert page.is_visible(".turn.user .text") and page.is_visible(".turn.assistant .text")
    for selector in (".sidebar", ".dock", ".actions", ".top"):
        assert not page.locator(selector).first.is_visible(), selector


def test_a_key_is_asked_for_and_sent_with_every_request(
    visit: Any, keyed_chat: str, say: Any, tolerated: list[str]
) -> None:
    tolerated.append("status of 401")
    page = visit(keyed_chat)
    page.wait_for_selector("#key")
    page.fill("#key", "wrong")
    page.press("#key", "Enter")
    page.wait_for_selector(".login [role=alert] >> text=does not accept this key")
    page.fill("#key", "open sesame")
    page.press("#key", "Enter")
    page.wait_for_selector("#key", state="detached")
    assert answer(say(page, "hello")).endswith("I got text.")
    assert page.request.get(f"{keyed_chat}/v1/models").status == 401
    assert page.context.cookies() == []
    page.click(".tail .about")
    assert "$NEXTGPT_API_KEY" in page.input_value(".drawer textarea")
    assert "sesame" not in page.inner_text(".drawer") + page.input_value(".drawer textarea")
    page.reload()
    assert answer(say(ready(page), "again")).startswith("Turn 3")
    other = page.context.new_page()
    other.goto(f"{keyed_chat}/")
    other.wait_for_selector("#key")


def test_a_key_is_remembered_where_the_reader_asks_for_it(visit: Any, keyed_chat: str, tolerated: list[str]) -> None:
    tolerated.append("status of 401")
    page = visit(keyed_chat)
    page.fill("#key", "open sesame")
    page.check("#remember")
    page.press("#key", "Enter")
    page.wait_for_selector("#key", state="detached")
    other = page.context.new_page()
    other.goto(f"{keyed_chat}/")
    ready(other)
    other.wait_for_timeout(300)
    assert other.query_selector("#key") is None


def test_a_browser_without_storage_still_chats(visit: Any, chat: str, say: Any, browser: Any) -> None:
    page = visit(chat)
    page.add_init_script("Object.defineProperty(window, 'indexedDB', { value: undefined })")
    page.reload()
    page.wait_for_selector(".toast >> text=stores no conversations")
    choose(page, "text", "image")
    say(page, "hello")
    page.wait_for_selector(".turn.assistant .medium img")
