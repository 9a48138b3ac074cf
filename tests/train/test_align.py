"""Alignment on corpora: what is trained, what is drawn, what is broken, and stopping and going on."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from functools import partial
from importlib.util import find_spec
from math import nan
from pathlib import Path

import pytest
import torch

from nextgpt import NextGPT
from nextgpt.config import read_config
from nextgpt.errors import ConfigError
from nextgpt.message import Conversation
from nextgpt.model.llm.prompt import Prompt
from nextgpt.model.model_dir import WEIGHTS_FILE
from nextgpt.model.safetensors_io import read_safetensors
from nextgpt.testing.scripted_model import tiny_image
from nextgpt.train.align import build_example_prompt, count_parameters, run
from nextgpt.train.alignment_recipe import AlignmentRecipe, load_sources
from nextgpt.train.dataset import BatchSampler, LocalBatch
from nextgpt.train.frozen_encoders import FrozenEncoders, attach_encoder_outputs
from nextgpt.train.initial_model import load_initial_model, set_trainable
from nextgpt.train.losses import condition_losses, first_signal_ids, lm_loss, predict_conditions
from nextgpt.train.objective import AlignmentObjective
from nextgpt.train.parameter_report import count_prepared_model
from nextgpt.train.prefix_forward import forward_frozen_prefix
from nextgpt.train.stages import STAGES
from nextgpt.train.trainer import DivergenceError

Make = Callable[..., AlignmentRecipe]
Losses = Callable[[AlignmentRecipe], list[float]]
NEEDS_BITSANDBYTES = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="needs bitsandbytes: pip install -e '.[quantized]'"
)
TRAINED = {
    "encoding-alignment": ("input_projection.",),
    "decoding-alignment": ("output_projections.", "signals."),
    "instruction-tuning": ("input_projection.", "output_projections.", "signals.", "lora."),
}


def sampler(recipe: AlignmentRecipe, **settings: object) -> BatchSampler:
    values = {"batch_size": recipe.fit.batch_size, "seed": 0, "build_prompt": lambda example: Prompt(())} | settings
    return BatchSampler(load_sources(recipe), **values)


@pytest.mark.parametrize("stage", TRAINED)
def test_a_stage_trains_what_it_names_and_the_model_that_is_written_answers(
    stage: str, recipe: Make, initial: Path
) -> None:
    settings = recipe(stage)
    assert run(settings)
    before, after = (read_safetensors(folder / WEIGHTS_FILE) for folder in (initial, settings.model))
    changed = {name for name, value in after.items() if name not in before or not torch.equal(value, before[name])}
    assert {part for part in TRAINED[stage] if any(name.startswith(part) for name in changed)} == set(TRAINED[stage])
    assert all(name.startswith(TRAINED[stage]) for name in changed)
    for part in ("encoder/model.safetensors", "llm/model.safetensors"):
        assert (settings.model / part).read_bytes() == (initial / part).read_bytes()
    assert NextGPT.from_pretrained(settings.model).chat(["What is this?", tiny_image()]).parts is not None


@pytest.mark.parametrize("kind", ["bfloat16", pytest.param("int4", marks=NEEDS_BITSANDBYTES)])
def test_a_frozen_llm_may_be_narrow_and_what_is_trained_stays_wide(kind: str, recipe: Make, initial: Path) -> None:
    settings = recipe("instruction-tuning", dtypes={"llm": kind}, fit={"max_steps": 3})
    model = load_initial_model(settings)
    weight = model.llm.transformer.get_submodule("model.layers.0.self_attn.q_proj").weight
    assert weight.dtype == {"bfloat16": torch.bfloat16, "int4": torch.uint8}[kind]
    assert run(settings)
    before, after = (read_safetensors(folder / WEIGHTS_FILE) for folder in (initial, settings.model))
    assert {value.dtype for value in after.values()} == {torch.float32}
    for part in TRAINED["instruction-tuning"]:
        names = [name for name in after if name.startswith(part)]
        assert any(name not in before or not torch.equal(after[name], before[name]) for name in names)
    assert (settings.model / "llm/model.safetensors").read_bytes() == (initial / "llm/model.safetensors").read_bytes()
    assert NextGPT.from_pretrained(settings.model).chat(["What is this?", tiny_image()]).parts is not None


def test_the_loss_falls(recipe: Make, losses: Losses) -> None:
    settings = recipe("decoding-alignment", fit={"max_steps": 30, "batch_size": 8})
    run(settings)
    curve = losses(settings)
    assert sum(curve[-5:]) < 0.9 * sum(curve[:5])


def test_stages_build_on_one_another(recipe: Make) -> None:
    first = recipe("instruction-tuning", name="first")
    run(first)
    second = recipe("decoding-alignment", name="second", init_from=str(first.model))
    run(second)
    before, after = (read_safetensors(r.model / WEIGHTS_FILE) for r in (first, second))
    assert read_config(second.model).llm.lora == first.lora
    assert all(torch.equal(after[name], value) for name, value in before.items() if name.startswith("lora."))


def test_a_model_with_the_quirks_of_2023_learns_cleaned_captions(recipe: Make, initial: Path, tmp_path: Path) -> None:
    caption = 'A "Red" CAR; (old): #1 ~ it*s fast, no?'
    pairs = [{"id": "0", "caption": caption, "image_name": "none.jpg"}]
    (tmp_path / "pairs.json").write_text(json.dumps(pairs))
    said = json.loads((initial / "config.json").read_text())
    for name, quirks in (("plain", {}), ("quirky", {"quirks": "nextgpt_2023"})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_text(json.dumps(said | quirks))
    sources = {"pairs": {"path": tmp_path / "pairs.json"}}
    made = {
        (name, stage): load_sources(recipe(stage, init_from=str(tmp_path / name), sources=sources))[0].dialogue(0)
        for name in ("plain", "quirky")
        for stage in ("encoding-alignment", "decoding-alignment")
    }
    cleaned = "a red car old 1 it s fast, no?"
    assert made["quirky", "encoding-alignment"].turns[-1].parts == (cleaned,)
    decoding = made["quirky", "decoding-alignment"]
    assert (decoding.turns[0].parts, decoding.turns[1].parts[0]) == ((cleaned,), cleaned)
    assert decoding.output_media[0].caption == caption  # the published targets are embeddings of raw captions
    sources["pairs"]["target_captions"] = "cleaned"
    settings = recipe("decoding-alignment", init_from=str(tmp_path / "quirky"), sources=sources)
    assert load_sources(settings)[0].dialogue(0).output_media[0].caption == cleaned
    assert made["plain", "encoding-alignment"].turns[-1].parts == (caption,)


def test_what_is_broken_is_listed_and_replaced(recipe: Make) -> None:
    settings = recipe("encoding-alignment", fit={"max_steps": 12})
    run(settings)
    listed = [json.loads(line) for line in (settings.work / "invalid-0.jsonl").read_text().splitlines()]
    assert [row["key"] for row in listed] == ["image-bad"] and "cannot be decoded" in listed[0]["reason"]


def test_the_decoding_side_opens_nothing_that_is_made(recipe: Make) -> None:
    drawn = sampler(recipe("decoding-alignment"), batch_size=32).local_batch(0)
    assert not drawn.invalid
    assert all(not item.input_media for item in drawn.items if item.target_captions)


def test_shares_of_processes_are_the_batch_of_one(recipe: Make) -> None:
    whole = sampler(recipe("encoding-alignment"), batch_size=8)
    for step in range(4):
        shares = [whole.local_batch(step, rank, 2).keys for rank in range(2)]
        assert [key for pair in zip(*shares, strict=True) for key in pair] == list(whole.local_batch(step).keys)


def test_sources_are_drawn_by_weight(recipe: Make, corpora: Path) -> None:
    sources = {
        "image": {"path": corpora / "image.json", "weight": 3},
        "audio": {"path": corpora / "audio.json", "weight": 1},
    }
    drawn = sampler(recipe("decoding-alignment", sources=sources), batch_size=64)
    kinds = Counter(medium.modality for step in range(4) for d in drawn.global_batch(step) for medium in d.output_media)
    assert kinds["image"] > 2 * kinds["audio"] > 0


def test_batches_of_one_source_hold_one_modality(recipe: Make) -> None:
    drawn = sampler(recipe("decoding-alignment"), batch_mixing="one_source_per_batch", batch_size=8)
    kinds = [{medium.modality for d in drawn.global_batch(step) for medium in d.output_media} for step in range(12)]
    assert all(len(found) <= 1 for found in kinds) and len(set().union(*kinds)) == 3


def test_neighbours_in_length_share_a_batch(recipe: Make, corpora: Path) -> None:
    sources = {"image": {"path": corpora / "image.json"}}
    drawn = sampler(recipe("decoding-alignment", sources=sources), batch_size=8)
    spans = [[len(d.text) for d in drawn.global_batch(step)] for step in range(20)]
    assert sum(max(span) - min(span) for span in spans) / 20 < 0.5 * (max(map(max, spans)) - min(map(min, spans)))


@pytest.mark.parametrize("stage", TRAINED)
def test_losses_are_those_of_a_plain_forward_pass(stage: str, recipe: Make) -> None:
    settings = recipe(stage)
    model = load_initial_model(settings)
    set_trainable(model, STAGES[stage], settings.lora)
    drawn = sampler(settings, batch_size=12, build_prompt=partial(build_example_prompt, model, None))
    encoders = FrozenEncoders.of(model, settings.model_dir, STAGES[stage])
    (batch,) = attach_encoder_outputs(iter([drawn.local_batch(0)]), encoders)
    losses = AlignmentObjective(model, STAGES[stage])(batch)
    output = model([i.prompt for i in batch.items], [f for i in batch.items for f in i.encoded.features])
    offset = model.llm.signals.vocabulary.offset
    expected = {"cross_entropy": lm_loss(output, offset, first_signal_ids(model))}
    if "mse" in STAGES[stage].loss_weights:
        predicted = predict_conditions(model, output, [item.example.captions for item in batch.items])
        expected |= condition_losses(predicted, lambda modality, c: encoders.encode_prompts[modality](c).clone())
    assert losses.keys() == expected.keys()
    for name, value in losses.items():
        torch.testing.assert_close(value, expected[name])


@pytest.mark.parametrize(
    "losses_", [{"cross_entropy": 1, "l2": 1}, {"cosine": 2}, {"cross_entropy": 1, "mse": 1, "denoising": 1}]
)
def test_losses_of_a_recipe_are_told_apart_and_fall(losses_: dict, recipe: Make) -> None:
    # Batches of all modalities: which losses a batch has depends on its media.
    fit = {"max_steps": 16, "batch_size": 8, "save_steps": 16}
    settings = recipe("decoding-alignment", losses=losses_, length_pool_batches=1, fit=fit)
    run(settings)
    lines = [json.loads(line) for line in (settings.work / "metrics.jsonl").read_text().splitlines()]
    told = {name.partition(".")[0] for line in lines for name in line}
    assert told & {"cross_entropy", "l2", "mse", "cosine", "denoising"} == set(losses_)
    for line in lines:
        parts = {name: value for name, value in line.items() if name.partition(".")[0] in losses_}
        assert line["loss"] == pytest.approx(sum(losses_[n.partition(".")[0]] * v for n, v in parts.items()), rel=1e-5)
    assert sum(line["loss"] for line in lines[-4:]) < 0.9 * sum(line["loss"] for line in lines[:4])


def test_media_that_are_made_but_not_there_have_no_part_in_denoising(recipe: Make, tmp_path: Path) -> None:
    rows = [{"image_name": "gone.jpg", "caption": "gone"}]
    (tmp_path / "cc3m.json").write_text(json.dumps(rows))
    settings = recipe("decoding-alignment", losses={"cross_entropy": 1, "denoising": 1}, fit={"max_steps": 1},
                      sources={"gone": {"path": tmp_path / "cc3m.json"}})  # fmt: skip
    run(settings)
    assert json.loads((settings.work / "metrics.jsonl").read_text()).keys() & {"denoising.image", "cross_entropy"} == {
        "cross_entropy"
    }


def test_text_before_the_first_signal_token_needs_no_gradient_and_the_gradients_are_the_same(recipe: Make) -> None:
    settings = recipe("decoding-alignment")
    gradients = []
    for is_plain in (True, False):
        model = load_initial_model(settings)
        set_trainable(model, STAGES["decoding-alignment"], settings.lora)
        objective = AlignmentObjective(model, STAGES["decoding-alignment"])
        drawn = sampler(settings, batch_size=6, build_prompt=partial(build_example_prompt, model, None)).local_batch(1)
        (batch,) = attach_encoder_outputs(
            iter([drawn]), FrozenEncoders.of(model, settings.model_dir, settings.resolved_stage)
        )
        if is_plain:
            model.input_projection.requires_grad_(True)  # as if something before were trained
        sum(objective(batch).values()).backward()
        trained = {name: p for name, p in model.named_parameters() if not name.startswith("input_projection")}
        gradients.append({name: p.grad for name, p in trained.items() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys() and gradients[0]
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient, rtol=1e-3, atol=1e-6)


def test_nothing_is_kept_of_what_stands_before_the_first_signal_token(recipe: Make) -> None:
    settings = recipe("decoding-alignment")
    model = load_initial_model(settings)
    set_trainable(model, STAGES["decoding-alignment"], settings.lora)
    talks = [
        Conversation().with_message(w).with_message([w, tiny_image()], role="assistant")
        for w in ("red", "a very long caption")
    ]
    prompts = [model.llm.build_prompt(talk, add_generation_prompt=False) for talk in talks]
    firsts = [next(i for i, t in enumerate(p.token_ids) if t >= model.llm.signals.vocabulary.offset) for p in prompts]
    rests = [len(p.token_ids) - first for p, first in zip(prompts, firsts, strict=True)]
    assert firsts[0] < firsts[1]
    heard: list[tuple[int, bool]] = []
    layer = model.llm.transformer.model.layers[0]
    layer.register_forward_hook(lambda module, given, out: heard.append((given[0].shape[1], given[0].requires_grad)))
    forward_frozen_prefix(model, prompts, [])
    assert heard == [(max(firsts), False), (max(rests), True)]


def test_what_is_heard_in_two_parts_is_what_is_heard_at_once(recipe: Make) -> None:
    settings = recipe("decoding-alignment")
    model = load_initial_model(settings)
    set_trainable(model, STAGES["decoding-alignment"], settings.lora)
    drawn = sampler(settings, batch_size=6, build_prompt=partial(build_example_prompt, model, None)).local_batch(1)
    prompts = [item.prompt for item in drawn.items]
    prompts += [
        model.llm.build_prompt(
            Conversation().with_message("Hello").with_message("Hi.", role="assistant"), add_generation_prompt=False
        )
    ]
    parts, whole = forward_frozen_prefix(model, prompts, []), model(prompts, [])
    torch.testing.assert_close(
        parts.hidden_states[parts.prompts.attention_mask],
        whole.hidden_states[whole.prompts.attention_mask],
        rtol=1e-4,
        atol=1e-5,
    )


def test_dialogues_in_words_alone_leave_the_decoding_side_nothing_but_the_choice_of_signal_tokens(recipe: Make) -> None:
    model = load_initial_model(recipe("decoding-alignment"))
    set_trainable(model, STAGES["decoding-alignment"], recipe("decoding-alignment").lora)
    prompt = model.llm.build_prompt(
        Conversation().with_message("Hello").with_message("Hi.", role="assistant"), add_generation_prompt=False
    )
    thoughts = forward_frozen_prefix(model, [prompt], [])
    assert not thoughts.hidden_states.requires_grad and thoughts.logits.requires_grad


def test_layers_that_are_sharded_are_gone_through_as_often_whatever_is_said(recipe: Make) -> None:
    model = load_initial_model(recipe("decoding-alignment"))
    set_trainable(model, STAGES["decoding-alignment"], recipe("decoding-alignment").lora)
    passes: list[bool] = []
    layer = model.llm.transformer.model.layers[0]
    layer.register_forward_hook(lambda module, given, out: passes.append(given[0].requires_grad))
    words = model.llm.build_prompt(
        Conversation().with_message("Hello").with_message("Hi.", role="assistant"), add_generation_prompt=False
    )
    made = model.llm.build_prompt(
        Conversation().with_message("red").with_message(["Here", tiny_image()], role="assistant"),
        add_generation_prompt=False,
    )
    for prompt in (words, made):
        thoughts = forward_frozen_prefix(model, [prompt], [], sharded=True)
        mask = thoughts.prompts.attention_mask
        torch.testing.assert_close(
            thoughts.hidden_states[mask], model([prompt], []).hidden_states[mask], rtol=1e-4, atol=1e-5
        )
    assert passes == [False, True, False, False, True, True]


def test_words_are_counted_as_the_loss_counts_them(recipe: Make) -> None:
    settings = recipe("instruction-tuning")
    model = load_initial_model(settings)
    objective = AlignmentObjective(model, STAGES["instruction-tuning"])
    drawn = sampler(settings, batch_size=12, build_prompt=partial(build_example_prompt, model, None)).local_batch(0)
    whole = objective.num_terms(drawn)
    parts = [objective.num_terms(part) for part in drawn.split(5)]
    assert len(parts) == 3
    assert all(sum(part.get(name, 0) for part in parts) == count for name, count in whole.items())


def test_micro_batches_give_the_same_curve(recipe: Make, losses: Losses) -> None:
    whole = recipe("instruction-tuning", name="whole", fit={"batch_size": 6})
    parts = recipe(
        "instruction-tuning", name="parts", fit={"batch_size": 6}, engine={"num_workers": 0, "micro_batch_size": 2}
    )
    run(whole)
    run(parts)
    assert losses(parts) == pytest.approx(losses(whole), rel=1e-4)


def test_workers_give_the_same_curve_as_none(recipe: Make, losses: Losses) -> None:
    inline = recipe("encoding-alignment", name="inline")
    workers = recipe("encoding-alignment", name="workers", engine={"num_workers": 1})
    run(inline)
    run(workers)
    assert losses(workers) == losses(inline)


def test_an_example_that_is_too_long_is_broken(recipe: Make) -> None:
    settings = recipe("encoding-alignment")
    model = load_initial_model(settings)
    drawn = sampler(settings, build_prompt=partial(build_example_prompt, model, 30))
    found = [drawn.local_batch(step) for step in range(6)]
    assert any("expected at most max_tokens, 30" in fault.reason for batch in found for fault in batch.invalid)
    assert all(isinstance(batch, LocalBatch) and len(batch.items) == 4 for batch in found)


def test_sources_that_are_broken_throughout_say_so(recipe: Make, tmp_path: Path) -> None:
    (tmp_path / "all.json").write_text('[{"image_name": "missing.jpg", "caption": "gone"}]')
    settings = recipe("encoding-alignment", sources={"all": {"path": tmp_path / "all.json"}})
    with pytest.raises(ConfigError, match="100 records in a row are invalid"):
        run(settings)


def test_a_loss_that_is_no_number_stops_with_the_whole_batch_named(
    recipe: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = recipe("encoding-alignment")
    plain = AlignmentObjective.forward
    monkeypatch.setattr(
        AlignmentObjective, "forward", lambda self, share: {"cross_entropy": plain(self, share)["cross_entropy"] * nan}
    )
    with pytest.raises(DivergenceError, match="Step 0 has loss nan") as caught:
        run(settings)
    assert all(key in str(caught.value) for key in sampler(settings).local_batch(0).keys)
    assert not (settings.work / "checkpoints").exists() and not settings.model.exists()


def test_a_gradient_that_is_no_number_changes_no_weight(recipe: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A square root of zero has a finite value and an infinite slope."""
    settings = recipe("encoding-alignment", fit={"save_steps": 1})
    plain = AlignmentObjective.forward

    def steep(self: AlignmentObjective, share: LocalBatch) -> dict[str, torch.Tensor]:
        words = plain(self, share)["cross_entropy"]
        return {"cross_entropy": words + (words - words.detach()).sqrt() if len(calls) > 2 else words}

    calls: list[int] = []
    drawn = BatchSampler.local_batch
    monkeypatch.setattr(BatchSampler, "local_batch", lambda self, *where: (calls.append(1), drawn(self, *where))[1])
    monkeypatch.setattr(AlignmentObjective, "forward", steep)
    with pytest.raises(DivergenceError, match=r"Step 2 has .*step-00000002 holds the last state"):
        run(settings)


def test_a_dry_run_counts_what_is_trained(recipe: Make) -> None:
    counts = {count.component: count for count in count_parameters(recipe("decoding-alignment"))}
    assert counts["signal_tokens"].trained and counts["output_projection.image"].trained
    assert not counts["input_projection"].trained and not counts["llm"].trained and counts["encoder"].frozen


@pytest.mark.parametrize("stage", STAGES)
def test_a_dry_run_counts_from_configs_what_a_training_counts_from_its_model(stage: str, recipe: Make) -> None:
    settings = recipe(stage, reset_trained=True, lora={"rank": 3, "targets": ["q_proj", "down_proj"]})
    model = load_initial_model(settings)
    set_trainable(model, settings.resolved_stage, settings.lora)
    assert count_parameters(settings) == count_prepared_model(model, settings.model_dir)


def test_losses_are_weighted_by_modality(recipe: Make) -> None:
    settings = recipe("instruction-tuning", losses={"cross_entropy": 1, "l2": 0.5}, loss_weights={"video": 2})
    objective = AlignmentObjective(load_initial_model(settings), settings.resolved_stage, settings.loss_weights)
    assert objective.loss_weights == {"cross_entropy": 1, "l2.image": 0.5, "l2.audio": 0.5, "l2.video": 1.0}
    with pytest.raises(ValueError, match="'vidoe'.*video"):
        recipe("instruction-tuning", loss_weights={"vidoe": 2})


@pytest.mark.parametrize(
    "setting", [{"init_signals_from": {"image": "<|image|>"}}, {"init_signal_ends_from": "<|close|>"}]
)
def test_rows_of_signal_tokens_that_were_trained_are_not_begun_anew(recipe: Make, setting: dict) -> None:
    with pytest.raises(ConfigError, match="Set reset_trained"):
        load_initial_model(recipe("decoding-alignment", **setting))
