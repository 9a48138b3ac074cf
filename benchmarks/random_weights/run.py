"""``python -m benchmarks.random_weights.run MODEL``: cost of one turn in real shapes, without weights."""

from __future__ import annotations

import json as json_format
from typing import Annotated

from benchmarks.random_weights.turn_cost import measure_turn, to_markdown
from typer import Argument, Option, run

from nextgpt.cli.progress import ProgressBars
from nextgpt.logging import silence_libraries
from nextgpt.model.model_dir import resolve_model_dir
from nextgpt.presets import PRESETS


def main(
    model: Annotated[str, Argument(help="Any name that nextgpt models lists, or a folder.")],
    device: Annotated[str, Option(help="cpu or cuda.")] = "cpu",
    json: Annotated[bool, Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Measure one turn with random weights, one component in memory at a time."""
    silence_libraries()
    with ProgressBars() as bars:
        model_dir = PRESETS.get(model) or resolve_model_dir(model)
        turn = measure_turn(model, model_dir, device=device, on_progress=bars.update)
    print(json_format.dumps(turn.to_dict()) if json else to_markdown(turn), end="\n" if json else "")


if __name__ == "__main__":
    run(main)
