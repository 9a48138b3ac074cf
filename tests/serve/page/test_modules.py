"""Modules of the page on their own, run in Chromium: Markdown, conversations, replies, archives, snippets, facts."""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nextgpt.serve.static_page import PREFIX, static_files

pytestmark = pytest.mark.browser

Run = Callable[..., Any]


@pytest.fixture(scope="module")
def run(browser: Any, chat: str) -> Iterator[Run]:
    """Run the body of a function of ``module`` and ``given`` in the page; return what it returns."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(f"{chat}/")

    def run(name: str, body: str, given: Any = None) -> Any:
        path = f"{PREFIX}{static_files()[0]}/{name}.js"
        return page.evaluate(f"async (given) => {{ const module = await import('{path}'); {body} }}", given)

    yield run
    context.close()


MARKDOWN = [
    ("plain", '<p dir="auto">plain</p>'),
    ("two\nlines", '<p dir="auto">two<br>lines</p>'),
    ("**b** *e* __b__ _e_ ~~d~~", "<strong>b</strong> <em>e</em> <strong>b</strong> <em>e</em> <del>d</del>"),
    ("**a *b* c**", "<strong>a <em>b</em> c</strong>"),
    ("snake_case_name and 2*3*4", "snake_case_name and 2<em>3</em>4"),
    ("`a < b` and ``x ` y``", "<code>a &lt; b</code> and <code>x ` y</code>"),
    ("\\*no\\*", "*no*"),
    ("# One\n## Two", '<h3 dir="auto">One</h3><h4 dir="auto">Two</h4>'),
    ("a\n\n---\n\nb", "<hr>"),
    ("```py\nif a < b:\n    **c**\n```", "<code>if a &lt; b:\n    **c**</code>"),
    ("```\nunclosed", "<code>unclosed</code>"),
    ("- a\n- b\n  - c", '<ul><li dir="auto">a</li><li dir="auto">b<ul><li dir="auto">c</li></ul></li></ul>'),
    (
        "1. a\n   - b\n     - c\n2. d",
        '<ol><li dir="auto">a<ul><li dir="auto">b<ul><li dir="auto">c</li></ul></li></ul></li>',
    ),
    ("3. c\n4. d", '<ol start="3"><li dir="auto">c</li><li dir="auto">d</li></ol>'),
    ("> said\n> twice", '<blockquote dir="auto"><p dir="auto">said<br>twice</p></blockquote>'),
    ("| a | b |\n| --- | ---: |\n| 1 | 2 |", '<th dir="auto">a</th><th dir="auto" class="end">b</th>'),
    ("[x](https://example.org/a_(b))", 'href="https://example.org/a_(b)"'),
    ("see https://example.org/x.", ">https://example.org/x</a>."),
    ("<b>no</b> &amp; <script>x</script>", "&lt;b&gt;no&lt;/b&gt; &amp;amp; &lt;script&gt;x&lt;/script&gt;"),
    ("![i](https://example.org/i.png)", ">i</a>"),
    ("[x](javascript:alert(1))", '<p dir="auto">[x](javascript:alert(1))</p>'),
    ("[x](data:text/html,hi)", '<p dir="auto">[x](data:text/html,hi)</p>'),
    ("", ""),
]


@pytest.mark.parametrize(("source", "expected"), MARKDOWN)
def test_markdown_becomes_elements(run: Run, source: str, expected: str) -> None:
    body = "const root = document.createElement('div'); module.renderMarkdown(root, given); return root.innerHTML;"
    assert expected in run("markdown", body, source)


def test_no_markdown_makes_a_script_an_image_or_a_listener(run: Run) -> None:
    sources = ["<img src=x onerror=alert(1)>", "[a](<javascript:alert(1)>)", '[a](https://x" onclick="alert(1))']
    sources += [f"{mark}<svg/onload=alert(1)>{mark}" for mark in ("**", "`", "> ", "- ", "# ", "|")]
    body = """const root = document.createElement('div'); module.renderMarkdown(root, given);
      return [...root.querySelectorAll('*')].map(
        (one) => [one.tagName, ...one.getAttributeNames(), one.getAttribute('href')]);"""
    allowed = {"P", "A", "STRONG", "CODE", "BLOCKQUOTE", "UL", "LI", "H3", "BR"}
    for source in sources:
        for tag, *attributes, href in run("markdown", body, source):
            assert tag in allowed, source
            assert set(attributes) <= {"dir", "href", "target", "rel"}, source
            assert href is None or href.startswith("https://"), source


def test_blocks_that_stand_keep_their_elements_while_text_arrives(run: Run) -> None:
    body = """const root = document.createElement('div');
      module.renderMarkdown(root, 'one\\n\\ntw'); const [first] = root.children;
      module.renderMarkdown(root, 'one\\n\\ntwo\\n\\nthree');
      const kept = root.children[0] === first;
      module.renderMarkdown(root, 'x');
      return [kept, root.children.length];"""
    assert run("markdown", body) == [True, 1]


def test_long_and_deep_markdown_is_rendered_in_time(run: Run) -> None:
    sources = ["**" * 3000, "[" * 3000, "> " * 500 + "x", "- " * 500 + "x", "`" * 3001, "*a " * 2000, "|" * 3000]
    body = """const start = performance.now();
      for (const source of given) module.renderMarkdown(document.createElement('div'), source);
      return performance.now() - start;"""
    assert run("markdown", body, sources) < 20_000


TREE = """
  const conversation = module.newConversation();
  const say = (role, text, parent) =>
    module.addMessage(conversation, { role, parts: [{ kind: 'text', text }] }, parent);
  const texts = () => module.pathOf(conversation).map(module.textOf);
"""


def test_a_conversation_is_a_tree_and_shows_one_path(run: Run) -> None:
    body = (
        TREE
        + """
      const first = say('user', 'a');
      const answer = say('assistant', 'b');
      say('user', 'c');
      const before = texts();
      const other = say('assistant', 'b2', first.id);
      const versions = module.versionsOf(conversation, other).map(module.textOf);
      const after = texts();
      module.selectVersion(conversation, answer);
      return [before, after, versions, texts(), conversation.title];"""
    )
    assert run("conversation", body) == [["a", "b", "c"], ["a", "b2"], ["b", "b2"], ["a", "b", "c"], "a"]


def test_a_title_is_the_first_message_unless_it_was_named(run: Run) -> None:
    body = (
        TREE
        + """
      say('user', 'x '.repeat(100));
      const long = conversation.title;
      Object.assign(conversation, { title: 'mine', isNamed: true });
      say('user', 'y');
      return [long.length, conversation.title];"""
    )
    assert run("conversation", body) == [80, "mine"]


MODEL = {"id": "nano", "outputs": ["text", "image", "audio"], "limits": {"max_media": 2}}
SETTINGS = {
    "system": "", "seed": 17, "temperature": 0, "steps": 0, "guidance": 0, "maxTokens": 40, "modalities": [],
}  # fmt: skip
MESSAGES = [
    {"role": "user", "parts": [{"kind": "image", "id": "1"}, {"kind": "text", "text": "What?"}]},
    {"role": "assistant", "parts": [{"kind": "text", "text": "Look:"}, {"kind": "audio", "id": "2"}]},
    {"role": "user", "parts": [{"kind": "video", "id": "3"}]},
]


def _request(run: Run, **settings: Any) -> dict[str, Any]:
    body = "return module.requestBody(given.messages, given.settings, given.model, (part) => `data:${part.id}`);"
    given = {"messages": MESSAGES, "settings": SETTINGS | settings, "model": MODEL}
    return dict(run("conversation", body, given))


def test_a_request_holds_the_conversation_and_leaves_the_oldest_media_out(run: Run) -> None:
    request = _request(run)
    assert request["messages"] == [
        {"role": "user", "content": "What?"},
        {"role": "assistant", "content": [
            {"type": "text", "text": "Look:"}, {"type": "audio_url", "audio_url": {"url": "data:2"}},
        ]},
        {"role": "user", "content": [{"type": "video_url", "video_url": {"url": "data:3"}}]},
    ]  # fmt: skip
    assert set(request) == {"model", "messages", "seed", "max_completion_tokens"}


def test_a_request_holds_the_settings_that_were_changed(run: Run) -> None:
    settings = {"system": "Be brief.", "temperature": 0.5, "steps": 9, "guidance": 0.5, "modalities": ["audio", "text"]}
    request = _request(run, **settings)
    assert request["messages"][0] == {"role": "system", "content": "Be brief."}
    assert (request["temperature"], request["modalities"]) == (0.5, ["text", "audio"])
    options = {"num_inference_steps": 9, "guidance_scale": 1}
    assert request["nextgpt"] == {"image": options, "audio": options}


@pytest.mark.parametrize(("via", "offered", "sent"), [("auto", True, True), ("auto", False, False), ("", True, False)])
def test_the_origin_of_media_is_sent_if_the_server_offers_it(run: Run, via: str, offered: bool, sent: bool) -> None:
    body = "return module.requestBody(given.messages, given.settings, given.model, (part) => `data:${part.id}`);"
    model = MODEL | ({"vias": ["generate", "retrieve", "auto"]} if offered else {})
    request = run("conversation", body, {"messages": MESSAGES, "settings": SETTINGS | {"via": via}, "model": model})
    assert request.get("nextgpt") == ({"via": "auto"} if sent else None)


def test_a_request_is_one_that_the_server_takes(run: Run) -> None:
    from nextgpt.serve.protocol.chat import ChatRequest

    request = _request(run, temperature=0.5, steps=9, modalities=["audio", "text"])
    messages = ChatRequest.model_validate(request).messages
    assert [message.role for message in messages] == ["user", "assistant", "user"]


def test_a_reply_is_folded_from_its_chunks(run: Run) -> None:
    def chunk(delta: dict[str, Any], finish: str | None = None, **rest: Any) -> dict[str, Any]:
        return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **rest}

    step = {"event": "progress", "modality": "image", "step": 1, "total": 11}
    image = {"type": "image_url", "image_url": {"url": "data:x"}, "id": "file-1"}
    chunks = [
        chunk({"role": "assistant", "content": ""}),
        chunk({"content": "Look"}),
        chunk({"content": ":"}),
        chunk({}, nextgpt=step),
        chunk({}, nextgpt=step | {"step": 6}),
        chunk({"images": [image]}),
        chunk({"content": "\nNice?"}),
        chunk({}, "length", nextgpt={"seed": 3, "dropped": []}),
        {"choices": [], "usage": {"prompt_tokens": 12, "completion_tokens": 6}},
    ]
    body = """const reply = new module.PartialReply(); const remaining = [];
      given.forEach((chunk, index) => {
        for (const { file, kind } of reply.apply(chunk, index * 1000)) reply.addMedium({ id: file, kind });
        remaining.push(reply.progress.get('image')?.remainingS);
      });
      const details = reply.details({ seed: 0, maxTokens: 40 }, 0);
      return { parts: reply.parts, remaining, details, note: module.noteOf(details, {}) };"""
    result = run("reply", body, chunks)
    assert result["parts"] == [
        {"kind": "text", "text": "Look:"}, {"kind": "image", "id": "file-1"}, {"kind": "text", "text": "Nice?"},
    ]  # fmt: skip
    assert result["remaining"][3:6] == [None, 1.0, None]
    assert (result["details"]["seed"], result["details"]["finish"]) == (3, "length")
    assert result["details"]["usage"] == {"prompt_tokens": 12, "completion_tokens": 6}
    assert "cut off" in result["note"] and "40 tokens" in result["note"]


ARCHIVE = """
  const blobs = { 1: new Blob(['one'], { type: 'image/png' }), 2: new Blob(['two'], { type: 'audio/wav' }) };
  const image = { kind: 'image', id: 1, type: 'image/png' };
  const audio = { kind: 'audio', id: 2, type: 'audio/wav' };
  const question = { role: 'user', parts: [image, { kind: 'text', text: 'Grüße' }] };
  const messages = [question, { role: 'assistant', parts: [audio] }];
  const archive = await module.writeArchive(messages, async (part) => blobs[part.id]);
"""


def test_an_archive_is_written_as_nextgpt_chat_writes_it(run: Run) -> None:
    content = bytes(run("zip", ARCHIVE + "return [...new Uint8Array(await archive.arrayBuffer())];"))
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["conversation.json", "00-00-image.png", "01-00-audio.wav"]
        assert archive.read("00-00-image.png") == b"one"
        assert json.loads(archive.read("conversation.json")) == [
            {
                "role": "user",
                "parts": [{"type": "image", "path": "00-00-image.png"}, {"type": "text", "text": "Grüße"}],
            },
            {"role": "assistant", "parts": [{"type": "audio", "path": "01-00-audio.wav"}]},
        ]


def test_an_archive_is_read_as_it_was_written(run: Run) -> None:
    body = (
        ARCHIVE
        + """const read = await module.readArchive(archive);
      const kinds = read.map((one) => one.parts.map((part) => part.kind));
      return [read.map((one) => one.role), kinds, await read[0].parts[0].blob.text()];"""
    )
    assert run("zip", body) == [["user", "assistant"], [["image", "text"], ["audio"]], "one"]


READ = """try { await module.readArchive(new Blob([Uint8Array.from(given)])); return 'read'; }
  catch (error) { return error.message; }"""


def _zip(files: dict[str, bytes], method: int = zipfile.ZIP_DEFLATED) -> list[int]:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", method) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return list(buffer.getvalue())


def test_a_damaged_archive_is_refused(run: Run) -> None:
    content = _zip({"conversation.json": b'[{"role": "user", "parts": []}]'}, zipfile.ZIP_STORED)
    assert run("zip", READ, content) == "read"
    at = bytes(content).index(b"role")
    assert "no ZIP" in run("zip", READ, [*content[:at], 0, *content[at + 1 :]])
    assert "no ZIP" in run("zip", READ, content[: len(content) // 2])


def test_a_file_that_is_named_twice_is_refused(run: Run) -> None:
    part = b'{"type": "image", "path": "a.png"}'
    words = b'[{"role": "user", "parts": [' + part + b"]}]"
    buffer = io.BytesIO()
    with pytest.warns(UserWarning, match="Duplicate"), zipfile.ZipFile(buffer, "w") as archive:
        for name, content in (("conversation.json", words), ("a.png", b"1"), ("a.png", b"2")):
            archive.writestr(name, content)
    assert "names it twice" in run("zip", READ, list(buffer.getvalue()))


@pytest.mark.slow
def test_an_archive_that_unpacks_to_too_much_is_stopped(run: Run) -> None:
    words = b'[{"role": "user", "parts": [{"type": "image", "path": "a.png"}]}]'
    bomb = _zip({"conversation.json": words, "a.png": bytes(520 * 2**20)})
    assert len(bomb) < 2**20
    assert "unpacks to more than 512 MiB" in run("zip", READ, bomb)


WORDS = ['it\'s "$HOME" `ls` \\', "two\nJSON\nlines", "Zürich 東京 🐈", "x " * 100]


@pytest.mark.parametrize("words", WORDS)
def test_snippets_say_what_was_sent(run: Run, words: str, monkeypatch: pytest.MonkeyPatch) -> None:
    request = {
        "model": "nano", "messages": [{"role": "user", "content": words}], "seed": 17,
        "nextgpt": {"image": {"num_inference_steps": 9}},
    }  # fmt: skip
    body = "return ['curlSnippet', 'pythonSnippet'].map((name) => module[name](given, 'http://x/v1', false));"
    command, program = run("snippets", body, request)
    start, _, rest = command.partition("<<'JSON'\n")
    assert start.startswith("curl 'http://x/v1/chat/completions' ")
    assert json.loads(rest.removesuffix("\nJSON\n")) == request
    sent: dict[str, Any] = {}

    def create(self: Any, *, extra_body: dict[str, Any], **given: Any) -> Any:
        sent.update(given, **extra_body)
        raise InterruptedError

    monkeypatch.setattr("openai.resources.chat.completions.Completions.create", create)
    with pytest.raises(InterruptedError):
        exec(program, {})
    assert sent == request


def test_a_snippet_names_the_variable_of_the_key(run: Run) -> None:
    body = "return ['curlSnippet', 'pythonSnippet'].map((name) => module[name]({}, 'http://x/v1', given));"
    command, program = run("snippets", body, True)
    assert '-H "Authorization: Bearer $NEXTGPT_API_KEY"' in command
    assert 'api_key=os.environ["NEXTGPT_API_KEY"]' in program
    assert "KEY" not in "".join(run("snippets", body, False))


def test_facts_are_read_from_the_bytes(run: Run, files: dict[str, Path]) -> None:
    body = "return module.probe(given.kind, new Blob([Uint8Array.from(given.bytes)], { type: given.type }));"
    types = {"image": "image/png", "audio": "audio/wav", "video": "video/mp4"}
    facts = {
        kind: run("media", body, {"kind": kind, "bytes": list(path.read_bytes()), "type": types[kind]})
        for kind, path in files.items()
    }
    assert facts["image"] == {"kind": "image", "width": 8, "height": 8}
    assert facts["audio"]["seconds"] == pytest.approx(1.5, abs=0.01)
    assert len(facts["audio"]["peaks"]) == 96 and max(facts["audio"]["peaks"]) == 1
    assert (facts["video"]["width"], facts["video"]["height"]) == (8, 8)
    damaged = {"kind": "image", "bytes": [1, 2, 3], "type": "image/png"}
    assert run("media", body, damaged) == {"kind": "image"}


def test_a_video_file_without_a_picture_is_audio(run: Run, tmp_path: Path) -> None:
    import av
    import numpy as np

    with av.open(str(tmp_path / "a.webm"), "w") as container:
        stream = container.add_stream("libopus", rate=48_000)
        frame = av.AudioFrame.from_ndarray(np.zeros((2, 4800), np.float32), format="fltp", layout="stereo")
        frame.sample_rate = 48_000
        for packet in (*stream.encode(frame), *stream.encode(None)):
            container.mux(packet)
    body = "return module.probe('video', new Blob([Uint8Array.from(given)], { type: 'video/webm' }));"
    assert run("media", body, list((tmp_path / "a.webm").read_bytes()))["kind"] == "audio"


def test_every_text_of_the_interface_is_in_every_language(run: Run) -> None:
    languages = run("strings", "return module.LANGUAGES;")
    english = languages["en"]
    for table in languages.values():
        assert set(table) == set(english)
        assert {len(text) > 0 for key, text in table.items() if isinstance(text, str)} == {True}


def test_every_text_that_is_looked_up_exists_and_every_one_is_used(run: Run) -> None:
    import re

    from nextgpt.serve.static_page import STATIC

    table = run("strings", "return module.LANGUAGES.en;")
    code = "\n".join(path.read_text() for path in STATIC.glob("*.js") if path.name != "strings.js")
    looked_up = set(re.findall(r"\bt\('(\w+)'", code)) | set(re.findall(r"strings\.(\w+)", code))
    assert looked_up <= set(table) | {"js"}
    used = looked_up | set(re.findall(r"'(\w+)'", code))
    assert set(table) - used == {"names"}  # read by nameOf alone
