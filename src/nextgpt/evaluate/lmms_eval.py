"""Adapter for lmms-eval, which finds it by the entry point group ``lmms_eval.models``.

::

    python -m lmms_eval --model nextgpt --model_args pretrained=nano,out=media --tasks NAME --include_path DIR

A reply that is text alone is returned as text. A reply with media is JSON text that names their files, as tasks of
generation expect: ``{"text": "…", "images": ["…"], "audios": ["…"], "videos": ["…"]}``.

lmms-eval is no dependency: this module imports it, and nothing imports this module but lmms-eval's registry.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
from lmms_eval.api.model import lmms
from lmms_eval.models.registry_v2 import ModelManifest

from nextgpt import NextGPT
from nextgpt.media import read_any
from nextgpt.message import Audio, Conversation, Image, Medium, Reply, Sampling

PLURALS = {"image": "images", "audio": "audios", "video": "videos"}
MAX_TOKENS = 512


def manifest() -> ModelManifest:
    """Return the entry of lmms-eval's registry."""
    return ModelManifest("nextgpt", simple_class_path=f"{__name__}.NextGPTModel")


class NextGPTModel(lmms):
    """Answers the requests of lmms-eval's tasks.

    Args:
        pretrained: What ``NextGPT.from_pretrained`` takes.
        out: Folder for generated media.
        seed: Seed of each answer.
        num_inference_steps: Denoising steps; the model's own if omitted.
        modalities: Modalities of the answers joined by ``+``, such as ``image``; the model decides if omitted.
        batch_size: Requests per batch.
    """

    is_simple = True

    def __init__(
        self,
        pretrained: str = "nano",
        out: str = "lmms_eval_media",
        seed: int = 0,
        num_inference_steps: int | None = None,
        modalities: str | None = None,
        batch_size: int | str = 1,
        device: str | None = None,
        max_batch_size: int | None = None,
    ) -> None:
        super().__init__()
        self._model = NextGPT.from_pretrained(pretrained, **({"device": device} if device else {}))
        self._out = Path(out)
        self._batch_size = int(batch_size)
        self._sampling = Sampling(
            seed=int(seed),
            max_tokens=MAX_TOKENS,
            num_inference_steps=None if num_inference_steps is None else int(num_inference_steps),
            modalities=None if modalities is None else tuple(modalities.split("+")),
        )

    def generate_until(self, requests: Sequence[Any]) -> list[str]:
        """Answer requests whose arguments are (text, settings, media of a document, document id, task, split)."""
        answers: list[str] = []
        for start in range(0, len(requests), self._batch_size):
            batch = requests[start : start + self._batch_size]
            conversations = [Conversation().with_message([*self._media(one), one.args[0]]) for one in batch]
            samplings = [self._with_settings(one.args[1]) for one in batch]
            replies = self._model.chat_batch(conversations, samplings)
            answers += [self._answer(reply, one) for reply, one in zip(replies, batch, strict=True)]
        return answers

    def generate_until_multi_round(self, requests: Sequence[Any]) -> list[str]:
        """Refuse tasks in which the text of a request depends on earlier answers."""
        raise NotImplementedError("nextgpt answers tasks of the type generate_until only. Choose another task.")

    def loglikelihood(self, requests: Sequence[Any]) -> list[tuple[float, bool]]:
        """Refuse tasks that compare likelihoods."""
        raise NotImplementedError("nextgpt answers tasks of the type generate_until only. Choose another task.")

    def _with_settings(self, settings: dict[str, Any]) -> Sampling:
        limit = settings.get("max_new_tokens")
        return replace(self._sampling, max_tokens=min(int(limit), MAX_TOKENS)) if limit else self._sampling

    def _media(self, request: Any) -> Iterator[Medium]:
        """Yield the media of a request's document."""
        _, _, doc_to_visual, doc_id, task, split = request.args
        visuals = doc_to_visual(self.task_dict[task][split][doc_id]) if doc_to_visual else None
        for one in _flatten(visuals):
            yield to_medium(one)

    def _answer(self, reply: Reply, request: Any) -> str:
        """Return the text of a reply, or JSON text if it has media."""
        media = [part for part in reply.parts if isinstance(part, Medium)]
        if not media:
            return reply.text
        _, _, _, doc_id, task, split = request.args
        folder = self._out / task / split
        folder.mkdir(parents=True, exist_ok=True)
        content: dict[str, Any] = {"text": reply.text, "images": []}
        for index, medium in enumerate(media):
            path = medium.save(folder / f"{doc_id}-{index:02d}")
            content.setdefault(PLURALS[medium.modality], []).append(str(path.absolute()))
        return json.dumps(content, ensure_ascii=False)


def to_medium(value: Any) -> Medium:
    """Convert what tasks call a visual: a PIL image, decoded audio, or the path of an image, audio or video file.

    Raises:
        TypeError: It is none of these.
    """
    if isinstance(value, PIL.Image.Image):
        return Image(value.convert("RGB"))
    if isinstance(value, dict) and {"array", "sampling_rate"} <= set(value):
        samples = np.atleast_2d(np.asarray(value["array"], np.float32))
        return Audio(samples, sample_rate_hz=int(value["sampling_rate"]))
    if isinstance(value, str | Path):
        return read_any(Path(value))
    raise TypeError(f"{type(value).__name__} is no medium; expected a PIL image, decoded audio or a path.")


def _flatten(value: Any) -> Iterator[Any]:
    if isinstance(value, list | tuple):
        for one in value:
            yield from _flatten(one)
    elif value is not None:
        yield value
