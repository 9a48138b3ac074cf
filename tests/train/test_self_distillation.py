"""General prompts are answered once by the frozen LLM; the end of a truncated answer is not trained on."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from nextgpt.config import read_config
from nextgpt.errors import ConfigError
from nextgpt.testing.model import fake_model, write_tiny_model
from nextgpt.train.align import build_example_prompt
from nextgpt.train.dataset import SourceContext, example_of
from nextgpt.train.self_distillation import (
    ANSWERS_FILE,
    Config,
    DistilledAnswer,
    GeneralSource,
    distill,
    load_sources,
    read_answers,
)
from nextgpt.train.stages import INSTRUCTION_TUNING

ANSWERS = (
    DistilledAnswer("Why is the sky blue?", "Light is scattered.", is_truncated=False),
    DistilledAnswer("Tell me a story.", "Once upon a", is_truncated=True),
)


def test_the_end_of_a_truncated_answer_is_not_trained_on() -> None:
    model = fake_model()
    (end,) = model.llm.tokenizer.split_special_tokens(model.llm.template.end_of_turn)
    source = GeneralSource(ANSWERS)
    complete, truncated = (
        build_example_prompt(model, None, example_of(source.dialogue(index), ())) for index in range(2)
    )
    assert complete.token_spans[-1].ids[-1] == end
    assert truncated.token_spans[-1].in_loss and end not in truncated.token_spans[-1].ids
    whole = build_example_prompt(model, None, example_of(replace(source.dialogue(1), is_truncated=False), ()))
    assert whole.token_spans[-1].ids == (*truncated.token_spans[-1].ids, end)


def test_an_interrupted_run_resumes(tmp_path: Path) -> None:
    llm, path = fake_model().llm, tmp_path / "answers.jsonl"
    distill(llm, ["hello", "a cat"], path, max_tokens=4)
    first = path.read_text()
    assert {row.prompt for row in read_answers(path)} == {"hello", "a cat"}
    distill(llm, ["hello", "a cat"], path, max_tokens=4)
    assert path.read_text() == first
    path.write_text(first + '{"prompt": "a d')
    distill(llm, ["hello", "a dog"], path, max_tokens=4)
    assert path.read_text().startswith(first)
    assert [row.prompt for row in read_answers(path)][2:] == ["a dog"]


def test_the_source_generates_missing_answers_beside_the_work_folder(tmp_path: Path) -> None:
    model_dir = write_tiny_model(tmp_path / "model")
    (tmp_path / "prompts.txt").write_text("hello\n\na cat\nhello\n")
    context = SourceContext(INSTRUCTION_TUNING, read_config(model_dir), model_dir, tmp_path / "work" / "stage")
    config = Config(prompts=tmp_path / "prompts.txt", max_tokens=4, weight=0.2)
    (source,) = load_sources(config, context)

    def num_answers(max_tokens: int) -> int:
        return len(read_answers(tmp_path / "work" / ANSWERS_FILE.format(max_tokens=max_tokens)))

    assert source.weight == 0.2 and num_answers(4) == 2
    assert {row.prompt for row in source.answers} <= {"hello", "a cat"}
    load_sources(Config(prompts=tmp_path / "prompts.txt", max_tokens=5), context)
    assert num_answers(5) == 2 and num_answers(4) == 2


def test_a_missing_file_of_prompts_is_an_error(tmp_path: Path) -> None:
    model_dir = write_tiny_model(tmp_path / "model")
    context = SourceContext(INSTRUCTION_TUNING, read_config(model_dir), model_dir, tmp_path / "work")
    with pytest.raises(ConfigError, match=r"data\.general\.prompts"):
        load_sources(Config(prompts=tmp_path / "none.txt"), context)
