"""Export the held-out split of the small world in the formats of COCO, AudioCaps and MSR-VTT, with edits and requests.

python scripts/export_miniworld.py out/small-data --count 200
nextgpt eval nano --suite coco-t2i --data out/small-data
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nextgpt.miniworld.export import export_miniworld


def main(
    folder: Path,
    count: Annotated[int, typer.Option(min=1, help="Items per suite.")] = 200,
    seed: Annotated[int, typer.Option(min=0)] = 0,
) -> None:
    """Write the corpora into FOLDER."""
    export_miniworld(folder, count=count, seed=seed)
    print(f"wrote {folder}")


if __name__ == "__main__":
    typer.run(main)
