"""The check of generated clients lists every answer, and finds the types that say nothing."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
from benchmarks.serving.typed_clients.check_python import find_untyped, is_untyped
from benchmarks.serving.typed_clients.run import PREAMBLE, Answer, list_answers, typescript_lines

JSON = {"application/json": {"schema": {}}}
DOCUMENT = {
    "paths": {
        "/a": {
            "get": {"operationId": "read_a", "responses": {"200": {"content": JSON | {"text/plain": {}}}, "4XX": {}}}
        },
        "/b": {"post": {"operationId": "make_b", "responses": {"200": {"content": JSON}}}},
    }
}


def test_every_answer_is_listed() -> None:
    answers = list_answers(DOCUMENT)
    assert [str(answer) for answer in answers] == [
        "GET /a 200 application/json",
        "GET /a 200 text/plain",
        "GET /a 4XX none",
        "POST /b 200 application/json",
    ]


def test_each_answer_has_a_line_that_compiles_only_if_it_is_typed() -> None:
    lines = list(typescript_lines([Answer("/a", "get", "4XX", "application/json", "read_a")]))
    place = 'paths["/a"]["get"]["responses"]["4XX"]["content"]["application/json"]'
    assert lines[PREAMBLE:] == [f"export const answer0: Typed<{place}> = true;"]


def generated(**fields: Any) -> type:
    """Return a stand-in for a class that the generator made."""
    return type("Generated", (), {"__attrs_attrs__": (), "__annotations__": fields})


@pytest.mark.parametrize(
    ("annotation", "untyped"),
    [
        (Any, True),
        (list[Any] | None, True),
        (dict[str, Any], True),
        (list[str] | int, False),
        (generated(name=str, additional_properties=dict[str, Any]), False),
        (generated(additional_properties=dict[str, int]), False),
        (generated(additional_properties=dict[str, Any]), True),
        (generated(), True),
        (generated(items=list[generated(value=Any)]), True),
        (generated(items="list[Other]"), True),
    ],
)
def test_types_that_say_nothing_are_found(annotation: Any, untyped: bool) -> None:
    assert is_untyped(annotation, {"Other": generated(value=dict[str, Any])}) == untyped


def test_an_operation_without_a_function_is_untyped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "generated_client"
    for name in ("models", "api"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").touch()
    (folder / "__init__.py").touch()
    (folder / "types.py").touch()
    (folder / "api" / "read_a.py").write_text("def sync_detailed() -> str: ...\n")
    (folder / "api" / "read_b.py").write_text("from typing import Any\ndef sync_detailed() -> Any: ...\n")
    monkeypatch.setattr(sys, "path", list(sys.path))
    assert find_untyped(folder, ["read__a", "read_b", "read_c"]) == ["read_b", "read_c"]
