"""Requests drawn from the OpenAPI document: whatever it allows, and what it does not, is answered without a 5xx."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from nextgpt.serve.app import create_app
from nextgpt.serve.engine.base import EngineSettings
from nextgpt.serve.settings import ServerSettings
from nextgpt.testing.scripted_model import ScriptedModel
from nextgpt.testing.serial_engine import SerialEngine

schemathesis = pytest.importorskip("schemathesis", reason="needs schemathesis; install the extra dev")

EXAMPLES = 8
PATHS = create_app(SerialEngine(ScriptedModel())).openapi()["paths"]
CASES = sorted(
    (method.upper(), path, mode)
    for path, methods in PATHS.items()
    for method, operation in methods.items()
    for mode in (["allowed", "not allowed"] if "requestBody" in operation else ["allowed"])
)


@pytest.fixture(scope="module")
def document(studio: Any, serving: Any) -> Iterator[Any]:
    """The document of a server whose answers are made at once."""
    engine = SerialEngine(studio, settings=EngineSettings(max_waiting=64))
    with serving(engine, ServerSettings(body_timeout_s=20)) as address:
        yield schemathesis.openapi.from_url(f"{address}/openapi.json")


@pytest.mark.parametrize(("method", "path", "mode"), CASES)
def test_nothing_that_can_be_asked_is_a_fault_of_ours(document: Any, method: str, path: str, mode: str):
    modes = {"allowed": schemathesis.GenerationMode.POSITIVE, "not allowed": schemathesis.GenerationMode.NEGATIVE}
    operation = document[path][method]

    @given(case=operation.as_strategy(generation_mode=modes[mode]))
    @settings(
        max_examples=EXAMPLES,
        database=None,
        deadline=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    def ask(case: Any) -> None:
        answer = case.call(timeout=60)
        assert answer.status_code < 500, (case.as_curl_command(), answer.content[:500])
        assert b"Traceback" not in answer.content

    ask()


def test_generators_of_typed_clients_find_a_type_for_every_answer():
    document = create_app(SerialEngine(ScriptedModel())).openapi()
    names = document["components"]["schemas"]
    # Two models of one name get names of their modules, of which generators make the same class twice.
    assert not [name for name in names if "__" in name]
    # openapi-python-client leaves out models whose fields have a default beside a reference.
    assert not [
        (name, field)
        for name, schema in names.items()
        for field, value in schema.get("properties", {}).items()
        if "$ref" in value and "default" in value
    ]
    for path, methods in PATHS.items():
        for method, operation in methods.items():
            for status, answer in operation["responses"].items():
                for media_type, content in answer.get("content", {}).items():
                    assert content.get("schema"), (path, method, status, media_type)
            # Without an optional parameter, openapi-python-client 0.29 does not import a name that it uses for bodies
            # of several media types.
            optional = [field["name"] for field in operation["parameters"] if not field["required"]]
            assert "x-request-id" in [name.lower() for name in optional], (path, method)
