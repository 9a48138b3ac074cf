"""General abilities of the LLM after fine-tuning: the tuned model against its own frozen LLM.

    python benchmarks/general_abilities.py [MODEL] [--limit 200] [--json]

The frozen LLM answers general prompts that no training contains. Given the same answer so far, the tuned model chooses
the same next token in ``agreement`` of all positions; signal tokens are among its choices. ``perplexity`` is that of
these answers, ``text_alone`` the share of prompts that the tuned model itself answers without media or a refusal.
"""

from __future__ import annotations

import argparse
import json
import math
import tempfile
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from nextgpt.config import read_config
from nextgpt.logging import silence_libraries
from nextgpt.message import Sampling
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.llm.loading import load_language_model
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.model.nextgpt import NextGPT
from nextgpt.train.align import build_example_prompt
from nextgpt.train.dataset import Example, example_of
from nextgpt.train.self_distillation import GeneralSource, distill, read_answers

PROMPTS = Path(__file__).with_name("general-prompts.txt")
MAX_TOKENS, BATCH_SIZE = 48, 20
REFUSAL = "I do not know"


@dataclass(frozen=True)
class Result:
    """The tuned model against its frozen LLM."""

    prompts: int
    tokens: int
    agreement: float
    """Share of positions with the same first choice."""
    perplexity: float
    """Of the frozen LLM's answers, by the tuned model."""
    perplexity_of_frozen: float
    text_alone: float
    """Share of prompts that the tuned model answers in words, without a refusal."""


@torch.inference_mode()
def measure(model_name: str, prompts: Sequence[str], max_tokens: int = MAX_TOKENS) -> Result:
    """Measure one model; it must have been trained from a frozen LLM that its config names."""
    model_dir = resolve_model_dir(model_name)
    config = read_config(model_dir)
    tuned = NextGPT.from_pretrained(model_dir)
    frozen = load_language_model(
        resolve_component_dir(config.llm.source, model_dir),
        template=config.llm.template,
        soft_tokens=tuned.llm.soft_tokens,
        context_length=config.llm.context_length,
        use_fused_decoder=True,
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "answers.jsonl"
        distill(frozen, prompts, path, max_tokens=max_tokens)
        source = GeneralSource(tuple(row for row in read_answers(path) if row.answer))
    examples = [example_of(source.dialogue(index), ()) for index in range(len(source))]
    same, tuned_loss, frozen_loss, tokens = 0, 0.0, 0.0, 0
    for first in range(0, len(examples), BATCH_SIZE):
        batch = examples[first : first + BATCH_SIZE]
        logits, targets = _answer_logits(tuned.llm, tuned, batch)
        frozen_logits, _ = _answer_logits(frozen, tuned, batch)
        frozen_logits = frozen_logits[:, : frozen.vocabulary_size]
        same += int((logits.argmax(dim=1) == frozen_logits.argmax(dim=1)).sum())
        tuned_loss += float(F.cross_entropy(logits, targets, reduction="sum"))
        frozen_loss += float(F.cross_entropy(frozen_logits, targets, reduction="sum"))
        tokens += len(targets)
    batches = (list(prompts[first : first + BATCH_SIZE]) for first in range(0, len(prompts), BATCH_SIZE))
    text_alone = sum(_count_text_alone(tuned, batch) for batch in batches)
    return Result(
        len(prompts), tokens, same / tokens, math.exp(tuned_loss / tokens), math.exp(frozen_loss / tokens),
        text_alone / len(prompts),
    )  # fmt: skip


def _answer_logits(llm: LanguageModel, model: NextGPT, examples: Sequence[Example]) -> tuple[Tensor, Tensor]:
    """Return float32 logits (n, V) and ids (n,) at the positions of the answers."""
    prompts = [build_example_prompt(model, None, example) for example in examples]
    batch = llm.embed_prompts(prompts, torch.zeros(0, llm.soft_tokens, llm.hidden_size))
    output = llm(batch)
    in_loss = batch.loss_mask[:, 1:]
    return llm.logits(output.hidden_states[:, :-1][in_loss]).float(), batch.input_ids[:, 1:][in_loss]


def _count_text_alone(model: NextGPT, prompts: list[str]) -> int:
    replies = model.chat_batch(prompts, Sampling(max_tokens=MAX_TOKENS))
    return sum(not reply.message.media and REFUSAL not in reply.text for reply in replies)


def main() -> None:
    """Print the result for one model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="small")
    parser.add_argument("--prompts", type=Path, default=PROMPTS, help="a file with one prompt per line")
    parser.add_argument("--limit", type=int, default=200)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    silence_libraries()
    prompts = options.prompts.read_text(encoding="utf-8").splitlines()[: options.limit]
    result = asdict(measure(options.model, prompts))
    if options.json:
        print(json.dumps(result))
    else:
        print("\n".join(f"{name:22}{value:.3f}" for name, value in result.items()))


if __name__ == "__main__":
    main()
