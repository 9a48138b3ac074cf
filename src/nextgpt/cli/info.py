"""``nextgpt info``: what a model is made of."""

from __future__ import annotations

from typing import Annotated, Any

from typer import Argument, Option


def info(
    model: Annotated[str, Argument(help="What nextgpt models lists.")] = "nano",
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Show every part of a model with its class, parameters, dtype, source and licence; no weights are read."""
    from nextgpt.cli.output import print_json

    if json:
        print_json(lambda: _report(model))
    else:
        _show(_report(model))


def _report(model: str) -> dict[str, Any]:
    from nextgpt.cli.loading import keep_libraries_quiet

    keep_libraries_quiet()
    from nextgpt.config import read_config
    from nextgpt.model.description import describe
    from nextgpt.model.folder import locate

    folder = locate(model)
    parts = describe(read_config(folder), folder)
    return {
        "model": model,
        "parts": [
            {
                "name": part.name,
                "class": part.class_name,
                "parameters": part.parameters,
                "trainable": part.trainable,
                "dtype": part.dtype,
                "source": part.source,
                "licence": part.licence,
            }
            for part in parts
        ],
        "parameters": sum(part.parameters for part in parts),
        "trainable": sum(part.trainable for part in parts),
    }


def _show(report: dict[str, Any]) -> None:
    from rich.table import Table

    from nextgpt.cli.output import print_table

    table = Table(box=None, pad_edge=False, show_footer=True)
    for name in ("name", "class", "parameters", "trainable", "dtype", "source", "licence"):
        total = f"{report[name]:,}" if name in report else ""
        table.add_column(name, justify="right" if total else "left", footer=total, overflow="fold")
    for part in report["parts"]:
        table.add_row(*(f"{value:,}" if isinstance(value, int) else value for value in part.values()))
    print_table(table)
