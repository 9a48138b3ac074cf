"""Copies of a run's media in the folder layouts that published scorers read.

::

    geneval         00000/metadata.jsonl, 00000/samples/0000.png                    a folder per prompt
    vbench          PROMPT-0.mp4 …, prompts.json                                    a file per prompt and sample
    audioldm_eval   generated/ID.wav, reference/ID.wav                              pairs of equal names
"""

from __future__ import annotations

import json
import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nextgpt.errors import ConfigError, MediaError, unknown_name_message
from nextgpt.evaluate.standard.items import EvalItem
from nextgpt.evaluate.standard.run_folder import RunFolder, open_run
from nextgpt.media import read_audio, write_audio
from nextgpt.media.save_media import wrap_write_errors

MAX_NAME_BYTES = 240
"""Longest file name that common file systems take, with room for an index."""


@dataclass(frozen=True)
class Output:
    """An answer's medium with its item."""

    item: EvalItem
    path: Path


@dataclass
class ExportResult:
    """Number of written media, and of items that were left out by reason."""

    num_media: int = 0
    left_out: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True)
class Layout:
    """A row of the table."""

    modality: str
    write: Callable[[RunFolder, Sequence[Output], Path, ExportResult, Mapping[str, Any]], None]


def export_run(
    path: Path, system: str, layout: str, folder: Path, *, geneval_prompts: Path | None = None
) -> ExportResult:
    """Write the media of a system in a layout; the folder appears when it is complete.

    Args:
        geneval_prompts: GenEval's own lines of metadata; without them metadata hold the prompt alone, and GenEval's
            scorer does not know what to look for.

    Raises:
        ConfigError: A name is unknown, the folder exists, or the system has no such media.
        MediaError: The folder cannot be written.
    """
    if layout not in LAYOUTS:
        raise ConfigError(unknown_name_message("layout", layout, LAYOUTS))
    run = open_run(path)
    if system not in run.systems:
        raise ConfigError(unknown_name_message("system", system, run.systems))
    if folder.exists():
        raise ConfigError(f"{folder} exists; expected a new folder. Choose another --out.")
    if geneval_prompts is not None and layout != "geneval":
        raise ConfigError(f"--geneval-prompts is for --layout geneval only; got {layout}. Leave it out.")
    row, result = LAYOUTS[layout], ExportResult()
    outputs = list(_outputs(run, system, row.modality, result))
    if not outputs:
        raise ConfigError(f"{path}: {system} has no {row.modality} for the layout {layout}. Choose another run.")
    unfinished = folder.with_name(f".{folder.name}.unfinished")
    with wrap_write_errors(folder):
        shutil.rmtree(unfinished, ignore_errors=True)
        unfinished.mkdir(parents=True)
        row.write(run, outputs, unfinished, result, _read_metadata(geneval_prompts))
        unfinished.rename(folder)
    return result


def _outputs(run: RunFolder, system: str, modality: str, result: ExportResult) -> Iterator[Output]:
    for item, record in zip(run.items, run.records(system), strict=False):
        entry = record.first_medium(modality)
        path = run.system_dir(system) / entry.path if entry else None
        if path is None:
            result.left_out["the answer failed" if record.error else f"no {modality} in the answer"] += 1
        elif not path.is_file():
            result.left_out["the file is missing"] += 1
        else:
            yield Output(item, path)


def _write_geneval(
    run: RunFolder, outputs: Sequence[Output], folder: Path, result: ExportResult, metadata: Mapping[str, Any]
) -> None:
    """Write a folder per prompt; outputs of the same prompt are its samples."""
    prompts: dict[str, list[Output]] = {}
    for output in outputs:
        if metadata and output.item.prompt not in metadata:
            result.left_out["the prompt is not one of GenEval's"] += 1
        else:
            prompts.setdefault(output.item.prompt, []).append(output)
    order = {prompt: index for index, prompt in enumerate(metadata)} if metadata else {}
    for index, (prompt, samples) in enumerate(prompts.items()):
        target = folder / f"{order.get(prompt, index):05d}"
        (target / "samples").mkdir(parents=True)
        line = json.dumps(metadata.get(prompt, {"prompt": prompt}), ensure_ascii=False)
        (target / "metadata.jsonl").write_text(line + "\n", encoding="utf-8")
        for number, output in enumerate(samples):
            shutil.copyfile(output.path, target / "samples" / f"{number:04d}.png")
            result.num_media += 1


def _write_vbench(
    run: RunFolder, outputs: Sequence[Output], folder: Path, result: ExportResult, metadata: Mapping[str, Any]
) -> None:
    """Write videos under the names of their prompts, and the prompts by name for VBench's own-input mode."""
    counts: Counter[str] = Counter()
    prompts: dict[str, str] = {}
    for output in outputs:
        stem = _file_stem(output.item.prompt)
        name = f"{stem}-{counts[stem]}{output.path.suffix}"
        counts[stem] += 1
        shutil.copyfile(output.path, folder / name)
        prompts[name] = output.item.prompt
        result.num_media += 1
    (folder / "prompts.json").write_text(json.dumps(prompts, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_audioldm_eval(
    run: RunFolder, outputs: Sequence[Output], folder: Path, result: ExportResult, metadata: Mapping[str, Any]
) -> None:
    """Write generated and true audio under equal names; items without true audio have no pair."""
    for name in ("generated", "reference"):
        (folder / name).mkdir()
    for output in outputs:
        reference = next((run.data / one.path for one in output.item.reference_media if one.type == "audio"), None)
        if reference is None or not reference.is_file():
            result.left_out["no true audio"] += 1
            continue
        try:
            for name, path in (("generated", output.path), ("reference", reference)):
                _copy_as_wav(path, folder / name / f"{_file_stem(output.item.id)}.wav")
            result.num_media += 1
        except MediaError:
            result.left_out["audio that cannot be read"] += 1


def _copy_as_wav(path: Path, target: Path) -> None:
    if path.suffix.lower() == ".wav":
        shutil.copyfile(path, target)
    else:
        write_audio(read_audio(path), target)


def _file_stem(text: str) -> str:
    """Return ``text`` as a file name: without separators, and short enough."""
    name = re.sub(r"[/\\\0\n\r]+", " ", text).strip(" .") or "empty"
    return os.fsencode(name)[:MAX_NAME_BYTES].decode(errors="ignore")


def _read_metadata(path: Path | None) -> dict[str, Any]:
    """Return GenEval's metadata by prompt, in order. Raises :class:`ConfigError`."""
    if path is None:
        return {}
    try:
        lines = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
        return {line["prompt"]: line for line in lines}
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{path} is not GenEval's metadata ({error!r}); expected JSON lines with a prompt each. Check the file."
        ) from None


LAYOUTS: dict[str, Layout] = {
    "geneval": Layout("image", _write_geneval),
    "vbench": Layout("video", _write_vbench),
    "audioldm_eval": Layout("audio", _write_audioldm_eval),
}
"""Layouts by name."""
