"""The data source ``general``: prompts with the answers that the frozen LLM itself gives.

An LLM that is tuned on requests for media alone soon answers everything with media. Its own greedy answers, mixed into
the training, keep its general abilities. They need little capacity, because the frozen weights already produce them.
"""

from __future__ import annotations

import json
import random
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

import torch
from pydantic import BaseModel, ConfigDict

from nextgpt.config import parse_config
from nextgpt.data.record import Dialogue, InvalidRecord, Turn
from nextgpt.errors import ConfigError
from nextgpt.message import Conversation, Sampling
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.llm.generation import GenerationRequest, generate
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.llm.loading import load_language_model
from nextgpt.model.llm.output import LLMOutput, TextSegment
from nextgpt.text_files import read_text
from nextgpt.train.dataset import SourceContext

ANSWERS_FILE = "general-answers-{max_tokens}.jsonl"
"""File next to the work folder, so that all recipes of a model share the answers of one length."""
BATCH_SIZE = 24
"""Prompts per batch."""


class Config(BaseModel):
    """Settings of self-distilled general prompts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    prompts: Path
    """Prompts, one per line."""
    max_tokens: int = 56
    """Answers are truncated to this length; the end of a truncated answer is not trained on."""
    weight: float = 1.0
    """Sampling weight of its dialogues, relative to other sources."""


@dataclass(frozen=True)
class DistilledAnswer:
    """A prompt and the frozen LLM's answer."""

    prompt: str
    answer: str
    is_truncated: bool


@dataclass(frozen=True)
class GeneralSource:
    """Prompts with the LLM's own answers."""

    answers: tuple[DistilledAnswer, ...]
    weight: float = 1.0
    name: str = "general"
    invalid: Sequence[InvalidRecord] = ()

    def __len__(self) -> int:
        return len(self.answers)

    def dialogue(self, index: int) -> Dialogue:
        """Return a prompt and its answer."""
        row = self.answers[index]
        turns = Turn("user", (row.prompt,)), Turn("assistant", (row.answer,))
        return Dialogue(f"{self.name}-{index}", turns, row.is_truncated)

    def fingerprint(self) -> str:
        """Return a digest of all answers."""
        return blake2b(repr(self.answers).encode(), digest_size=16).hexdigest()

    def summary(self) -> tuple[str, str]:
        """Return format and number of records."""
        return "self-distilled", f"{len(self.answers):,}"


def parse(values: Any, where: str) -> Config:
    """Parse the settings."""
    return values if isinstance(values, Config) else parse_config(Config, values or {}, where=where)


def load_sources(config: Config, context: SourceContext) -> tuple[GeneralSource, ...]:
    """Read the answers; generate those that are missing with the frozen LLM. Raises :class:`ConfigError`."""
    if not config.prompts.is_file():
        raise ConfigError(
            f"data.general.prompts is {config.prompts}, which is not a file; expected prompts, one per line."
        )
    lines = read_text(config.prompts).splitlines()
    prompts = list(dict.fromkeys(line.strip() for line in lines if line.strip()))
    path = context.work.parent / ANSWERS_FILE.format(max_tokens=config.max_tokens)
    answers = {row.prompt: row for row in read_answers(path)}
    if set(prompts) - answers.keys():
        llm_config = context.model_config.llm
        llm = load_language_model(
            resolve_component_dir(llm_config.source, context.model_dir),
            template=llm_config.template,
            soft_tokens=context.model_config.input_projection.soft_tokens,
            context_length=llm_config.context_length,
            use_fused_decoder=True,
        )
        distill(llm, prompts, path, max_tokens=config.max_tokens)
        answers = {row.prompt: row for row in read_answers(path)}
    return (GeneralSource(tuple(answers[prompt] for prompt in prompts if answers[prompt].answer), config.weight),)


def read_answers(path: Path) -> list[DistilledAnswer]:
    """Read the answers that exist; a line that a killed run left incomplete is skipped."""
    if not path.is_file():
        return []
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    return [DistilledAnswer(**json.loads(line)) for line in lines if line.endswith("\n")]


def distill(llm: LanguageModel, prompts: Sequence[str], path: Path, *, max_tokens: int) -> None:
    """Append the greedy answers of ``llm`` to the prompts that ``path`` does not contain yet."""
    rows = read_answers(path)
    existing = {row.prompt for row in rows}
    missing = [prompt for prompt in prompts if prompt not in existing]
    random.Random(0).shuffle(missing)  # so that an interrupted run leaves a representative part
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_to_lines(rows), encoding="utf-8")
    for start in range(0, len(missing), BATCH_SIZE):
        rows = _answer(llm, missing[start : start + BATCH_SIZE], max_tokens)
        with path.open("a", encoding="utf-8") as file:
            file.write(_to_lines(rows))


def _to_lines(rows: Iterable[DistilledAnswer]) -> str:
    return "".join(json.dumps(vars(row)) + "\n" for row in rows)


@torch.inference_mode()
def _answer(llm: LanguageModel, prompts: Sequence[str], max_tokens: int) -> Iterator[DistilledAnswer]:
    sampling = Sampling(max_tokens=max_tokens, modalities=("text",))
    requests = [
        GenerationRequest(llm.build_prompt(Conversation().with_message(prompt)), sampling, modalities=("text",))
        for prompt in prompts
    ]
    soft = torch.zeros(0, llm.soft_tokens, llm.hidden_size)
    outputs = {row: event for row, event in generate(llm, requests, soft) if isinstance(event, LLMOutput)}
    llm.prefix_cache.clear()
    for row, prompt in enumerate(prompts):
        text = "".join(part.text for part in outputs[row].segments if isinstance(part, TextSegment))
        yield DistilledAnswer(prompt, text, is_truncated=len(outputs[row].token_ids) >= max_tokens)
