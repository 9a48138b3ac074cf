"""The page that shows the routes: whole, without another server."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from tests.browser import CHROMIUM


def test_the_page_of_routes_takes_everything_from_this_server(http: httpx.Client):
    page = http.get("/docs")
    policy = page.headers["content-security-policy"]
    assert "http" not in policy and "script-src 'self';" in policy
    assert "http" not in page.text and "<script>" not in page.text
    for path in re.findall(r'(?:src|href)="([^"]+)"', page.text):
        got = http.get(path)
        assert got.status_code == 200 and len(got.content) > 50, path
    assert "/openapi.json" in http.get("/docs/start.js").text


@pytest.mark.filterwarnings("ignore:Pydantic serializer warnings")  # of the client, which has no type for audio
def test_the_python_code_of_the_page_on_serving_runs(
    address: str, media_bytes: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    page = Path(__file__).parents[2] / "docs" / "serving.md"
    (tmp_path / "cat.png").write_bytes(media_bytes["image"])
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names: dict[str, Any] = {}
    for block in blocks:
        exec(compile(block.replace("http://127.0.0.1:8000", address), str(page), "exec"), names)
    assert len(blocks) >= 4 and names["images"] and names["second"].status == "completed"


def test_only_its_own_files_are_given(http: httpx.Client):
    assert http.get("/docs/core.py").status_code == 404
    assert http.get("/docs/%2e%2e%2fcore.py").status_code == 404


@pytest.mark.browser
def test_a_browser_shows_the_routes(address: str):
    api = pytest.importorskip("playwright.sync_api", reason="needs playwright; install the extra dev")
    with api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        page = browser.new_page()
        problems: list[str] = []
        page.on("console", lambda line: problems.append(line.text) if line.type == "error" else None)
        page.goto(f"{address}/docs")
        page.get_by_text("/v1/chat/completions").wait_for(timeout=60_000)
        assert page.get_by_text("/v1/videos/sync").count() == 1
        assert problems == []
        browser.close()


def test_every_answer_is_typed(http: httpx.Client):
    document = http.get("/openapi.json").json()
    assert document["components"]["securitySchemes"] == {
        "HTTPBearer": {
            "type": "http",
            "scheme": "bearer",
            "description": "API key, if the server was started with --api-key.",
        }
    }
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            where = f"{method} {path}"
            (content,) = [operation["responses"]["200"]["content"]]
            assert content, where
            for media_type, described in content.items():
                schema = described["schema"]
                is_typed = "$ref" in schema or "properties" in schema or schema.get("format") == "binary"
                assert is_typed or media_type == "text/plain", where
            error = operation["responses"]["4XX"]["content"]["application/json"]["schema"]
            assert error == {"$ref": "#/components/schemas/ErrorResponse"}, where
            assert bool(operation.get("security")) == (path != "/health"), where


def test_streams_are_described(http: httpx.Client):
    paths = http.get("/openapi.json").json()["paths"]
    for path in ("/v1/chat/completions", "/v1/images/generations", "/v1/images/edits"):
        content = paths[path]["post"]["responses"]["200"]["content"]
        assert set(content) == {"application/json", "text/event-stream"}
        assert "$defs" not in str(content) and "properties" in content["text/event-stream"]["schema"]
