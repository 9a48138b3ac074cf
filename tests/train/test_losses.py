"""The alignments: what each trains, what stays, and the losses against plain references."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from nextgpt.config import LoraConfig
from nextgpt.errors import ConfigError
from nextgpt.model.llm.language_model import NO_TOKEN_ID, LLMForwardOutput, PromptBatch
from nextgpt.model.llm.signal_tokens import SignalVocabulary
from nextgpt.model.nextgpt import NextGPT
from nextgpt.testing.model import tiny_model
from nextgpt.train.align import build_example_prompt
from nextgpt.train.config import TrainerConfig
from nextgpt.train.dataset import EncodedItem, Example, LocalBatch, TrainingItem
from nextgpt.train.initial_model import set_trainable
from nextgpt.train.losses import ConditionTargets, condition_losses, lm_loss, predict_conditions
from nextgpt.train.objective import AlignmentObjective
from nextgpt.train.stages import STAGES, Stage, get_stage
from nextgpt.train.trainer import train

LORA = LoraConfig(rank=2, alpha=4, dropout=0.0, targets=("q_proj", "v_proj"))
TRAINED_IN = {
    "lora": lambda name: ".lora_" in name,
    "signal_tokens": lambda name: name.startswith("llm.signals."),
    "input_projection": lambda name: name.startswith("input_projection."),
    "output_projections": lambda name: name.startswith("output_projections."),
}
"""Where the tensors of what a stage may train are, by their names."""


@pytest.fixture
def model() -> NextGPT:
    return tiny_model()


def everything(model: NextGPT) -> dict[str, Tensor]:
    """A copy of every tensor of a model, encoder and synthesizers included; LoRA renames no layer."""
    tensors = {name.replace(".base_layer", ""): value for name, value in model.state_dict().items()}
    tensors |= {f"encoder.{name}": value for name, value in model.encoder.state_dict().items()}
    for modality in model.config.synthesizers:
        synthesizer = model.synthesizer(modality)
        for part in (synthesizer.components.denoiser, synthesizer.components.autoencoder.autoencoder):
            tensors |= {f"{modality}.{type(part).__name__}.{name}": v for name, v in part.state_dict().items()}
    return {name: value.detach().clone() for name, value in tensors.items()}


def features_of(model: NextGPT, examples: list[Example]) -> tuple:
    media = [medium for example in examples for medium in build_example_prompt(model, None, example).media]
    return tuple(model.encoder.encode(media))


def think(model: NextGPT, examples: list[Example]) -> LLMForwardOutput:
    return model([build_example_prompt(model, None, example) for example in examples], features_of(model, examples))


def encoded_batch(model: NextGPT, examples: list[Example], targets: ConditionTargets) -> LocalBatch:
    """The examples with features and caption embeddings, as a training gets them."""
    items = []
    for number, example in enumerate(examples):
        prompt = build_example_prompt(model, None, example)
        outputs = [m for message in example.conversation if message.role == "assistant" for m in message.media]
        captions = tuple((m.modality, c) for m, c in zip(outputs, example.captions, strict=True))
        embeddings = tuple(targets(modality, [caption])[0] for modality, caption in captions)
        encoded = EncodedItem(tuple(model.encoder.encode(prompt.media)) if prompt.media else (), embeddings)
        items.append(TrainingItem(str(number), example, prompt, captions, 0, encoded=encoded))
    return LocalBatch(tuple(items))


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_a_stage_trains_all_that_it_names_and_leaves_the_rest_bit_equal(
    stage: Stage, model: NextGPT, examples: list[Example], targets: ConditionTargets, tmp_path: Path
) -> None:
    untouched = everything(model)
    set_trainable(model, stage, LORA)
    before = everything(model)
    for name, value in untouched.items():
        assert torch.equal(before[name], value), f"preparing changed {name}"

    batch = encoded_batch(model, examples, targets)
    config = TrainerConfig(max_steps=3, batch_size=2, learning_rate=0.01, warmup_steps=0, log_steps=1)
    train(AlignmentObjective(model, stage), lambda first: iter([batch] * 3), config, tmp_path)
    model.eval()

    after = everything(model)
    changed = {name for name, value in before.items() if not torch.equal(after[name], value)}
    named = {name for name in before if any(TRAINED_IN[part](name) for part in stage.trainable)}
    assert changed == named
    assert {part for part, holds in TRAINED_IN.items() if any(map(holds, changed))} == stage.trainable


@pytest.mark.parametrize("stage", STAGES.values(), ids=STAGES)
def test_a_stage_needs_gradients_for_exactly_what_it_names(stage: Stage, model: NextGPT) -> None:
    set_trainable(model, stage, LORA)
    needed = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    named = {name for name, _ in model.named_parameters() if any(TRAINED_IN[part](name) for part in stage.trainable)}
    assert needed == named and needed


def test_fresh_lora_is_noted_in_the_config_that_is_saved(model: NextGPT) -> None:
    set_trainable(model, STAGES["decoding-alignment"], LORA)
    assert model.config.llm.lora is None
    set_trainable(model, STAGES["instruction-tuning"], LORA)
    assert model.config.llm.lora == LORA


def test_an_edit_is_woven_before_its_run_and_nowhere_else(model: NextGPT, examples: list[Example]) -> None:
    ids = model.llm.signals.vocabulary
    spans = ids.spans(build_example_prompt(model, None, examples[1]).token_ids)
    assert [(span.modality, span.is_edit) for span in spans] == [
        ("image", False), ("image", True), ("audio", False), ("video", False)
    ]  # fmt: skip


def test_a_forward_pass_returns_all_losses_of_the_stage(
    model: NextGPT, examples: list[Example], targets: ConditionTargets
) -> None:
    batch = encoded_batch(model, examples, targets)
    distances = {"mse.image", "mse.audio", "mse.video"}
    names = {"encoding-alignment": set(), "decoding-alignment": distances, "instruction-tuning": distances}
    for name, expected in names.items():
        objective = AlignmentObjective(model, get_stage(name))
        assert set(objective(batch)) == set(objective.num_terms(batch)) == {"cross_entropy", *expected}
        assert set(objective.loss_weights) == {"cross_entropy", *expected}


# ---- words -------------------------------------------------------------------------------------------------------

SIGNALS = SignalVocabulary(10)
FIRST = [SIGNALS.edit, SIGNALS.span_ids("image")[0]]
SEQUENCE = [
    (1, False), (2, False), (NO_TOKEN_ID, False), (3, False),  # what the user says, with a soft token
    (4, True), (5, True), (SIGNALS.edit, True), *((token, True) for token in SIGNALS.span_ids("image")), (6, True),
    (1, False), (7, True), (NO_TOKEN_ID, False),  # the next turn, then padding
]  # fmt: skip
LEARNED = [4, 5, 6, 7, 11, 13]
"""Positions of what must be learned: words, the edit token, the first signal token of the run, the end."""


def thoughts_of(logits: Tensor) -> LLMForwardOutput:
    ids = torch.tensor([[token for token, _ in SEQUENCE]])
    in_loss = torch.tensor([[target for _, target in SEQUENCE]])
    return LLMForwardOutput(
        PromptBatch(logits, ids != NO_TOKEN_ID, ids, in_loss), logits, lm_head=lambda hidden: hidden
    )


def logits() -> Tensor:
    return torch.randn(1, len(SEQUENCE), 10 + len(SIGNALS), generator=torch.Generator().manual_seed(0))


def test_words_are_judged_like_a_plain_cross_entropy_over_what_must_be_learned() -> None:
    scores = logits()
    plain = [-F.log_softmax(scores[0, position - 1], dim=-1)[SEQUENCE[position][0]] for position in LEARNED]
    assert [SEQUENCE[position][0] for position in LEARNED] == [4, 5, *FIRST, 6, 7]
    torch.testing.assert_close(lm_loss(thoughts_of(scores), 10, FIRST), torch.stack(plain).mean())


@pytest.mark.parametrize("position", range(1, len(SEQUENCE)))
def test_neither_forced_signal_tokens_nor_the_user_nor_padding_count(position: int) -> None:
    scores, other = logits(), logits()
    other[0, position - 1] = torch.randn(other.shape[-1], generator=torch.Generator().manual_seed(1))
    same = torch.equal(lm_loss(thoughts_of(scores), 10, FIRST), lm_loss(thoughts_of(other), 10, FIRST))
    assert same == (position not in LEARNED)


# ---- conditions --------------------------------------------------------------------------------------------------


def test_conditions_are_judged_by_their_mean_squared_distance_to_the_captions(
    model: NextGPT, examples: list[Example], targets: ConditionTargets
) -> None:
    with torch.no_grad():
        thoughts = think(model, examples)
        losses = condition_losses(predict_conditions(model, thoughts, [e.captions for e in examples]), targets)
        ids = thoughts.prompts.input_ids[1].tolist()
        distances: dict[str, list[Tensor]] = {"image": [], "audio": [], "video": []}
        for span, caption in zip(model.llm.signals.vocabulary.spans(ids), examples[1].captions, strict=True):
            hidden = torch.stack([thoughts.hidden_states[1, position] for position in range(span.start, span.stop)])
            said = model.output_projections[span.modality](
                hidden[None], model.llm.signals.span_embeddings(span.modality)
            )[0]
            wanted = targets(span.modality, [caption])[0]
            distances[span.modality].append(((said - wanted) ** 2).mean())
    assert [len(found) for found in distances.values()] == [2, 1, 1]
    for modality, found in distances.items():
        torch.testing.assert_close(losses[f"mse.{modality}"], torch.stack(found).mean())


def test_captions_of_the_wrong_size_are_refused(
    model: NextGPT, examples: list[Example], targets: ConditionTargets
) -> None:
    def of_one_query(modality: str, captions: list[str]) -> Tensor:
        return targets(modality, captions)[:, :1]

    with (
        torch.no_grad(),
        pytest.raises(ConfigError, match=r"image output projection returns \(6, 16\).*returns \(1, 16\)"),
    ):
        said = predict_conditions(model, think(model, examples), [example.captions for example in examples])
        condition_losses(said, of_one_query)
