"""The rating page in headless Chromium, and what it writes."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.annotation.pages import check_accessibility, serving
from tests.browser import ready
from tests.evaluate.small_run import make_run

from nextgpt.annotation.journal import Journal, read_rows
from nextgpt.errors import ConfigError
from nextgpt.evaluate.rating.material import create_study, open_study, read_material
from nextgpt.evaluate.rating.server import create_rating_app
from nextgpt.evaluate.rating.study import Mode, StudyFile
from nextgpt.evaluate.standard.run_folder import RunFolder

PLAYED = """new Promise((resolve) => {
  const player = document.querySelector('.answer audio, .answer video');
  const look = () => (player.currentTime > 0 ? resolve(player.localName) : setTimeout(look, 20));
  look();
})"""
SCORES = {"following": 7, "rationality": 5, "quality": 3}


@contextlib.contextmanager
def rating(
    path: Path, runs: list[Path], mode: Mode = "scores", raters: tuple[str, ...] = (), per_rater: int = 40
) -> Iterator[Any]:
    """Serve a study; yields its address and service."""
    material = read_material(runs)
    with Journal(path) as journal:
        open_study(journal, material, create_study(runs, material, mode=mode, seed=0, per_rater=per_rater))
        app, service = create_rating_app(journal, material, raters=raters)
        with serving(app) as address:
            yield address, service


def answers(path: Path) -> list[Any]:
    return list(StudyFile.from_rows(read_rows(path), "x").answers.values())


@pytest.mark.browser
def test_a_rater_rates_by_keyboard_resumes_and_finishes(run: RunFolder, tmp_path: Path, visit: Any):
    path = tmp_path / "ratings.jsonl"
    with rating(path, [run.path], per_rater=4) as (address, _):
        page = ready(visit(address))
        check_accessibility(page, "start")
        page.fill("#rater", "Anna")
        page.press("#rater", "Enter")
        page.wait_for_selector("form.rating")
        check_accessibility(page, "task")
        for key in ("7", "0", "3", "Enter"):
            page.keyboard.press(key)
        page.wait_for_selector("text=1 of 4 rated")
        page.keyboard.press("Enter")  # incomplete: nothing is sent
        assert "Please answer" in page.inner_text(".problem")
        page.keyboard.press("b")
        page.wait_for_selector("input[name=rationality][value='10']:checked")
        page.keyboard.press("c")
        page.keyboard.type("good 5")
        page.click("text=Save and continue")
        page.wait_for_selector("h2 >> text=Task 2")
    assert [one.judgement.scores for one in answers(path)] == [{"following": 7, "rationality": 10, "quality": 3}]
    assert answers(path)[0].judgement.comment == "good 5"
    assert len(read_rows(path)) == 4  # study, rater, two answers of which the last counts
    with rating(path, [run.path], per_rater=4) as (address, _):
        page = visit(f"{address}/?rater=Anna", viewport={"width": 360, "height": 740}, color_scheme="dark")
        page.wait_for_selector("h2 >> text=Task 2")
        check_accessibility(page, "small and dark")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        for number in range(2, 5):
            page.wait_for_selector(f"h2 >> text='Task {number} of 4'")
            for key in ("8", "8", "8", "Enter"):
                page.keyboard.press(key)
        ready(page, "done")
        check_accessibility(page, "end")
    assert len(answers(path)) == 4


@pytest.mark.browser
def test_pairs_show_and_play_media_of_all_kinds_and_are_chosen_by_key(run: RunFolder, tmp_path: Path, visit: Any):
    path = tmp_path / "ratings.jsonl"
    seen: set[str] = set()
    with rating(path, [run.path], "pairs") as (address, _):
        page = visit(f"{address}/?rater=Ben")
        for number in range(1, 12):
            page.wait_for_selector(f"h2 >> text='Task {number} of 11'")
            if page.locator(".answer").first.locator("audio, video").count():
                page.keyboard.press("p")
                seen.add(page.evaluate(PLAYED))
            elif page.locator(".answer img").count() == 2:
                assert page.evaluate("document.querySelector('.answer img').decode().then(() => true)")
                seen.add("img")
            page.keyboard.press("ArrowRight" if number % 2 else "2")
            page.keyboard.press("Enter")
        ready(page, "done")
    assert seen == {"img", "audio", "video"}
    assert {one.judgement.choice for one in answers(path)} == {"right", "tie"}


@pytest.mark.browser
def test_a_rating_that_is_not_saved_stays_on_the_page(run: RunFolder, tmp_path: Path, visit: Any, tolerated: Any):
    tolerated += ["ERR_CONNECTION_REFUSED", "ERR_CONNECTION_RESET", "ERR_EMPTY_RESPONSE"]
    with rating(tmp_path / "ratings.jsonl", [run.path]) as (address, _):
        page = visit(f"{address}/?rater=Dora")
        page.wait_for_selector("form.rating")
        for key in ("4", "4", "4"):
            page.keyboard.press(key)
    page.keyboard.press("Enter")
    page.wait_for_selector("text=Not saved")
    assert page.locator("input[value='4']:checked").count() == 3
    assert answers(tmp_path / "ratings.jsonl") == []


def test_nothing_that_reaches_the_page_tells_the_system(run: RunFolder, tmp_path: Path):
    with rating(tmp_path / "ratings.jsonl", [run.path]) as (address, _), httpx.Client(base_url=address) as client:
        total = client.post("/api/session", json={"rater": "Eve"}).json()["total"]
        bodies = [client.get(f"/api/tasks/{at}", params={"rater": "Eve"}).text for at in range(total)]
        bodies += [client.get("/api/study").text, client.get("/").text]
        study = StudyFile.from_rows(read_rows(tmp_path / "ratings.jsonl"), "x").study
        secrets = ["direct", "cascade", "shuffled", "control", "repeat", str(run.path), study.secret, *study.systems]
        assert not [word for word in secrets for body in bodies if word in body]
        addresses = {
            part["url"]
            for body in bodies[:total]
            for part in httpx.Response(200, text=body).json()["answers"][0]
            if "url" in part
        }
        assert len(addresses) > 8
        headers = client.get(min(addresses)).headers
        assert "content-disposition" not in headers
        assert not [word for word in ("direct", "cascade") if word in str(headers)]


def test_bad_requests_are_one_line_and_write_nothing(run: RunFolder, tmp_path: Path):
    path = tmp_path / "ratings.jsonl"
    with rating(path, [run.path]) as (address, _), httpx.Client(base_url=address) as client:
        client.post("/api/session", json={"rater": "Finn"})
        before = path.read_bytes()

        def refused(at: object, judgement: object, rater: str = "Finn", **headers: str) -> str:
            body = {"rater": rater, "judgement": judgement}
            answer = client.post(f"/api/tasks/{at}", json=body, headers=headers)
            assert 400 <= answer.status_code < 500, answer.text
            return answer.json()["error"]["message"]

        assert "expected scores" in refused(0, {})
        assert "from 1 to 10" in refused(0, {"scores": SCORES | {"quality": 11}})
        assert "got following" in refused(0, {"scores": {"following": 3}})
        assert "no choice" in refused(0, {"scores": SCORES, "choice": "left"})
        assert "expected 0 to 19" in refused(20, {"scores": SCORES})
        assert "has not started" in refused(0, {"scores": SCORES}, rater="Nobody")
        assert "expected 1 to 40" in refused(0, {"scores": SCORES}, rater="<b>")
        assert "another origin" in refused(0, {"scores": SCORES}, origin="https://evil.example")
        assert client.get("/media/unknown").status_code == 404
        assert client.get("/static/..%2fserver.py").status_code == 404
        assert path.read_bytes() == before
        client.post("/api/tasks/0", json={"rater": "Finn", "judgement": {"scores": SCORES}}).raise_for_status()
        assert len(answers(path)) == 1


def test_personal_links_admit_their_raters_only(run: RunFolder, tmp_path: Path):
    with rating(tmp_path / "r.jsonl", [run.path], raters=("gina",)) as (address, service):
        given = service.link("gina").removeprefix("/?rater=")
        assert httpx.post(f"{address}/api/session", json={"rater": given}).json()["rater"] == "gina"
        for wrong in ("gina", "gina~0123456789ab", "hugo~" + given.partition("~")[2]):
            assert httpx.post(f"{address}/api/session", json={"rater": wrong}).status_code == 403


def test_a_study_is_continued_only_with_its_own_settings(run: RunFolder, tmp_path: Path):
    path, runs = tmp_path / "ratings.jsonl", [run.path]
    material = read_material(runs)
    with Journal(path) as journal:
        first = open_study(journal, material, create_study(runs, material, mode="scores", seed=0, per_rater=40))
        again = create_study(runs, material, mode="scores", seed=0, per_rater=40)
        assert open_study(journal, material, again) == first
        with pytest.raises(ConfigError, match="mode scores; got pairs"):
            open_study(journal, material, create_study(runs, material, mode="pairs", seed=0, per_rater=40))


def test_items_without_all_answers_are_left_out_and_counted(tmp_path: Path):
    run = make_run(tmp_path / "run")
    next((run.system_dir("direct") / "media").glob("*/00.png")).unlink()
    material = read_material([run.path])
    assert dict(material.left_out) == {"a medium of an answer is missing": 1}
    assert len(material.items) == 7
    with pytest.raises(ConfigError, match="system 'dirct' is unknown.*Did you mean 'direct'"):
        read_material([run.path], ["dirct"])
    with pytest.raises(ConfigError, match=r"has no run\.json"):
        read_material([tmp_path])


def test_two_runs_of_the_same_items_are_compared(tmp_path: Path):
    runs = [make_run(tmp_path / name, ("direct",)).path for name in ("old", "new")]
    assert read_material(runs).systems == ("new/direct", "old/direct")
