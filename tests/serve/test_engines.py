"""One API, two engines: batches in this process, and steps on Ray Serve. What holds of one holds of the other."""

from __future__ import annotations

import base64
import json
import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import httpx
import openai
import psutil
import pytest
from benchmarks.serving.client import replies_match

from nextgpt.message import Audio, Image, Video
from nextgpt.model.nextgpt import NextGPT
from nextgpt.serve.engine.base import EngineSettings
from nextgpt.serve.engine.local import LocalEngine
from nextgpt.testing.model import write_tiny_model

Serving = Callable[..., AbstractContextManager[str]]
ENGINES = ("local", pytest.param("ray", marks=pytest.mark.slow))  # Ray takes its time to start
START_S = 600
"""Beyond any time that a start takes, on however busy a machine; a few seconds otherwise."""
NEEDS_RAY = "needs Ray; install the extra dev or ray"
SETTINGS = EngineSettings(max_running=8, max_waiting=48)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A model with tiny random parts: all modalities in and out."""
    return str(write_tiny_model(tmp_path_factory.mktemp("tiny")))


@pytest.fixture(scope="module")
def local(folder: str, serving: Serving) -> Iterator[str]:
    """The address of a server whose engine runs in this process."""
    with serving(LocalEngine(NextGPT.from_pretrained(folder), "tiny", SETTINGS)) as address:
        yield ready(address)


@pytest.fixture(scope="module")
def ray(folder: str, serving: Serving) -> Iterator[str]:
    """The address of a server whose steps run on a Ray of its own, on loopback."""
    from nextgpt.serve.engine.ray.config import RayConfig, configure_ray_environment

    if find_spec("ray") is None:
        pytest.skip(NEEDS_RAY)
    settings = RayConfig(stage_timeout_s=240)
    configure_ray_environment(settings)
    from nextgpt.serve.engine.ray.cluster import Cluster
    from nextgpt.serve.engine.ray.engine import RayEngine

    cluster = Cluster(folder, SETTINGS, settings)
    engine = RayEngine(folder, "tiny", SETTINGS, settings, connect=cluster.connect, disconnect=cluster.disconnect)
    with serving(engine) as address:
        yield ready(address, lambda: engine.is_broken)


def ready(address: str, is_broken: Callable[[], bool] = lambda: False) -> str:
    deadline = time.monotonic() + START_S
    while httpx.get(f"{address}/ready", trust_env=False).status_code != 200:
        assert time.monotonic() < deadline and not is_broken(), "the engine did not start"
        time.sleep(0.2)
    return address


@pytest.fixture(params=ENGINES)
def address(request: pytest.FixtureRequest) -> str:
    """Each engine in turn."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def http(address: str) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=address, timeout=180, trust_env=False) as made:
        yield made


@pytest.fixture
def client(address: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{address}/v1", api_key="any", max_retries=0, timeout=180) as made:
        yield made


def chat(content: object, **more: object) -> dict[str, Any]:
    return {"model": "tiny", "messages": [{"role": "user", "content": content}], "seed": 3, "temperature": 1} | more


def everything(data_uri: Callable[[str], str]) -> dict[str, Any]:
    parts = [{"type": f"{name}_url", f"{name}_url": {"url": data_uri(name)}} for name in ("image", "audio", "video")]
    return chat(
        [{"type": "text", "text": "hello"}, *parts], modalities=["image", "audio", "video"], nextgpt={"parts": "b64"}
    )


def test_any_mix_is_answered_in_any_mix(http: httpx.Client, data_uri: Callable[[str], str]):
    answer = http.post("/v1/chat/completions", json=everything(data_uri)).raise_for_status().json()
    message = answer["choices"][0]["message"]
    kinds = {part["type"] for part in message["parts"]}
    assert kinds and kinds <= {"image_url", "audio_url", "video_url"}
    readers = {"image_url": Image, "audio_url": Audio, "video_url": Video}
    for part in message["parts"]:
        readers[part["type"]].open(base64.b64decode(part[part["type"]]["url"].partition(",")[2]))
    assert answer["usage"]["prompt_tokens"] > 3 and answer["usage"]["completion_tokens"] >= 4


@pytest.mark.slow
def test_both_engines_answer_alike(local: str, ray: str, data_uri: Callable[[str], str]):
    def told(at: str, body: dict[str, Any]) -> dict[str, Any]:
        got = httpx.post(
            f"{at}/v1/chat/completions",
            json=body | {"nextgpt": body.get("nextgpt", {}) | {"parts": "b64"}},
            timeout=180,
            trust_env=False,
        ).raise_for_status()
        return got.json()["choices"][0]["message"]

    for body in (everything(data_uri), chat("words", modalities=["text"]), chat("film", modalities=["video"], seed=8)):
        assert replies_match(told(local, body), told(ray, body))


def test_a_stream_brings_words_steps_and_media(http: httpx.Client):
    asked = chat("go on", modalities=["text", "image"], stream=True, n=2, nextgpt={"previews": True})
    with http.stream("POST", "/v1/chat/completions", json=asked) as answer:
        lines = [line.removeprefix("data: ") for line in answer.iter_lines() if line.startswith("data: ")]
    assert lines[-1] == "[DONE]"
    chunks = [json.loads(line) for line in lines[:-1]]
    assert not any("error" in chunk for chunk in chunks)
    ended = [chunk["choices"][0]["index"] for chunk in chunks if chunk["choices"][0]["finish_reason"]]
    assert sorted(ended) == [0, 1]


def test_pictures_come_with_previews_and_are_edited(client: openai.OpenAI, media_bytes: dict[str, bytes]):
    events = list(client.images.generate(prompt="x", stream=True, partial_images=1))
    assert [event.type for event in events] == ["image_generation.partial_image", "image_generation.completed"]
    edited = client.images.edit(image=("x.png", media_bytes["image"]), prompt="bluer", n=2)
    assert all(Image.open(base64.b64decode(item.b64_json)) for item in edited.data) and len(edited.data) == 2


def test_films_are_jobs_and_sounds_files(client: openai.OpenAI, http: httpx.Client):
    job = client.videos.create_and_poll(prompt="a ball", model="tiny", poll_interval_ms=50)
    assert job.status == "completed"
    assert Video.open(client.videos.download_content(job.id).read()).frames.ndim == 4
    assert Audio.open(http.post("/v1/audio/generate", json={"prompt": "a bell"}).content).sample_rate_hz > 0


def test_media_are_embedded(http: httpx.Client, data_uri: Callable[[str], str]):
    parts = [{"type": f"{name}_url", f"{name}_url": data_uri(name)} for name in ("image", "audio")]
    rows = http.post("/v1/embeddings", json={"model": "tiny", "input": parts}).raise_for_status().json()["data"]
    assert all(abs(sum(x * x for x in row["embedding"]) - 1) < 1e-4 for row in rows) and len(rows) == 2


@pytest.mark.parametrize(
    ("change", "status", "says"),
    [
        ({"model": "other"}, 404, "/v1/models lists it"),
        ({"n": 99}, 400, "expected at most"),
        ({"messages": [{"role": "user"}]}, 400, "expected"),
    ],
)
def test_mistakes_are_told_in_words(http: httpx.Client, change: dict[str, Any], status: int, says: str):
    answer = http.post("/v1/chat/completions", json=chat("x") | change)
    assert answer.status_code == status and says in answer.json()["error"]["message"]


def test_more_than_may_wait_is_refused_and_who_leaves_makes_room(http: httpx.Client):
    endless = chat("z", modalities=["text"], max_completion_tokens=400, n=8)
    answers: list[httpx.Response] = []
    asked = [threading.Thread(target=lambda: answers.append(_impatient(http, endless))) for _ in range(8)]
    for thread in asked:
        thread.start()
    for thread in asked:
        thread.join()
    assert {answer.status_code for answer in answers if answer is not None} <= {200, 429}
    deadline = time.monotonic() + 60
    while http.get("/ready").json()["waiting"] and time.monotonic() < deadline:
        time.sleep(0.05)
    assert http.get("/ready").json()["waiting"] == 0
    assert http.post("/v1/chat/completions", json=chat("x", modalities=["text"])).status_code == 200


def _impatient(http: httpx.Client, body: dict[str, Any]) -> httpx.Response | None:
    try:
        at = http.base_url.join("/v1/chat/completions")
        return httpx.post(at, json=body, timeout=3, trust_env=False)
    except httpx.TimeoutException:
        return None


@pytest.mark.slow
def test_replicas_that_are_killed_under_load_are_replaced_and_nothing_hangs(ray: str):
    statuses: list[int] = []
    is_over = threading.Event()

    def ask(number: int) -> None:
        with httpx.Client(base_url=ray, timeout=START_S, trust_env=False) as client:
            while not is_over.is_set():
                asked = chat(f"x{number}", modalities=["text", "image"], seed=number, max_completion_tokens=24)
                answer = client.post("/v1/chat/completions", json=asked)
                statuses.append(answer.status_code)
                assert answer.status_code == 200 or "Try again" in answer.json()["error"]["message"], answer.text

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    try:
        for step in ("llm", "image"):
            wait_for(answers_more_than(statuses.count(200) + 2, statuses))
            killed = replica(step)
            assert killed is not None
            os.kill(killed, signal.SIGKILL)
            wait_for(lambda killed=killed, step=step: replica(step) not in (None, killed))
        wait_for(answers_more_than(statuses.count(200) + 6, statuses))  # the service is itself again
    finally:
        is_over.set()
        for thread in threads:
            thread.join(timeout=START_S)
    assert not any(thread.is_alive() for thread in threads), "nothing hangs"
    assert set(statuses) <= {200, 503}


def answers_more_than(count: int, statuses: list[int]) -> Callable[[], bool]:
    return lambda: statuses.count(200) > count


def replica(step: str) -> int | None:
    """The process of a step's replica, among those of this test's own Ray."""
    for process in psutil.Process().children(recursive=True):
        try:
            title = " ".join(process.cmdline())
            if title.startswith("ray::") and f"ServeReplica:nextgpt-{step}:" in title:
                return process.pid
        except psutil.Error:
            continue
    return None


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + START_S
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.2)


@pytest.mark.slow
def test_everything_of_ray_stays_on_loopback(ray: str):
    own = [psutil.Process(), *psutil.Process().children(recursive=True)]
    peers = {
        connection.raddr.ip
        for process in own
        for connection in process.net_connections(kind="inet")
        if connection.raddr
    }
    assert peers and peers <= {"127.0.0.1", "::1", "::ffff:127.0.0.1"}


@pytest.mark.skipif(find_spec("ray") is None, reason=NEEDS_RAY)
def test_example_files_are_valid():
    import yaml
    from ray.serve.schema import ServeDeploySchema

    from nextgpt.serve.engine.ray.config import read_ray_config
    from nextgpt.serve.ray_application import build

    deploy = Path(__file__).parents[2] / "deploy"
    assert read_ray_config(deploy / "ray-one-machine.yaml").address == "local"
    assert read_ray_config(deploy / "ray-cluster-steps.yaml").llm.num_gpus == 1
    cluster = yaml.safe_load((deploy / "ray-cluster.yaml").read_text())
    assert {"cluster_name", "provider", "auth", "head_start_ray_commands"} <= set(cluster)
    service = yaml.safe_load((deploy / "kubernetes-rayservice.yaml").read_text())
    assert (service["apiVersion"], service["kind"]) == ("ray.io/v1", "RayService")
    served = ServeDeploySchema.model_validate(yaml.safe_load(service["spec"]["serveConfigV2"]))
    (application,) = served.applications
    assert application.import_path == f"{build.__module__}:{build.__name__}"
    assert build(application.args) is not None
