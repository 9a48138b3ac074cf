"""Work that is continued after a kill: trainings, cache builds and packing, with the checks of what they leave."""

from __future__ import annotations

import json
import tarfile
from hashlib import blake2b
from pathlib import Path

from benchmarks.kill_runs.processes import Report
from safetensors import safe_open

from nextgpt.testing.scripted_model import tiny_image
from nextgpt.train.alignment_recipe import AlignmentRecipe

NUM_PAIRS = 48


def write_corpus(folder: Path) -> None:
    """Write caption pairs of images."""
    rows = []
    for index in range(NUM_PAIRS):
        path = tiny_image((5 * index % 256, 99, 255 - index)).save(folder / f"{index}.png")
        rows.append({"id": str(index), "caption": f"a square {index}", "image_name": path.name})
    (folder / "corpus.json").write_text(json.dumps(rows))


def recipe(folder: Path, out: Path) -> AlignmentRecipe:
    """Return a training of a tiny model with many checkpoints."""
    return AlignmentRecipe.model_validate(
        {
            "kind": "alignment", "stage": "decoding-alignment", "init_from": str(folder / "tiny"),
            "model": out / "model", "work": out / "work", "cache": out / "cache" if "cache" in out.name else None,
            "data": {"corpora": {"images": {"path": folder / "corpus.json"}}}, "engine": {"num_workers": 0},
            "fit": {"max_steps": 24, "batch_size": 2, "warmup_steps": 1, "bf16": False, "log_steps": 1,
                    "save_steps": 2},
        }
    )  # fmt: skip


def run_training(folder: Path, out: Path) -> None:
    """Train, or continue."""
    from nextgpt.train.recipe import run_recipe

    run_recipe(recipe(folder, out))


def check_training(out: Path, report: Report) -> None:
    """Check that every checkpoint with its final name is whole, and that none is lost."""
    from nextgpt.train.checkpoint import CheckpointManager

    checkpoints = sorted((out / "work" / "checkpoints").glob("step-????????"))
    for path in checkpoints:
        files = [path / name for name in ("trained.safetensors", "optimizers.safetensors")]
        report.check(all(map(is_whole, files)), f"{path.name} is half written")
        report.check(
            json.loads((path / "state.json").read_text())["step"] == int(path.name[5:]), f"{path.name} differs"
        )
    latest = CheckpointManager(out / "work" / "checkpoints", 2).latest
    step = int(latest.name[5:]) if latest else 0
    report.check(step >= report.counts["last_step"], f"step {report.counts['last_step']} is lost: {step}")
    report.counts["last_step"] = step
    if (out / "model" / "config.json").is_file():
        report.check(is_whole(out / "model" / "nextgpt.safetensors"), "the finished model is half written")


def digest_training(out: Path) -> str:
    """Return a hash of the trained weights and metrics of a complete run."""
    lines = [json.loads(line) for line in (out / "work" / "metrics.jsonl").read_text().splitlines()]
    metrics = [(line["step"], line["loss"]) for line in lines]
    return digest([out / "model" / "nextgpt.safetensors"]) + blake2b(repr(metrics).encode()).hexdigest()


def build(folder: Path, out: Path) -> None:
    """Build a feature cache of many small shards, or continue."""
    from nextgpt.train import feature_cache

    feature_cache.ITEMS_PER_SHARD = 4
    feature_cache.build_cache(recipe(folder, out))


def check_cache(out: Path, report: Report) -> None:
    """Check that every shard with its final name is whole, and that none is lost."""
    shards = list((out / "cache").glob("*.safetensors"))
    for path in shards:
        report.check(is_whole(path), f"{path.name} is half written")
    manifest = out / "cache" / "manifest.json"
    report.check(not shards or bool(json.loads(manifest.read_text())), "the manifest is half written")
    report.check(len(shards) >= report.counts["last_shards"], "a shard is lost")
    report.counts["last_shards"] = len(shards)


def digest_cache(out: Path) -> str:
    """Return a hash of all shards."""
    return digest(sorted((out / "cache").glob("*.safetensors")))


def pack(folder: Path, out: Path) -> None:
    """Pack the corpus into many small tars; starts over after a kill."""
    from nextgpt.data.corpus import read_corpus
    from nextgpt.data.writers import write_tar_shards

    list(write_tar_shards(read_corpus(folder / "corpus.json").records, out, shard_bytes=2000))


def check_pack(out: Path, report: Report) -> None:
    """Check that every tar with its final name is whole, and that an incomplete folder is refused."""
    from nextgpt.data.corpus import read_corpus
    from nextgpt.errors import ConfigError

    for path in out.glob("*.tar"):
        with tarfile.open(path) as tar:
            report.check(len(tar.getmembers()) > 0, f"{path.name} is half written")
    try:
        num_records = len(read_corpus(out).records) if out.is_dir() else NUM_PAIRS
        report.check(num_records == NUM_PAIRS, f"{num_records} records were taken for the whole corpus")
    except ConfigError:
        report.counts["refused as unfinished"] += 1


def digest_pack(out: Path) -> str:
    """Return a hash of all tars."""
    return digest(sorted(out.glob("*.tar")))


def is_whole(path: Path) -> bool:
    """Return whether all tensors of a file can be read."""
    try:
        with safe_open(path, framework="pt") as file:
            return all(file.get_tensor(name) is not None for name in file.keys())  # noqa: SIM118
    except Exception:
        return False


def digest(paths: list[Path]) -> str:
    """Return a hash of the contents of files; safetensors store their metadata in any order."""
    content = blake2b(digest_size=16)
    for path in paths:
        content.update(path.name.encode() + (path.read_bytes() if path.suffix == ".tar" else _tensors(path)))
    return content.hexdigest()


def _tensors(path: Path) -> bytes:
    with safe_open(path, framework="pt") as file:
        tensors = {name: file.get_tensor(name).numpy().tobytes() for name in sorted(file.keys())}
        return repr((sorted((file.metadata() or {}).items()), tensors)).encode()
