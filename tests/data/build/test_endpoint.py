"""The client of endpoints: nothing is lost, nothing is paid twice, and the budget holds, whatever the endpoint does."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable

import httpx
import pytest
from tests.data.build.conftest import serve, write

from nextgpt.data.build.plan import plan_dialogues
from nextgpt.data.build.recipe import BuildRecipe
from nextgpt.data.build.request_store import REQUESTS_FILE, Answer, BudgetReached, RequestStore
from nextgpt.data.build.row import BuildRow
from nextgpt.errors import ConfigError
from nextgpt.testing.llm_endpoint import Faults

MakeRecipe = Callable[..., BuildRecipe]


def llm(url: str, **settings: object) -> dict:
    base = {"urls": [url], "model": "mock", "price_input": 1, "price_output": 4, "max_wait_s": 0.01, "timeout_s": 120}
    return base | settings


def ledger(recipe: BuildRecipe):
    store = RequestStore(recipe.work / REQUESTS_FILE)
    try:
        return store.ledger()
    finally:
        store.close()


def statuses(rows: list[BuildRow]) -> set[tuple[str, str]]:
    return {(row.status, row.reason) for row in rows}


def test_a_second_run_sends_nothing_and_gives_the_same_rows(make_recipe: MakeRecipe) -> None:
    with serve() as (url, traffic):
        recipe = make_recipe(llm=llm(url))
        first = write(plan_dialogues(recipe), recipe)
        assert statuses(first) == {("kept", "")} and traffic.received == len(first)
        assert write(plan_dialogues(recipe), recipe) == first
        assert traffic.received == len(first)


def test_faults_of_the_transport_change_no_result(make_recipe: MakeRecipe) -> None:
    clean = make_recipe()
    expected = write(plan_dialogues(clean), clean)
    faults = Faults(too_many=0.4, failure=0.2, cut=0.2, nonsense=0.1)
    with serve(faults) as (url, traffic):
        recipe = make_recipe(work=clean.work.with_name("hostile"), llm=llm(url, tries=40))
        assert write(plan_dialogues(recipe), recipe) == expected
        assert {"429", "cut", "answer"} <= set(traffic.statuses)
        assert traffic.repeated == 0
    found = ledger(recipe)
    assert found.answered == len(expected)
    assert found.lost == traffic.statuses["cut"] + traffic.statuses["nonsense"]


def test_requests_that_stall_are_given_up_and_stay_pending(make_recipe: MakeRecipe) -> None:
    with serve(Faults(stall=1, stall_s=30)) as (url, _):
        recipe = make_recipe(dialogues=2, llm=llm(url, tries=2, timeout_s=0.2))
        with pytest.raises(ConfigError, match="No request was answered"):
            write(plan_dialogues(recipe), recipe)
    with serve() as (url, _):
        recipe = make_recipe(dialogues=2, llm=llm(url))
        assert statuses(write(plan_dialogues(recipe), recipe)) == {("kept", "")}
    assert ledger(recipe).lost == 4


def test_answers_of_ten_megabytes_are_cut_off(make_recipe: MakeRecipe) -> None:
    with serve(Faults(huge=1)) as (url, _):
        recipe = make_recipe(dialogues=2, llm=llm(url))
        rows = write(plan_dialogues(recipe), recipe)
    assert statuses(rows) == {("dropped", "schema")}
    assert (recipe.work / REQUESTS_FILE).stat().st_size < 2**20


def test_wrong_answers_go_back_once_with_their_problems(make_recipe: MakeRecipe) -> None:
    with serve(Faults(invalid_json=0.5, wrong=0.5)) as (url, traffic):
        recipe = make_recipe(dialogues=16, llm=llm(url))
        rows = write(plan_dialogues(recipe), recipe)
    assert statuses(rows) == {("kept", ""), ("dropped", "schema")}
    assert 16 < traffic.received <= 32
    with sqlite3.connect(recipe.work / REQUESTS_FILE) as database:
        (body,) = database.execute("SELECT body FROM requests WHERE purpose LIKE '%repair'").fetchone()
    assert "Your answer cannot be used" in body


def test_the_schema_is_left_out_where_the_endpoint_refuses_it(make_recipe: MakeRecipe) -> None:
    with serve(Faults(refuses_schema=True)) as (url, traffic):
        recipe = make_recipe(llm=llm(url))
        assert statuses(write(plan_dialogues(recipe), recipe)) == {("kept", "")}
        assert traffic.statuses["400"] <= 8
        strict = make_recipe(work=recipe.work.with_name("strict"), llm=llm(url, structured="json_schema"))
        assert statuses(write(plan_dialogues(strict), strict)) == {("dropped", "refused")}


@pytest.mark.parametrize("share", [0.3, 0.8])
def test_the_budget_is_never_exceeded_and_a_larger_one_continues(make_recipe: MakeRecipe, share: float) -> None:
    with serve(Faults(cut=0.2, too_many=0.2)) as (url, _):
        settings = llm(url, max_tokens=300, tries=40)
        free = make_recipe(work=make_recipe().work.with_name("free"), dialogues=10, llm=settings)
        expected = write(plan_dialogues(free), free)
        limit = share * ledger(free).cost
        recipe = make_recipe(dialogues=10, llm=settings, budget=limit)
        rows = write(plan_dialogues(recipe), recipe)
        assert ("pending", "budget") in statuses(rows)
        assert ledger(recipe).spent <= limit
        recipe = recipe.model_copy(update={"budget": None})
        assert write(plan_dialogues(recipe), recipe) == expected


def test_wrong_keys_and_models_end_the_run(make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve() as (url, _):
        recipe = make_recipe(llm=llm(f"{url}/nowhere"))
        with pytest.raises(ConfigError, match="answered 404"):
            write(plan_dialogues(recipe), recipe)
        monkeypatch.delenv("NO_SUCH_KEY", raising=False)
        recipe = make_recipe(llm=llm(url, api_key_env="NO_SUCH_KEY"))
        with pytest.raises(ConfigError, match="NO_SUCH_KEY is not set"):
            write(plan_dialogues(recipe), recipe)


def test_an_endpoint_that_is_down_is_named(make_recipe: MakeRecipe) -> None:
    recipe = make_recipe(dialogues=1, llm=llm("http://127.0.0.1:9/v1", tries=2))
    with pytest.raises(ConfigError, match="cannot be reached"):
        write(plan_dialogues(recipe), recipe)
    assert ledger(recipe).spent == 0


def test_the_store_keeps_what_a_killed_process_had_reserved(make_recipe: MakeRecipe) -> None:
    path = make_recipe().work / REQUESTS_FILE
    store = RequestStore(path, budget=1.0)
    store.reserve("a", purpose="a", body="", price=0.6)
    with pytest.raises(BudgetReached):
        store.reserve("b", purpose="b", body="", price=0.6)
    store.close()  # as a kill would: nothing was written since

    store = RequestStore(path, budget=1.0)
    assert store.find("a") is None and store.ledger().lost_cost == pytest.approx(0.6)
    store.reserve("a", purpose="a", body="", price=0.4)
    store.answer("a", Answer("text", 1, 2, cost=0.3))
    assert store.find("a") == Answer("text", 1, 2, cost=0.3)
    assert store.ledger().spent == pytest.approx(0.9)
    store.close()


def test_a_damaged_store_is_named(make_recipe: MakeRecipe) -> None:
    path = make_recipe().work / REQUESTS_FILE
    path.parent.mkdir(parents=True)
    path.write_bytes(b"no database" * 1000)
    with pytest.raises(ConfigError, match="no store of requests"):
        RequestStore(path)


def test_compressed_answers_are_not_asked_for(make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        seen.append(request.headers["accept-encoding"])
        return httpx.Response(500)

    monkeypatch.setattr("nextgpt.data.build.writing._transport", lambda urls: httpx.MockTransport(answer))
    recipe = make_recipe(dialogues=1, llm=llm("http://mock", tries=1))
    with pytest.raises(ConfigError):
        write(plan_dialogues(recipe), recipe)
    assert seen == ["identity"]


def test_an_answer_with_lone_surrogates_is_stored(make_recipe: MakeRecipe, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"choices": [{"message": {"content": "\\ud800 no \\u0000 JSON"}}]}'
    transport = httpx.MockTransport(lambda request: httpx.Response(200, content=body))
    monkeypatch.setattr("nextgpt.data.build.writing._transport", lambda urls: transport)
    recipe = make_recipe(dialogues=1, llm=llm("http://mock"))
    assert statuses(write(plan_dialogues(recipe), recipe)) == {("dropped", "schema")}
    assert ledger(recipe).answered == 2 and ledger(recipe).cost > 0, "without usage the reserved price counts"
