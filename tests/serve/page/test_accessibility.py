"""WCAG A and AA in every state of the page, by axe-core, in both themes; and a walk by keyboard."""

from __future__ import annotations

from importlib.resources import files as resources
from typing import Any

import pytest
from tests.browser import ready

pytestmark = pytest.mark.browser

pytest.importorskip("axe_playwright_python", reason="needs axe-core; install the extra dev")
AXE = resources("axe_playwright_python").joinpath("axe.min.js").read_text()
CHECK = """async () => {
  const options = { runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'wcag22aa', 'best-practice'] };
  const { violations } = await axe.run(document, options);
  return violations.map((one) => [one.id, one.nodes.map((node) => node.html.slice(0, 120))]);
}"""


def check(page: Any, state: str) -> None:
    """Let axe-core look at the page."""
    if not page.evaluate("typeof axe === 'object'"):
        page.evaluate(f"() => {{ {AXE} }}")
    page.wait_for_timeout(250)  # transitions end
    assert page.evaluate(CHECK) == [], state


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("width", [1200, 360])
def test_no_state_of_the_page_violates_wcag(
    visit: Any, chat: str, say: Any, model: Any, files: Any, theme: str, width: int
) -> None:
    options = {"color_scheme": theme, "viewport": {"width": width, "height": 800}, "reduced_motion": "reduce"}
    page = ready(visit(chat, **options))
    check(page, "start")
    for toggle in page.locator(".chip").all():
        toggle.click()
    page.set_input_files(".composer input[type=file]", [str(path) for path in files.values()])
    page.wait_for_selector(".attachment[data-kind] >> nth=2")
    check(page, "attachments")
    model.gate.clear()
    page.fill("#message", "wait for everything")
    page.press("#message", "Enter")
    page.wait_for_selector(".making")
    check(page, "in progress")
    model.gate.set()
    ready(page)
    for toggle in page.locator(".chip").all():
        toggle.click()
    say(page, "markup")
    page.click(".retry")
    page.wait_for_selector(".versions >> text=2/2")
    ready(page)
    check(page, "answers")
    page.locator(".turn.user .edit").last.click(force=True)
    page.wait_for_selector(".rewrite")
    check(page, "editing")
    page.keyboard.press("Escape")
    page.click(".tail .about")
    check(page, "details")
    page.keyboard.press("Escape")
    page.click(".turn.assistant .frame >> nth=0")
    check(page, "lightbox")
    page.keyboard.press("Escape")
    for name in ("gallery", "settings"):
        _open_sidebar(page, width)
        page.click(f"#{name}")
        check(page, name)
        page.keyboard.press("Escape")
    _open_sidebar(page, width)
    page.hover(".conversations li")
    page.click("[aria-label='Rename this conversation']")
    check(page, "renaming")
    page.keyboard.press("Escape")
    page.fill("#search", "zebra")
    check(page, "search")
    page.fill("#search", "")
    page.hover(".conversations li")
    page.click("[aria-label='Delete this conversation']")
    check(page, "deleted")


def _open_sidebar(page: Any, width: int) -> None:
    if width < 860:
        page.click(".menu")
        page.wait_for_selector(".sidebar.open")


def test_the_login_violates_nothing(visit: Any, keyed_chat: str, tolerated: list[str]) -> None:
    tolerated.append("status of 401")
    page = visit(keyed_chat)
    page.wait_for_selector("#key")
    check(page, "login")


def test_a_violation_is_found(page: Any) -> None:
    page.evaluate("document.querySelector('#send').removeAttribute('aria-label')")
    page.evaluate("document.querySelector('#send').removeAttribute('title')")
    with pytest.raises(AssertionError, match="button-name"):
        check(page, "broken")


CONTROLS = """[...document.querySelectorAll('button, a[href], input, textarea')]
  .filter((one) => one.checkVisibility() && !one.disabled && one.tabIndex >= 0)"""
FOCUSED = """() => {
  const one = document.activeElement;
  if (one === document.body) return true;
  one.dataset.reached = '1';
  const isOutlined = (shown) => shown && getComputedStyle(shown).outlineStyle === 'solid';
  return [one, one.closest('.wave')].some(isOutlined) || Boolean(one.closest('.composer textarea'));
}"""


def test_every_control_is_reached_by_keyboard_and_shows_its_focus(page: Any, say: Any) -> None:
    page.click(".chip[data-modality=image]")
    say(page, "an image")
    count = page.evaluate(f"{CONTROLS}.length")
    assert count > 20
    page.focus("#message")
    for _ in range(2 * count):
        page.keyboard.press("Tab")
        assert page.evaluate(FOCUSED), page.evaluate("document.activeElement.outerHTML.slice(0, 100)")
    missed = f"{CONTROLS}.filter((one) => !one.dataset.reached).map((one) => one.outerHTML.slice(0, 100))"
    assert page.evaluate(missed) == []
