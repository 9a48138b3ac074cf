"""``nextgpt data index`` and ``calibrate``: build and search an index of captioned media; set thresholds for auto."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from typer import Argument, Option, echo

from nextgpt.cli.options import Json

Corpora = Annotated[
    list[Path], Argument(metavar="CORPUS...", help="JSON, JSONL, CSV or tar files, or folders of tars.")
]
Out = Annotated[Path, Option(metavar="DIR", help="Folder of the index.")]
Source = Annotated[str, Option(metavar="TEXT", help="Source of media if the corpus names none.")]
Licence = Annotated[str, Option(metavar="TEXT", help="Licence of media if the corpus names none.")]
VectorDtype = Annotated[
    Literal["float32", "float16"], Option(help="Dtype of the vectors on disk; float16 is half as large and slower.")
]
Query = Annotated[str | None, Option(metavar="TEXT", help="Search for this text afterwards and print the results.")]


def index(
    corpora: Corpora,
    out: Out,
    model: Annotated[str, Option(help="Model whose encoders make the vectors.")] = "nano",
    format: Annotated[
        str | None, Option("--format", metavar="NAME", help="Format of the corpora; default: detected.")
    ] = None,
    media: Annotated[
        Path | None, Option(metavar="DIR", help="Folder of the media; default: that of each corpus file.")
    ] = None,
    source: Source = "",
    licence: Licence = "",
    dtype: VectorDtype = "float32",
    approximate: Annotated[
        bool, Option("--approximate", help="Add inverted lists for faster, approximate search (needs nextgpt[faiss]).")
    ] = False,
    query: Query = None,
    json: Json = False,
) -> None:
    """Index captioned media for retrieval; an interrupted build continues, a finished one is kept."""
    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt.cli.printing import print_json
    from nextgpt.cli.progress import ProgressBars
    from nextgpt.data.corpus import read_corpus
    from nextgpt.data.index.build import build_index

    read = [read_corpus(path, format=format, media=media) for path in corpora]
    with ProgressBars() as bars:
        report = build_index(
            read,
            out,
            model=model,
            source=source,
            licence=licence,
            dtype=dtype,
            approximate=approximate,
            on_progress=bars.update,
        )
    hits = _search(out, query) if query is not None else []
    if json:
        print_json(lambda: {"path": str(out), "items": report.items, "invalid": len(report.invalid), "found": hits})
        return
    counts = ", ".join(f"{count} {modality}" for modality, count in report.items.items())
    echo(f"wrote {out}: {counts}" + (f"; {len(report.invalid)} invalid, see invalid.jsonl" if report.invalid else ""))
    for row in hits:
        echo("  ".join(str(row[name]) for name in ("score", "modality", "caption", "path", "source", "licence")))


def calibrate(
    index: Annotated[Path, Argument(metavar="INDEX", help="A folder written by nextgpt data index.")],
    model: Annotated[str | None, Option(help="Model that will reply; default: the one that made the index.")] = None,
    limit: Annotated[int, Option(min=1, help="Cases per modality.")] = 100,
    seed: Annotated[int, Option(help="Seed of the sampled cases.")] = 0,
    json: Json = False,
) -> None:
    """Find the scores from which retrieved media are better than generated ones, for --via auto."""
    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt import NextGPT
    from nextgpt.cli.printing import print_json
    from nextgpt.cli.progress import ProgressBars
    from nextgpt.data.index import MediaIndex
    from nextgpt.data.index.calibration import calibrate as find_thresholds

    opened = MediaIndex.open(index)
    name = model or opened.manifest.model
    opened.check_text_encoders(name)
    with ProgressBars() as bars:
        result = find_thresholds(opened, NextGPT.from_pretrained(name), limit=limit, seed=seed, on_progress=bars.update)
    if json:
        print_json(lambda: {"path": str(index), **result.model_dump()})
        return
    for modality, threshold in result.thresholds.items():
        row = result.evidence[modality]
        similarities = ", ".join(f"{way} {row[way]:.3f}" for way in ("retrieve", "generate", "auto"))
        rule = "never retrieve" if threshold > 1 else f"retrieve from a score of {threshold:.3f}"
        share = f"{row['retrieved_share']:.0%} of {row['cases']:.0f} cases"
        echo(f"{modality}: {rule} ({share}); similarity to the request: {similarities}")


def _search(folder: Path, query: str) -> list[dict[str, str | float]]:
    """Return the best items of each modality for a text."""
    from nextgpt.data.index import MediaIndex

    opened = MediaIndex.open(folder)
    return [
        {
            "score": round(hit.score, 3),
            "modality": modality,
            "id": hit.item_id,
            "caption": hit.caption,
            "path": str(hit.path),
            "source": hit.source,
            "licence": hit.licence,
        }
        for modality in opened.modalities
        for hit in (opened.search_words if opened.has_words(modality) else opened.search_texts)([query], modality)[0]
    ]
