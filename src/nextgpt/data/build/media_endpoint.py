"""Media from an endpoint: OpenAI's ``/images/generations``, and this project's ``/audio/generate``, ``/videos/sync``.

One request per candidate, recorded with its price like those of the LLM.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx

from nextgpt.data.build.endpoint import FATAL, RETRIED, read_api_key
from nextgpt.data.build.files import write_atomically
from nextgpt.data.build.media_job import JobFailed, MediumJob
from nextgpt.data.build.model_media import ModelMedia, rank
from nextgpt.data.build.recipe import MediaConfig
from nextgpt.data.build.request_store import REQUESTS_FILE, Answer, BudgetReached, RequestStore
from nextgpt.data.build.row import Candidate
from nextgpt.errors import ConfigError, MediaError
from nextgpt.modality import MODALITIES

ROUTES = {"image": "/images/generations", "audio": "/audio/generate", "video": "/videos/sync"}
MAX_MEDIUM_BYTES = 64 * 2**20


class EndpointMaker:
    """Requests media by their captions. Edits are generated from the caption of their result."""

    batch_size = 1

    def __init__(
        self, modality: str, settings: MediaConfig, work: Path, *, budget: float | None, model: ModelMedia
    ) -> None:
        assert settings.endpoint is not None
        self._endpoint, self._count = settings.endpoint, settings.candidates
        self._modality, self._work, self._budget, self._model = modality, work, budget, model
        self.name = f"endpoint {self._endpoint.url} {self._endpoint.model} {self._count}"

    def make(self, jobs: Sequence[MediumJob], paths: Sequence[Path]) -> list[tuple[Candidate, ...]]:
        """See :meth:`.media_job.MediaMaker.make`."""
        store = RequestStore(self._work / REQUESTS_FILE, budget=self._budget)
        try:
            candidates = [
                [self._candidate(job, stem, number, store) for number in range(self._count)]
                for job, stem in zip(jobs, paths, strict=True)
            ]
        except BudgetReached as reached:
            raise JobFailed("budget", str(reached), is_final=False) from None
        finally:
            store.close()
        return rank(candidates, [job.caption for job in jobs], self._model)

    def remember(self, candidate: Candidate) -> None:
        """See :meth:`.media_job.MediaMaker.remember`."""

    def _candidate(self, job: MediumJob, stem: Path, number: int, store: RequestStore) -> Candidate:
        path = stem.with_name(f"{stem.name}-{number}{MODALITIES[self._modality].suffix}")
        relative = path.relative_to(self._work).as_posix()
        key = hashlib.sha256(f"{self.name} {relative}".encode()).hexdigest()[:32]
        if store.find(key) is None or not path.is_file():
            self._request(key, job, path, store)
        return Candidate(
            path=relative,
            source=self._endpoint.model or self._endpoint.url,
            licence=self._endpoint.licence,
            made_by=f"synthesized by {self._endpoint.model or self._endpoint.url}",
        )

    def _request(self, key: str, job: MediumJob, path: Path, store: RequestStore) -> None:
        """Send until a medium arrives; write the file before the answer is committed."""
        failure = ""
        for attempt in range(self._endpoint.tries):
            store.reserve(key, purpose=path.name, body=job.caption, price=self._endpoint.price)
            try:
                response = self._post(job)
            except httpx.HTTPError as error:
                store.lose(key, f"{type(error).__name__}: {error}")
                failure = f"{self._endpoint.url} broke off ({type(error).__name__})"
            else:
                if response.status_code == 200:
                    write_atomically(path, self._read(key, response, store))
                    store.answer(key, Answer(path.name, cost=self._endpoint.price))
                    return
                store.release(key)
                failure = self._check_status(response)
            time.sleep(min(self._endpoint.max_wait_s, 0.5 * 2**attempt))
        raise JobFailed("endpoint", f"{failure}, {self._endpoint.tries} times", is_final=False)

    def _post(self, job: MediumJob) -> httpx.Response:
        body: dict[str, Any] = {"prompt": job.caption}
        if self._endpoint.model:
            body["model"] = self._endpoint.model
        headers = {"Accept-Encoding": "identity"}
        if self._endpoint.api_key_env:
            headers["Authorization"] = f"Bearer {read_api_key(self._endpoint.api_key_env)}"
        url = self._endpoint.url.rstrip("/") + ROUTES[self._modality]
        with httpx.stream("POST", url, json=body, headers=headers, timeout=self._endpoint.timeout_s) as response:
            content = bytearray()
            for chunk in response.iter_bytes():
                content += chunk
                if len(content) > MAX_MEDIUM_BYTES:
                    raise httpx.ReadError(f"more than {MAX_MEDIUM_BYTES} bytes")
            return httpx.Response(response.status_code, content=bytes(content))

    def _read(self, key: str, response: httpx.Response, store: RequestStore) -> bytes:
        """Return the file of a response and check that it is a medium."""
        try:
            content = response.content
            if self._modality == "image":
                content = base64.b64decode(json.loads(content)["data"][0]["b64_json"])
            from nextgpt.media.read_any import READERS

            READERS[self._modality](content)
        except (ValueError, LookupError, TypeError, binascii.Error, MediaError) as error:
            store.lose(key, f"no medium: {error}")
            raise JobFailed("endpoint", f"the answer holds no {self._modality}: {error}", is_final=False) from None
        return content

    def _check_status(self, response: httpx.Response) -> str:
        failure = f"{self._endpoint.url} answered {response.status_code}: {response.text[:200]}"
        if response.status_code in FATAL:
            raise ConfigError(f"{failure}. Check media.endpoint.url, model and api_key_env.")
        if response.status_code not in RETRIED and response.status_code < 500:
            raise JobFailed("refused", failure, is_final=True)
        return failure
