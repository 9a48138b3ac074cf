"""Training on corpora beside the plain reference, in the same process and in turns.

    python benchmarks/training_speed.py [--stage decoding-alignment] [--steps 24] [--batch-size 32] [--float32] [--json]

For each stage the engine trains nano's frozen parts on a corpus of the small world, which is written to disk first.
After every few steps the plain reference (reference_trainer.py) does as many on batches of the same size, padded to the
longest example of the corpus ("padded") or to the longest of the batch ("ragged"). Both compute in bfloat16, as the
published scripts ask for, with weights in float32, or in float32 throughout. Seconds are those of one thread's own work
(``time.process_time``), medians over turns, so what else a machine does counts for neither. Losses are those of batches
of another corpus after equal samples. Memory is what gradients and optimizers hold, and the peak of a fresh process.
The share of time spent waiting for data is that of a run of its own, with one worker, by the wall clock.
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
from reference_trainer import Plain

from nextgpt.logging import silence_libraries
from nextgpt.train.align import build_example_prompt, run
from nextgpt.train.alignment_recipe import AlignmentRecipe, load_sources
from nextgpt.train.corpora import CorpusConfig
from nextgpt.train.dataset import example_of
from nextgpt.train.feature_cache import build_cache
from nextgpt.train.initial_model import load_initial_model, set_trainable
from nextgpt.train.stages import STAGES

TURN = 4
"""Steps that one does before it is the other's turn."""
SOURCES = {
    "encoding-alignment": ("captioning-image", "captioning-audio", "captioning-video"),
    "decoding-alignment": ("generation-image", "generation-audio", "generation-video"),
    "instruction-tuning": ("dialogues",),
}
RATES = {"encoding-alignment": 5e-3, "decoding-alignment": 1e-2, "instruction-tuning": 5e-3}
"""AdamW's peak rates, the same for both sides."""
MUON_RATES = {"encoding-alignment": 2e-2, "decoding-alignment": 4e-2, "instruction-tuning": 2e-2}
"""Of ours, for projections."""
OTHER = "held-out"
"""The folder of what is judged."""
BYTES = 4
"""Of a float32."""


@dataclass(frozen=True)
class Measured:
    """One stage: ours, the plain reference's, and how many times better ours is."""

    stage: str
    samples_per_s: float
    padded_samples_per_s: float
    ragged_samples_per_s: float
    padded_ratio: float
    ragged_ratio: float
    held_out: dict[str, float]
    """Losses of ours."""
    held_out_plain: dict[str, float]
    held_out_before: dict[str, float]
    state_mb: float
    """Gradients and optimizers, 10^6 bytes."""
    state_plain_mb: float
    trained: int
    trained_plain: int
    peak_mib: float
    peak_plain_mib: float
    waiting_share: float


def recipe_of(
    stage: str,
    corpus: Path,
    steps: int,
    batch_size: int,
    workers: int = 0,
    *,
    initial: str = "nano",
    bf16: bool = True,
) -> AlignmentRecipe:
    """A stage on the corpus, begun with the frozen parts of ``initial`` alone.

    Both sides take the same rate of AdamW; ours trains its projections with Muon, and is compiled.
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
                "bf16": bf16, "compile": True, "log_steps": TURN, "save_steps": steps},
    })  # fmt: skip


def measure(
    stage: str, corpus: Path, steps: int, batch_size: int, initial: str = "nano", *, bf16: bool = True
) -> Measured:
    """Let both train a stage in turns."""
    recipe = recipe_of(stage, corpus, steps, batch_size, initial=initial, bf16=bf16)
    for earlier in recipe.work.parent.glob("work-*"):
        shutil.rmtree(earlier)
    build_cache(recipe)
    padded, ragged = Plain(recipe, pad_to=longest(recipe)), Plain(recipe)
    before = held_out(ragged, recipe)
    seconds: dict[str, list[float]] = {"ours": [], "padded": [], "ragged": []}
    turned = [time.process_time()]

    def turn(line: dict[str, float]) -> None:
        """The engine has done its steps; now the others do as many."""
        seconds["ours"].append(time.process_time() - turned[0])
        for name, plain in (("padded", padded), ("ragged", ragged)):
            seconds[name].append(took(lambda plain=plain: [plain.step() for _ in range(TURN)]))
        turned[0] = time.process_time()

    assert run(recipe, turn)
    speed = {name: TURN * batch_size / statistics.median(found[1:]) for name, found in seconds.items()}
    ours, sizes = begun_from(recipe), sum(p.numel() for p in ragged.trained)
    own = sum(p.numel() for p in ours.model.parameters() if p.requires_grad)
    alone = recipe_of(stage, corpus, steps, batch_size, workers=1, initial=initial, bf16=bf16)
    run(alone)
    lines = [json.loads(line) for line in (alone.work / "metrics.jsonl").read_text().splitlines()]
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
        state_mb=3 * BYTES * own / 1e6,
        state_plain_mb=held_bytes(ragged) / 1e6,
        trained=own,
        trained_plain=sizes,
        peak_mib=peak_mib("ours", recipe, corpus),
        peak_plain_mib=peak_mib("plain", recipe, corpus),
        waiting_share=statistics.median(line["waiting_share"] for line in lines[1:]),
    )


def took(work: Callable[[], object]) -> float:
    """Seconds of this thread's own work."""
    started = time.process_time()
    work()
    return time.process_time() - started


def longest(recipe: AlignmentRecipe) -> int:
    """Positions of the longest example."""
    model = load_initial_model(recipe)
    return max(
        build_example_prompt(model, None, example_of(source.dialogue(index), None)).length(
            model.llm.soft_tokens
        )
        for source in load_sources(recipe)
        for index in range(len(source))
    )


def begun_from(recipe: AlignmentRecipe) -> Plain:
    """What the engine trained, in the shape of the reference, so that both are judged by the same code."""
    begun = {
        "init_from": str(recipe.model),
        "reset_trained": False,
        "init_signals_from": {},
        "init_signal_ends_from": None,
    }
    judged = Plain(recipe.model_copy(update=begun))
    set_trainable(
        judged.model, STAGES[recipe.stage], recipe.lora
    )  # the rows of signal tokens are trained again
    return judged


@torch.no_grad()
def held_out(plain: Plain, recipe: AlignmentRecipe) -> dict[str, float]:
    """Each loss over all that the other corpus holds.

    In the decoding-side alignment nothing that the stage trains stands before the first medium, so what is said there
    is told apart: only who trains the whole embedding and head can learn it.
    """
    plain.model.eval()
    found: dict[str, list[float]] = {}
    for source in load_sources(recipe.model_copy(update={"data": {"corpora": other_sources(recipe)}})):
        dialogues = [source.dialogue(index) for index in range(len(source))]
        for start in range(0, len(dialogues), recipe.fit.batch_size):
            batch = dialogues[start : start + recipe.fit.batch_size]
            for name, value in plain.losses(batch, by_place=recipe.stage == "decoding-alignment").items():
                found.setdefault(name, []).append(float(value))
    plain.model.train()
    return {name: statistics.fmean(values) for name, values in sorted(found.items())}


def other_sources(recipe: AlignmentRecipe) -> dict[str, CorpusConfig]:
    """The same kinds of examples, none of which is trained on."""
    return {
        name: source.model_copy(update={"path": source.path.parent / OTHER / source.path.name})
        for name, source in recipe.data["corpora"].items()
    }


def held_bytes(plain: Plain) -> int:
    """What gradients and the optimizer hold once every parameter had a gradient."""
    return 3 * BYTES * sum(p.numel() for p in plain.trained)


def peak_mib(who: str, recipe: AlignmentRecipe, corpus: Path) -> float:
    """The most that a fresh process holds which does a few steps."""
    command = [sys.executable, __file__, "--peak-of", who, "--stage", recipe.stage, "--corpus", str(corpus)]
    command += ["--batch-size", str(recipe.fit.batch_size), "--initial", recipe.init_from]
    command += [] if recipe.fit.bf16 else ["--float32"]
    told = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(told.stdout.splitlines()[-1])


def work_for_peak(
    who: str, stage: str, corpus: Path, batch_size: int, initial: str = "nano", *, bf16: bool = True
) -> float:
    """Do a few steps, and tell the most memory that this process held."""
    recipe = recipe_of(stage, corpus, TURN, batch_size, initial=initial, bf16=bf16)
    if who == "ours":
        with tempfile.TemporaryDirectory() as folder:
            run(recipe.model_copy(update={"work": Path(folder), "model": Path(folder) / "model"}))
    else:
        plain = Plain(recipe, pad_to=longest(recipe))
        for _ in range(TURN):
            plain.step()
    # Not getrusage: what it tells of a child begins with the peak of the process that started it.
    status = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024


def as_table(rows: Iterable[Measured]) -> str:
    """Markdown."""
    lines = [
        "| stage | samples/s | padded | ragged | times padded | times ragged "
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
    lines += ["", "| held out: stage, loss | before | ours | plain |", "| --- | ---: | ---: | ---: |"]
    for row in rows:
        for name, value in row.held_out.items():
            before, plain = row.held_out_before[name], row.held_out_plain[name]
            lines.append(f"| {row.stage}, {name} | {before:.3f} | {value:.3f} | {plain:.3f} |")
    return "\n".join(lines)


def main() -> None:
    """Measure, and print a table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--stage", action="append", choices=sorted(STAGES), help="all three where none is named"
    )
    parser.add_argument("--steps", type=int, default=24)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--pairs", type=int, default=96, help="of each modality, in the corpus")
    parser.add_argument("--dialogues", type=int, default=192)
    parser.add_argument("--corpus", type=Path, help="a folder to write the corpus to, or where it is already")
    parser.add_argument(
        "--peak-of", choices=("ours", "plain"), help="only tell the peak memory of a few steps"
    )
    parser.add_argument("--initial", default="nano", help="the model whose frozen parts both begin with")
    parser.add_argument("--float32", action="store_true", help="compute in float32 throughout")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    settings = {"initial": asked.initial, "bf16": not asked.float32}
    silence_libraries()
    torch.set_num_threads(1)
    torch.set_flush_denormal(True)
    if asked.peak_of:
        print(
            json.dumps(
                work_for_peak(asked.peak_of, asked.stage[0], asked.corpus, asked.batch_size, **settings)
            )
        )
        return
    with tempfile.TemporaryDirectory() as folder:
        corpus = asked.corpus or Path(folder) / "corpus"
        if not corpus.exists():
            write_corpus(corpus, pairs=asked.pairs, dialogues=asked.dialogues)
            write_corpus(corpus / OTHER, pairs=asked.pairs // 4, dialogues=asked.dialogues // 4, seed=1)
        rows = []
        for stage in asked.stage or STAGES:
            rows.append(measure(stage, corpus, asked.steps, asked.batch_size, **settings))
            print(f"{stage} is measured", file=sys.stderr)
    print(json.dumps({"rows": [asdict(row) for row in rows]}) if asked.json else as_table(rows))


if __name__ == "__main__":
    main()
