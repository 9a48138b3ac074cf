"""The benchmarks of training: the plain reference learns the same, and every script runs in tiny form."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import torch

from nextgpt.data.corpus import read_corpus
from nextgpt.data.record import CaptionPair, Dialogue
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.synthesis import batching
from nextgpt.train.align import make_sampler
from nextgpt.train.alignment_recipe import AlignmentRecipe
from nextgpt.train.feature_cache import build_cache
from nextgpt.train.initial_model import load_initial_model, set_trainable
from nextgpt.train.objective import AlignmentObjective
from nextgpt.train.stages import STAGES

Make = Callable[..., AlignmentRecipe]
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """A benchmark by its name."""
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    yield importlib.import_module
    for path in BENCHMARKS.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.fixture(scope="session")
def small_world(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus of the small world, and another to judge by."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(BENCHMARKS))
        corpus = importlib.import_module("make_corpus")
        folder = tmp_path_factory.mktemp("world") / "corpus"
        corpus.write_corpus(folder, pairs=4, dialogues=6)
        corpus.write_corpus(folder / "held-out", pairs=2, dialogues=2, seed=1)
        sys.modules.pop("make_corpus")
    return folder


def test_the_corpus_is_read_as_any_other(small_world: Path) -> None:
    for modality in ("image", "audio", "video"):
        corpus = read_corpus(small_world / f"{modality}.jsonl")
        assert (corpus.format, len(corpus.records), corpus.invalid) == ("messages_jsonl", 4, ())
        assert all(isinstance(pair, CaptionPair) and pair.caption and pair.medium.open() for pair in corpus.records)
    dialogues = read_corpus(small_world / "dialogues.jsonl").records
    assert len(dialogues) == 6 and all(isinstance(talk, Dialogue) for talk in dialogues)
    assert all(medium.open() for talk in dialogues for medium in talk.input_media)
    assert all(medium.caption for talk in dialogues for medium in talk.output_media)


@pytest.mark.parametrize("stage", STAGES)
@pytest.mark.parametrize("pad_to", [None, 200])
def test_the_plain_reference_learns_the_same_losses(stage: str, pad_to: int | None, recipe: Make, script) -> None:
    settings = recipe(stage, cache=None)
    settings = settings.model_copy(update={"cache": settings.work / "cache"})
    build_cache(settings)
    plain = script("reference_trainer").PlainTrainer(settings, pad_to=pad_to)
    model = load_initial_model(settings)
    set_trainable(model, STAGES[stage], settings.lora)
    batch = make_sampler(settings, model).local_batch(0)
    ours = AlignmentObjective(model, STAGES[stage])(batch)
    dialogues = {source.dialogue(i).key: source.dialogue(i) for source in plain.sources for i in range(len(source))}
    if stage == "instruction-tuning":  # a pair's key names both its directions
        plan = make_sampler(settings, model).global_batch(0)
        assert [dialogue.key for dialogue in plan] == list(batch.keys)
        dialogues = {dialogue.key: dialogue for dialogue in plan}
    theirs = plain.losses([dialogues[key] for key in batch.keys])
    assert ours
    values = [torch.stack([*losses.values()]).sort().values for losses in (theirs, ours)]
    torch.testing.assert_close(*values, rtol=1e-5, atol=1e-6)


def test_the_plain_reference_trains_the_whole_embedding_and_head(recipe: Make, script) -> None:
    plain = script("reference_trainer").PlainTrainer(recipe("encoding-alignment"))
    before = [plain.embedding.detach().clone(), plain.head.detach().clone()]
    first = plain.step()["cross_entropy"]
    assert not any(torch.equal(a, b) for a, b in zip(before, (plain.embedding, plain.head), strict=True))
    assert min(plain.step()["cross_entropy"] for _ in range(12)) < first


@pytest.mark.parametrize("bf16", [True, False])
def test_both_sides_compute_in_the_type_that_is_asked_for(
    bf16: bool, recipe: Make, small_world: Path, script, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = script("training_speed").recipe_of("decoding-alignment", small_world, 1, 2, bf16=bf16)
    assert asked.fit.bf16 == bf16
    plain = script("reference_trainer").PlainTrainer(recipe("encoding-alignment", fit={"bf16": bf16}))
    found = []
    losses = plain.losses

    def watched(*given):
        found.append(torch.is_autocast_enabled("cpu"))
        return losses(*given)

    monkeypatch.setattr(plain, "losses", watched)
    plain.step()
    assert found == [bf16]


def test_training_is_measured(recipe: Make, small_world: Path, script, monkeypatch: pytest.MonkeyPatch) -> None:
    training = script("training_speed")
    stage = "decoding-alignment"
    monkeypatch.setattr(training, "recipe_of", partial(tiny, recipe, small_world))
    monkeypatch.setattr(training, "peak_mib", lambda *_: 1.0)
    row = training.measure(stage, small_world, 8, 4)
    assert row.samples_per_s > 0 and row.padded_ratio > 0 and row.ragged_ratio > 0
    assert row.trained < row.trained_plain and row.state_mb < row.state_plain_mb
    assert row.held_out.keys() == row.held_out_plain.keys() == row.held_out_before.keys()
    assert row.held_out != row.held_out_before
    assert stage in training.as_table([row])


def test_the_saving_of_the_cache_is_measured_and_losses_are_the_same(
    recipe: Make, small_world: Path, script, monkeypatch: pytest.MonkeyPatch
) -> None:
    cache = script("feature_cache")
    monkeypatch.setattr(cache, "recipe_of", partial(tiny, recipe, small_world))
    for stage in ("encoding-alignment", "decoding-alignment"):
        row = cache.measure(stage, "video", small_world, 2, 4)
        assert min(row.uncached_ms, row.cached_ms, row.learning_ms, row.times_faster) > 0
        assert row.loss_difference < 1e-5


def tiny(
    make: Make,
    corpus: Path,
    stage: str,
    _: Path,
    steps: int,
    batch_size: int,
    workers: int = 0,
    *,
    initial: str = "",
    bf16: bool = False,
) -> AlignmentRecipe:
    """A benchmark's recipe with a tiny model in nano's place, whatever ``initial`` and ``bf16`` are asked for."""
    return make(
        stage,
        name=f"{stage}-{workers}",
        fit={"max_steps": steps, "batch_size": batch_size, "log_steps": 4, "save_steps": steps},
        sources={name: {"path": corpus / f"{name}.jsonl"} for name in ("image", "audio", "video")},
        engine={"num_workers": workers},
        batch_mixing="one_source_per_batch",
        cache=corpus / f"tiny-cache-{stage}",
    )


def test_making_media_at_once_is_measured(initial: Path, script) -> None:
    parallel_synthesis = script("parallel_synthesis")
    limit = batching.PARALLEL_MAX_MACS
    rows = list(parallel_synthesis.measure(NextGPT.from_pretrained(initial), threads=2, runs=1, counts=(1, 2)))
    assert [row.count for row in rows] == [1, 2]
    assert all(min(row.serial_s, row.parallel_s, row.step_gmacs) > 0 for row in rows)
    assert limit == batching.PARALLEL_MAX_MACS
    assert "| media of each |" in parallel_synthesis.to_markdown(rows)


def test_operations_are_counted_and_weights_are_not_kept(initial: Path, script) -> None:
    paper_size = script("paper_size_cost")
    a, b = torch.empty(3, 5, device="meta"), torch.empty(5, 7, device="meta")
    assert paper_size.flops(lambda: a @ b) == 2 * 3 * 5 * 7
    layer = torch.nn.Linear(4, 4, device="meta")
    given = torch.empty(2, 4, device="meta", requires_grad=True)
    assert paper_size.kept_bytes(lambda: layer(given * 1).sum(), layer.parameters()) == 2 * 4 * 4
    costs = paper_size.Costs(paper_size.Shapes(initial), flops_per_s=1e12, caption=14, dialogue=64)
    stages = list(costs.stages())
    assert [row.stage for row in stages] == list(STAGES)
    assert all(1 < row.ratio < row.ratio_padded and row.activations_gb < row.activations_plain_gb for row in stages)
    assert all(0 < row.trained_gb < row.trained_plain_gb for row in stages)
    assert "decoding-alignment" in paper_size.to_markdown("tiny", costs.media, stages, "1 TFLOP/s")
