"""``nextgpt info``: the components of a model."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from nextgpt.cli.options import Device, Dtype, Json, MaxMemory, Model, placement_options
from nextgpt.model.placement import PlacementOptions

if TYPE_CHECKING:
    from nextgpt.model.summary import ComponentSummary

TOKEN_ROWS = "llm.signals"
"""The component with the rows of new tokens, which the paper does not count."""
OFFLOAD_LABELS = {"none": "stays in memory", "cpu": "offloaded to the CPU", "disk": "read again when needed"}
"""Labels of the places to which components are offloaded."""


def info(
    model: Model = "nano", device: Device = None, dtype: Dtype = None, max_memory: MaxMemory = None, json: Json = False
) -> None:
    """Show every component of a model with its class, parameters, dtype, source and licence; no weights are read.

    With --max-memory, --dtype or --device also the memory plan.
    """
    from nextgpt.cli.printing import print_json

    placement = placement_options(device, dtype, max_memory)
    if json:
        print_json(lambda: _report(model, placement))
    else:
        _show(_report(model, placement))


def _report(model: str, placement: PlacementOptions) -> dict[str, Any]:
    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt.config import read_config
    from nextgpt.model.model_dir import resolve_model_dir
    from nextgpt.model.summary import summarize_model
    from nextgpt.presets import PRESETS

    folder = PRESETS.get(model) or resolve_model_dir(model)
    parts = summarize_model(read_config(folder), folder)
    report = {
        "model": model,
        "parts": [_part(part) for part in parts],
        "parameters": sum(part.parameters for part in parts),
        "trainable": sum(part.trainable for part in parts),
    }
    report |= _published_comparison(model, report) if model in PRESETS else {}
    return report | ({"plan": _placement_rows(parts, placement)} if placement != PlacementOptions() else {})


def _placement_rows(parts: list[ComponentSummary], placement: PlacementOptions) -> dict[str, Any]:
    """Return the memory plan."""
    from nextgpt.model.loading import make_memory_plan

    plan = make_memory_plan(parts, **placement.as_arguments())
    rows = {name: {k: v for k, v in asdict(part).items() if k != "weights_bytes"} | {
        "weights_gb": round(part.weights_bytes / 1e9, 3)} for name, part in plan.placements.items()}  # fmt: skip
    return {"parts": rows, "peak_gb": round(plan.peak_bytes / 1e9, 3)}


def _part(part: ComponentSummary) -> dict[str, Any]:
    row = {
        "name": part.name,
        "class": part.class_name,
        "parameters": part.parameters,
        "trainable": part.trainable,
        "dtype": part.dtype,
        "source": part.source,
        "licence": part.licence,
    }
    return row | ({"towers": dict(part.towers)} if part.towers else {})


def _published_comparison(model: str, report: dict[str, Any]) -> dict[str, Any]:
    """Return the published parameter counts of a preset, to compare with those that were counted."""
    from nextgpt.presets import preset

    token_rows = sum(part["parameters"] for part in report["parts"] if part["name"] == TOKEN_ROWS)
    besides = report["trainable"] - token_rows
    published = preset(model).published
    return {
        "trainable_besides_token_rows": besides,
        "share": besides / report["parameters"],
        "published": None if published is None else published.model_dump(),
    }


def _show(report: dict[str, Any]) -> None:
    from rich.table import Table

    from nextgpt.cli.printing import print_table

    table = Table(box=None, pad_edge=False, show_footer=True)
    for name in ("name", "class", "parameters", "trainable", "dtype", "source", "licence"):
        total = f"{report[name]:,}" if name in report else ""
        table.add_column(name, justify="right" if total else "left", footer=total, overflow="fold")
    for part in report["parts"]:
        table.add_row(*(_cell(part[column.header]) for column in table.columns))
        for tower, parameters in part.get("towers", {}).items():
            table.add_row(f"  {tower}", "", f"({parameters:,})")
    print_table(table)
    if "share" in report:
        print(_comparison(report))
    if "plan" in report:
        _show_plan(report["plan"])


def _show_plan(plan: dict[str, Any]) -> None:
    from rich.table import Table

    from nextgpt.cli.printing import print_table

    table = Table(box=None, pad_edge=False)
    for name in ("component", "dtype", "device", "weights GB", "while inactive"):
        table.add_column(name, justify="right" if name == "weights GB" else "left")
    for name, part in plan["parts"].items():
        table.add_row(
            name, part["dtype"], part["device"], f"{part['weights_gb']:.3f}", OFFLOAD_LABELS[part["offload_to"]]
        )
    print()
    print_table(table)
    print(f"At most about {plan['peak_gb']:.1f} GB in use: components that stay, the largest offloaded one, its "
          "activations, and the libraries.")  # fmt: skip


def _cell(value: int | str) -> str:
    return f"{value:,}" if isinstance(value, int) else value


def _comparison(report: dict[str, Any]) -> str:
    besides, published = report["trainable_besides_token_rows"], report["published"]
    ours = f"{besides:,} are trained besides the rows of new tokens, {report['share']:.2%} of all."
    if published is None:
        return ours
    theirs = f"Published: {published['trainable']} of {published['parameters']}."
    return "\n".join((ours, theirs, published["note"]))
