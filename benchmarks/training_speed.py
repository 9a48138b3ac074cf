"""Training speed on corpora against a plain trainer, alternating in one process.

    python benchmarks/training_speed.py [--stage decoding-alignment] [--steps 24] [--batch-size 32] [--float32] [--json]

Each stage starts from nano's frozen components, on a small-world corpus that is written to disk first. After every few
steps of our trainer, the plain one (reference_trainer.py) takes as many steps on batches of the same size, padded to
the longest example of the corpus ("padded") or of the batch ("ragged"). Both compute in bfloat16 with float32 weights,
as the published scripts request, or in float32 throughout. Seconds are CPU time of one thread (``time.process_time``),
medians over rounds, so other load on the machine does not count. Losses are those on another corpus after equally many
samples. Memory is that of gradients and optimizers, and the peak of a fresh process. The share of time spent waiting
for data comes from a separate run with one worker, in wall-clock time.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from make_corpus import write_corpus
from reference_trainer import PlainTrainer

from nextgpt.logging import silence_libraries
from nextgpt.train.align import build_example_prompt, run
from nextgpt.train.alignment_recipe import AlignmentRecipe, load_sources
from nextgpt.train.corpora import CorpusConfig
from nextgpt.train.dataset import example_of
from nextgpt.train.feature_cache import build_cache
from nextgpt.train.initial_model import load_initial_model, set_trainable
from nextgpt.train.stages import STAGES

STEPS_PER_ROUND = 4
"""Steps of one trainer before the other continues."""
SOURCES = {
    "encoding-alignment": ("captioning-image", "captioning-audio", "captioning-video"),
    "decoding-alignment": ("generation-image", "generation-audio", "generation-video"),
    "instruction-tuning": ("dialogues",),
}
RATES = {"encoding-alignment": 5e-3, "decoding-alignment": 1e-2, "instruction-tuning": 5e-3}
"""Peak learning rates of AdamW, the same for both."""
MUON_RATES = {"encoding-alignment": 2e-2, "decoding-alignment": 4e-2, "instruction-tuning": 2e-2}
"""Peak learning rates of Muon, in our trainer, for the projections."""
HELD_OUT_DIR = "held-out"
"""Folder of the corpus for the held-out losses."""
FLOAT32_BYTES = 4
"""Bytes per float32."""


@dataclass(frozen=True)
class Measured:
    """Measurements of one stage for both trainers; ratios are ours over plain."""

    stage: str
    samples_per_s: float
    padded_samples_per_s: float
    ragged_samples_per_s: float
    padded_ratio: float
    ragged_ratio: float
    held_out: dict[str, float]
    """Held-out losses of our trainer."""
    held_out_plain: dict[str, float]
    held_out_before: dict[str, float]
    state_mb: float
    """Size of gradients and optimizer state, in 10^6 bytes."""
    state_plain_mb: float
    trained: int
    trained_plain: int
    peak_mib: float
    peak_plain_mib: float
    waiting_share: float


def recipe_of(
    stage: str, corpus: Path, steps: int, batch_size: int, workers: int = 0, *, initial: str = "nano", bf16: bool = True
) -> AlignmentRecipe:
    """Return the recipe of a stage on the corpus, with the frozen components of ``initial``.

    Both trainers have the same learning rate of AdamW; ours trains the projections with Muon, and is compiled.
    """
    work = corpus / stage
    return AlignmentRecipe.model_validate({
        "kind": "alignment", "stage": stage, "init_from": initial, "reset_trained": True,
        "batch_mixing": "one_source_per_batch",
        "model": work / "model", "work": work / f"work-{workers}", "cache": work / "cache",
        "data": {"corpora": {name: {"path": corpus / f"{name}.jsonl"} for name in SOURCES[stage]}},
        "init_signals_from": {name: f"<|{name}|>" for name in ("image", "audio", "video", "edit")},
        "init_signal_ends_from": "<|close|>",
        "lora": {"rank": 8, "alpha": 16, "dropout": 0.0}, "engine": {"num_workers": workers},
        "fit": {"max_steps": steps, "batch_size": batch_size, "learning_rate": RATES[stage],
                "muon_learning_rate": MUON_RATES[stage], "weight_decay": 1e-3, "warmup_steps": max(steps // 10, 1),
                "bf16": bf16, "compile": True, "log_steps": STEPS_PER_ROUND, "save_steps": steps},
    })  # fmt: skip


def measure(
    stage: str, corpus: Path, steps: int, batch_size: int, initial: str = "nano", *, bf16: bool = True
) -> Measured:
    """Train a stage with both trainers, alternately."""
    recipe = recipe_of(stage, corpus, steps, batch_size, initial=initial, bf16=bf16)
    for earlier in recipe.work.parent.glob("work-*"):
        shutil.rmtree(earlier)
    build_cache(recipe)
    padded, ragged = PlainTrainer(recipe, pad_to=max_length(recipe)), PlainTrainer(recipe)
    before = held_out(ragged, recipe)
    seconds: dict[str, list[float]] = {"ours": [], "padded": [], "ragged": []}
    started_at = [time.process_time()]

    def run_plain(line: dict[str, float]) -> None:
        """Record the time of our steps, then take as many with the plain trainers."""
        seconds["ours"].append(time.process_time() - started_at[0])
        for name, plain in (("padded", padded), ("ragged", ragged)):
            seconds[name].append(cpu_seconds(lambda plain=plain: [plain.step() for _ in range(STEPS_PER_ROUND)]))
        started_at[0] = time.process_time()

    assert run(recipe, run_plain)
    speed = {name: STEPS_PER_ROUND * batch_size / statistics.median(found[1:]) for name, found in seconds.items()}
    ours, sizes = load_trained(recipe), sum(p.numel() for p in ragged.trained)
    own = sum(p.numel() for p in ours.model.parameters() if p.requires_grad)
    worker_recipe = recipe_of(stage, corpus, steps, batch_size, workers=1, initial=initial, bf16=bf16)
    run(worker_recipe)
    lines = [json.loads(line) for line in (worker_recipe.work / "metrics.jsonl").read_text().splitlines()]
    return Measured(
        stage=stage,
        samples_per_s=speed["ours"],
        padded_samples_per_s=speed["padded"],
        ragged_samples_per_s=speed["ragged"],
        padded_ratio=speed["ours"] / speed["padded"],
        ragged_ratio=speed["ours"] / speed["ragged"],
        held_out=held_out(ours, recipe),
        held_out_plain=held_out(ragged, recipe),
        held_out_before=before,
        state_mb=3 * FLOAT32_BYTES * own / 1e6,
        state_plain_mb=state_bytes(ragged) / 1e6,
        trained=own,
        trained_plain=sizes,
        peak_mib=peak_mib("ours", recipe, corpus),
        peak_plain_mib=peak_mib("plain", recipe, corpus),
        waiting_share=statistics.median(line["waiting_share"] for line in lines[1:]),
    )


def cpu_seconds(work: Callable[[], object]) -> float:
    """Return the CPU seconds of ``work``."""
    started = time.process_time()
    work()
    return time.process_time() - started


def max_length(recipe: AlignmentRecipe) -> int:
    """Return the number of positions of the longest example."""
    model = load_initial_model(recipe)
    return max(
        build_example_prompt(model, None, example_of(source.dialogue(index), None)).length(model.llm.soft_tokens)
        for source in load_sources(recipe)
        for index in range(len(source))
    )


def load_trained(recipe: AlignmentRecipe) -> PlainTrainer:
    """Return our trained model as a plain trainer, so that one function computes the losses of both."""
    update = {
        "init_from": str(recipe.model),
        "reset_trained": False,
        "init_signals_from": {},
        "init_signal_ends_from": None,
    }
    trainer = PlainTrainer(recipe.model_copy(update=update))
    set_trainable(trainer.model, STAGES[recipe.stage], recipe.lora)  # signal-token rows included
    return trainer


@torch.no_grad()
def held_out(plain: PlainTrainer, recipe: AlignmentRecipe) -> dict[str, float]:
    """Return each loss on the whole held-out corpus.

    In decoding-side alignment the text loss is split at the first medium: before it, nothing that the stage trains has
    an effect, and only a trainer of the whole embedding and head can reduce the loss.
    """
    plain.model.eval()
    found: dict[str, list[float]] = {}
    for source in load_sources(recipe.model_copy(update={"data": {"corpora": held_out_sources(recipe)}})):
        dialogues = [source.dialogue(index) for index in range(len(source))]
        for start in range(0, len(dialogues), recipe.fit.batch_size):
            batch = dialogues[start : start + recipe.fit.batch_size]
            for name, value in plain.losses(batch, by_place=recipe.stage == "decoding-alignment").items():
                found.setdefault(name, []).append(float(value))
    plain.model.train()
    return {name: statistics.fmean(values) for name, values in sorted(found.items())}


def held_out_sources(recipe: AlignmentRecipe) -> dict[str, CorpusConfig]:
    """Return the held-out corpora of a recipe's sources."""
    return {
        name: source.model_copy(update={"path": source.path.parent / HELD_OUT_DIR / source.path.name})
        for name, source in recipe.data["corpora"].items()
    }


def state_bytes(plain: PlainTrainer) -> int:
    """Return the bytes of gradients and optimizer state when every parameter has a gradient."""
    return 3 * FLOAT32_BYTES * sum(p.numel() for p in plain.trained)


def peak_mib(trainer: str, recipe: AlignmentRecipe, corpus: Path) -> float:
    """Return the peak memory of a fresh process that takes a few steps."""
    command = [sys.executable, __file__, "--peak-of", trainer, "--stage", recipe.stage, "--corpus", str(corpus)]
    command += ["--batch-size", str(recipe.fit.batch_size), "--initial", recipe.init_from]
    command += [] if recipe.fit.bf16 else ["--float32"]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(result.stdout.splitlines()[-1])


def measure_peak_mib(
    trainer: str, stage: str, corpus: Path, batch_size: int, initial: str = "nano", *, bf16: bool = True
) -> float:
    """Take a few steps and return the peak memory of this process in MiB."""
    recipe = recipe_of(stage, corpus, STEPS_PER_ROUND, batch_size, initial=initial, bf16=bf16)
    if trainer == "ours":
        with tempfile.TemporaryDirectory() as folder:
            run(recipe.model_copy(update={"work": Path(folder), "model": Path(folder) / "model"}))
    else:
        plain = PlainTrainer(recipe, pad_to=max_length(recipe))
        for _ in range(STEPS_PER_ROUND):
            plain.step()
    # Not getrusage: the peak of a child process starts at that of its parent.
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def as_table(rows: Iterable[Measured]) -> str:
    """Format the measurements as Markdown tables."""
    lines = [
        "| stage | samples/s | padded | ragged | ratio to padded | ratio to ragged "
        "| gradients and optimizer, MB | plain | peak, MiB | plain | waiting for data |",
        "| --- |" + " ---: |" * 10,
    ]
    for row in rows:
        lines.append(
            f"| {row.stage} | {row.samples_per_s:.1f} | {row.padded_samples_per_s:.1f} "
            f"| {row.ragged_samples_per_s:.1f} | {row.padded_ratio:.1f} × | {row.ragged_ratio:.1f} × "
            f"| {row.state_mb:.1f} | {row.state_plain_mb:.1f} | {row.peak_mib:.0f} | {row.peak_plain_mib:.0f} "
            f"| {100 * row.waiting_share:.1f} % |"
        )
    lines += ["", "| held-out loss | before | ours | plain |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        for name, value in row.held_out.items():
            before, plain = row.held_out_before[name], row.held_out_plain[name]
            lines.append(f"| {row.stage}, {name} | {before:.3f} | {value:.3f} | {plain:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure and print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stage", action="append", choices=sorted(STAGES), help="default: all three")
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=96, help="pairs per modality in the corpus")
    parser.add_argument("--dialogues", type=int, default=192)
    parser.add_argument("--corpus", type=Path, help="folder of the corpus, which is written if missing")
    parser.add_argument("--peak-of", choices=("ours", "plain"), help="only print the peak memory of a few steps")
    parser.add_argument("--initial", default="nano", help="model whose frozen components both start from")
    parser.add_argument("--float32", action="store_true", help="compute in float32 throughout")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    settings = {"initial": args.initial, "bf16": not args.float32}
    silence_libraries()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if args.peak_of:
        print(json.dumps(measure_peak_mib(args.peak_of, args.stage[0], args.corpus, args.batch_size, **settings)))
        return
    with tempfile.TemporaryDirectory() as folder:
        corpus = args.corpus or Path(folder) / "corpus"
        if not corpus.exists():
            write_corpus(corpus, pairs=args.pairs, dialogues=args.dialogues)
            write_corpus(corpus / HELD_OUT_DIR, pairs=args.pairs // 4, dialogues=args.dialogues // 4, seed=1)
        rows = []
        for stage in args.stage or STAGES:
            rows.append(measure(stage, corpus, args.steps, args.batch_size, **settings))
            print(f"{stage}: done", file=sys.stderr)
    print(json.dumps({"rows": [asdict(row) for row in rows]}) if args.json else as_table(rows))


if __name__ == "__main__":
    main()
