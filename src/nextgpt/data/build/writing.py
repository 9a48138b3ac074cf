"""Write stage: the LLM writes every planned dialogue; a wrong answer goes back once with its problems."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence

import httpx

from nextgpt.data.build.checks import Problem, find_problems
from nextgpt.data.build.endpoint import ChatClient, ChatRequest, EndpointFailed, RequestRefused
from nextgpt.data.build.prompting import answer_schema, build_messages, parse_answer, repair_messages, to_messages
from nextgpt.data.build.recipe import BuildRecipe
from nextgpt.data.build.request_store import REQUESTS_FILE, BudgetReached, RequestStore
from nextgpt.data.build.row import BuildRow, BuiltMessage
from nextgpt.errors import ConfigError

MOCK_URL = "mock"

Progress = Callable[[int, int], None]
"""``(done, total)``."""


def write_dialogues(rows: Sequence[BuildRow], recipe: BuildRecipe, on_progress: Progress) -> list[BuildRow]:
    """Return the rows with messages; those without an answer are pending, those with a wrong one are dropped.

    Raises:
        ConfigError: The endpoint refuses every request, or none was answered.
    """
    store = RequestStore(recipe.work / REQUESTS_FILE, budget=recipe.budget)
    try:
        written = asyncio.run(_write_all(rows, recipe, store, on_progress))
    except BaseExceptionGroup as group:
        raise _first_error(group) from None
    finally:
        store.close()
    failures = [row for row in written if row.status == "pending" and row.reason == "endpoint"]
    if failures and not any(row.is_kept or row.status == "dropped" for row in written):
        raise ConfigError(
            f"No request was answered; the first: {failures[0].detail}. Expected an endpoint under llm.urls. Start it, "
            "correct the address, or use llm.urls=[mock] for a trial without one."
        )
    return written


async def _write_all(
    rows: Sequence[BuildRow], recipe: BuildRecipe, store: RequestStore, on_progress: Progress
) -> list[BuildRow]:
    transport = _transport(recipe.llm.urls)
    llm = recipe.llm if transport is None else recipe.llm.model_copy(update={"urls": ("http://mock",)})
    client = ChatClient(llm, store, transport=transport)
    written: dict[str, BuildRow] = {}

    async def write(row: BuildRow) -> None:
        written[row.id] = await _write(row, recipe, client)
        on_progress(len(written), len(rows))

    try:
        async with asyncio.TaskGroup() as tasks:
            for row in rows:
                tasks.create_task(write(row))
    finally:
        await client.close()
    return [written[row.id] for row in rows]


async def _write(row: BuildRow, recipe: BuildRecipe, client: ChatClient) -> BuildRow:
    prompt = build_messages(row.id, row.plan, demonstrations=recipe.demonstrations)
    schema = json.dumps(answer_schema(row.plan))
    try:
        answer = await client.complete(_request(f"{row.id} write", prompt, schema))
        messages, problems = _read(row, recipe, answer)
        if problems:
            details = [problem.detail for problem in problems]
            again = _request(f"{row.id} repair", repair_messages(prompt, answer, details), schema)
            messages, problems = _read(row, recipe, await client.complete(again))
    except BudgetReached as reached:
        return row.pending("write", "budget", str(reached))
    except EndpointFailed as failed:
        return row.pending("write", "endpoint", str(failed))
    except RequestRefused as refused:
        return row.dropped("write", "refused", str(refused))
    row = row.model_copy(update={"messages": messages, "stage": "write"})
    if not problems:
        return row
    return row.dropped("write", problems[0].reason, "; ".join(problem.detail for problem in problems))


def _request(purpose: str, messages: Sequence[dict[str, str]], schema: str) -> ChatRequest:
    return ChatRequest(purpose, tuple((message["role"], message["content"]) for message in messages), schema)


def _read(row: BuildRow, recipe: BuildRecipe, answer: str) -> tuple[tuple[BuiltMessage, ...], list[Problem]]:
    """Return the messages of an answer and their problems."""
    try:
        messages = to_messages(row.plan, parse_answer(row.plan, answer))
    except ValueError as error:
        return (), [Problem("schema", str(error))]
    return messages, find_problems(row.plan, messages, recipe.checks)


def _transport(urls: Sequence[str]) -> httpx.AsyncBaseTransport | None:
    """Return the transport of the mock endpoint inside this process, or ``None`` for the network."""
    if MOCK_URL not in urls:
        return None
    if len(urls) > 1:
        raise ConfigError(f"llm.urls: got {', '.join(urls)}; expected {MOCK_URL} alone, or addresses only.")
    from nextgpt.testing.llm_endpoint import create_app

    return httpx.ASGITransport(create_app())


def _first_error(group: BaseExceptionGroup) -> BaseException:
    error: BaseException = group
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
