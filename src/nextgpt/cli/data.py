"""``nextgpt data``: look after corpora. Each command is one function."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, Typer, echo

from nextgpt.cli.data_build import build
from nextgpt.cli.data_index import calibrate, index
from nextgpt.cli.data_review import review
from nextgpt.cli.options import Json, Overrides

if TYPE_CHECKING:
    from nextgpt.data.corpus import Corpus
    from nextgpt.data.record import InvalidRecord

Path_ = Annotated[Path, Argument(metavar="CORPUS", help="A JSON, JSONL, CSV or tar file, or a folder of tars.")]
Format_ = Annotated[
    str | None, Option("--format", metavar="NAME", help="A format that nextgpt data formats lists; default: detected.")
]
Media = Annotated[Path | None, Option(metavar="DIR", help="Folder of its media; default: that of the corpus file.")]
Limit = Annotated[int | None, Option(min=1, help="Read the first rows only.")]

SHOWN = 20
"""Invalid records that are printed; --out takes all."""

app = Typer(
    name="data", help="Build, check, show, convert and pack corpora.", no_args_is_help=True, rich_markup_mode=None
)
app.command()(index)
app.command()(calibrate)
app.command()(build)
app.command()(review)


@app.command()
def formats(json: Json = False) -> None:
    """List the formats that are read."""
    from nextgpt.cli.printing import print_json
    from nextgpt.data.formats import FORMATS

    if json:
        print_json(lambda: {"formats": [{"name": row.name, "about": row.about} for row in FORMATS.values()]})
        return
    for row in FORMATS.values():
        echo(f"{row.name:<16}{'/'.join(row.containers):<12}{row.about}")


@app.command()
def validate(
    corpus: Path_,
    format: Format_ = None,
    media: Media = None,
    limit: Limit = None,
    workers: Annotated[int, Option(min=1, help="Threads that decode.")] = 4,
    out: Annotated[
        Path | None, Option(metavar="FILE", help="Write all invalid records here, one JSON line each.")
    ] = None,
    json: Json = False,
) -> None:
    """Open every medium; count and list invalid records."""
    from nextgpt.cli.printing import print_json
    from nextgpt.cli.progress import ProgressBars
    from nextgpt.data.validation import validate as check

    with ProgressBars() as bars:
        report = check(
            _read(corpus, format, media, limit),
            workers=workers,
            on_progress=lambda done, total: bars.update("records", done, total),
        )
    if out is not None:
        write_invalid(report.invalid, out)
    if json:
        print_json(lambda: {"path": str(corpus), **asdict(report)})
        return
    opened = ", ".join(f"{count} {modality}" for modality, count in report.media.items()) or "none"
    echo(f"{corpus}: {report.format}, {report.records} records to train on; media opened: {opened}")
    if report.missing:
        echo(f"{report.missing} media that the assistant makes are not there; their captions suffice")
    for record in report.damaged[:SHOWN]:
        echo(f"damaged, but used: {record.key}: {record.reason}")
    _list_invalid(report.invalid)


@app.command()
def stats(corpus: Path_, format: Format_ = None, media: Media = None, limit: Limit = None, json: Json = False) -> None:
    """Count records, turns, words and media; opens no medium."""
    from nextgpt.cli.printing import print_json
    from nextgpt.data.statistics import compute_statistics

    statistics = asdict(compute_statistics(_read(corpus, format, media, limit)))
    if json:
        print_json(lambda: {"path": str(corpus), **statistics})
        return
    for name, value in statistics.items():
        shown = ", ".join(f"{n} {modality}" for modality, n in value.items()) if isinstance(value, dict) else value
        echo(f"{name:<14}{shown if shown != '' else 'none'}")


@app.command()
def preview(
    corpus: Path_,
    out: Annotated[Path, Option(metavar="DIR", help="Folder for the page and its media.")],
    format: Format_ = None,
    media: Media = None,
    limit: Limit = None,
    samples: Annotated[int, Option(min=1, help="Number of records on the page.")] = 20,
    seed: Annotated[int, Option(help="Seed of the sampled records.")] = 0,
) -> None:
    """Write an HTML page that shows and plays random samples."""
    from nextgpt.data.preview import write_preview

    echo(write_preview(_read(corpus, format, media, limit), out, samples=samples, seed=seed))


@app.command()
def convert(
    corpus: Path_,
    out: Annotated[Path, Option(metavar="FILE.jsonl", help="JSON lines of typed parts.")],
    format: Format_ = None,
    media: Media = None,
    limit: Limit = None,
) -> None:
    """Convert a corpus to this project's own format: JSON lines with text and the paths of media."""
    from nextgpt.data.writers import write_jsonl

    read = _read(corpus, format, media, limit)
    echo(f"wrote {out}: {write_jsonl(read.records, out)} records")
    _list_invalid(read.invalid)


@app.command()
def pack(
    corpus: Path_,
    out: Annotated[Path, Option(metavar="DIR", help="Folder for 00000.tar, 00001.tar, ...")],
    format: Format_ = None,
    media: Media = None,
    limit: Limit = None,
    shard_mib: Annotated[int, Option(min=1, help="Size of one tar.")] = 512,
) -> None:
    """Pack text and media into tars, readable by webdataset; avoids many small files."""
    from nextgpt.data.record import InvalidRecord
    from nextgpt.data.writers import write_tar_shards

    read = _read(corpus, format, media, limit)
    invalid = list(read.invalid)
    for written in write_tar_shards(read.records, out, shard_bytes=shard_mib * 2**20):
        if isinstance(written, InvalidRecord):
            invalid.append(written)
        else:
            echo(f"wrote {written} ({written.stat().st_size / 1e6:.2f} MB)")
    _list_invalid(invalid)


def _read(path: Path, format: str | None, media: Path | None, limit: int | None) -> Corpus:
    from nextgpt.data.corpus import read_corpus

    return read_corpus(path, format=format, media=media, limit=limit)


def _list_invalid(invalid: tuple[InvalidRecord, ...] | list[InvalidRecord]) -> None:
    if invalid:
        echo(f"invalid: {len(invalid)}")
    for record in invalid[:SHOWN]:
        echo(f"  {record.key}: {record.reason}")
    if len(invalid) > SHOWN:
        echo(f"  and {len(invalid) - SHOWN} more")


def write_invalid(invalid: tuple[InvalidRecord, ...], path: Path) -> None:
    """Write invalid records, one JSON object per line."""
    import json

    from nextgpt.media.save_media import wrap_write_errors

    with wrap_write_errors(path):
        path.write_text("".join(json.dumps(asdict(record)) + "\n" for record in invalid), encoding="utf-8")


@app.command()
def cache(
    recipe: Annotated[Path, Argument(metavar="RECIPE.yaml", help="A recipe with data.corpora and cache.")],
    overrides: Overrides = None,
    processes: Annotated[int, Option(min=1, help="Processes that compute, each every n-th shard.")] = 1,
) -> None:
    """Compute the features and targets of a training once; an interrupted build continues.

    Under torchrun its processes share the work in the same way.
    """
    import os

    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt.cli.progress import ProgressBars
    from nextgpt.errors import ConfigError
    from nextgpt.train.alignment_recipe import AlignmentRecipe
    from nextgpt.train.feature_cache import build_cache, build_cache_in_processes
    from nextgpt.train.recipe import read_recipe

    settings = read_recipe(recipe, overrides or [])
    if not isinstance(settings, AlignmentRecipe):
        raise ConfigError(f"{recipe} is of the kind {settings.kind}; expected alignment. Other kinds have no cache.")
    rank, world = int(os.environ.get("RANK", "0")), int(os.environ.get("WORLD_SIZE", "1"))
    with ProgressBars() as bars:
        if world > 1 and processes > 1:
            raise ConfigError(
                f"--processes {processes} came under torchrun, which started {world}; expected one of the two."
            )
        if processes > 1:
            folder = build_cache_in_processes(processes, settings, on_progress=bars.update)
        else:
            folder = build_cache(settings, rank=rank, world_size=world, on_progress=bars.update)
    echo(f"wrote {folder}")
