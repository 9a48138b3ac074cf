"""``nextgpt data review``: people keep, correct or drop built dialogues."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

from typer import Argument, Option, echo

from nextgpt.cli.serve import is_loopback
from nextgpt.errors import ConfigError

if TYPE_CHECKING:
    from nextgpt.data.review.agreement import ReviewSummary


def review(
    work: Annotated[Path, Argument(metavar="DIR", help="Work directory of nextgpt data build.")],
    host: Annotated[str, Option(help="Address to listen on; anything but loopback needs --insecure.")] = "127.0.0.1",
    port: Annotated[int, Option(min=0, max=65535, help="0 for any free port.")] = 8020,
    insecure: Annotated[bool, Option("--insecure", help="Let everybody who can connect review.")] = False,
    shared: Annotated[float, Option(min=0, max=1, help="Fraction of the dialogues that two people review.")] = 0.1,
    summary: Annotated[bool, Option("--summary", help="Print progress and agreement, and serve nothing.")] = False,
    export_to: Annotated[
        Path | None, Option(metavar="FOLDER", help="Write tasks for Label Studio, and serve nothing.")
    ] = None,
    import_from: Annotated[
        Path | None, Option(metavar="EXPORT.json", help="Read annotations of Label Studio, and serve nothing.")
    ] = None,
) -> None:
    """Serve a page on which people review dialogues; nextgpt data build then applies the decisions."""
    if not is_loopback(host) and not insecure:
        raise ConfigError(f"--host {host}: others could review. Add --insecure, or use a tunnel to 127.0.0.1.")
    from nextgpt.annotation.launch import launch_pages
    from nextgpt.data.review.assignment import read_reviewable
    from nextgpt.data.review.label_studio import export_tasks, import_annotations
    from nextgpt.data.review.server import create_review_app, open_decisions
    from nextgpt.serve.settings import LOOPBACK

    read_reviewable(work)  # before anything is written there
    if export_to is not None:
        echo(f"wrote {export_to}: {export_tasks(work, export_to)} tasks")
        return
    with open_decisions(work) as journal:
        if import_from is not None:
            counts = import_annotations(import_from, work, journal)
            echo(f"{journal.path}: {counts.added} decisions added, {counts.known} known, {counts.skipped} incomplete")
        hosts = LOOPBACK if is_loopback(host) else ("*",)
        pages, service = create_review_app(work, journal, shared_fraction=shared, allowed_hosts=hosts)
        if not summary and import_from is None:
            launch_pages(pages, host, port)
        print_summary(service.summary())


def print_summary(summary: ReviewSummary) -> None:
    """Print progress, reasons and agreement."""
    echo(f"{summary.decided} of {summary.rows} dialogues reviewed: {summary.kept} kept, {summary.changed} corrected")
    for reason, count in sorted(summary.dropped.items(), key=lambda pair: -pair[1]):
        echo(f"  {count} dropped: {reason}")
    if summary.agreement is None:
        echo("no dialogue was reviewed by two people")
        return
    kappa = "" if summary.kappa is None else f", Cohen's kappa {summary.kappa:.2f}"
    echo(f"{summary.pairs} reviewed by two people: {100 * summary.agreement:.0f} % agreement{kappa}")
    if summary.disputed:
        echo(f"disputed: {', '.join(summary.disputed)}")
