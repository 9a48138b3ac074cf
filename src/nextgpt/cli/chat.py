"""``nextgpt chat``: talk to a model, line by line or one turn."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Argument, Option

from nextgpt.cli.memory import Device, Dtype, MaxMemory, Placement
from nextgpt.errors import ConfigError


def chat(
    model: Annotated[str, Argument(help="What nextgpt models lists.")] = "nano",
    once: Annotated[str | None, Option(metavar="TEXT", help="Say this, show the answer, and end.")] = None,
    image: Annotated[
        list[Path] | None, Option(metavar="FILE", help="Send a picture with the first message.")
    ] = None,
    audio: Annotated[
        list[Path] | None, Option(metavar="FILE", help="Send a sound with the first message.")
    ] = None,
    video: Annotated[
        list[Path] | None, Option(metavar="FILE", help="Send a film with the first message.")
    ] = None,
    depth: Annotated[
        list[Path] | None, Option(metavar="FILE", help="Send a depth map with the first message.")
    ] = None,
    thermal: Annotated[
        list[Path] | None, Option(metavar="FILE", help="Send a thermal picture likewise.")
    ] = None,
    imu: Annotated[
        list[Path] | None, Option(metavar="FILE", help="Send inertial measurements likewise.")
    ] = None,
    history: Annotated[Path | None, Option(metavar="FILE", help="Go on from a conversation.json.")] = None,
    seed: Annotated[int, Option(min=0, max=2**63 - 1, help="The same seed gives the same answer.")] = 0,
    out: Annotated[
        Path | None, Option(metavar="DIR", help="Where media are written; else a temporary folder.")
    ] = None,
    device: Device = None,
    dtype: Dtype = None,
    max_memory: MaxMemory = None,
    json: Annotated[bool, Option("--json", help="With --once: print one JSON object.")] = False,
) -> None:
    """Talk to a model: any mix of text, pictures, sounds and films, in both directions."""
    from nextgpt.cli.start import begin

    if json and once is None:
        raise ConfigError("--json came without --once; expected one turn to print as JSON. Add --once TEXT.")
    given = {"image": image, "audio": audio, "video": video, "depth": depth, "thermal": thermal, "imu": imu}
    files = {modality: paths or [] for modality, paths in given.items()}
    placement = Placement(tuple(device or ()), tuple(dtype or ()), max_memory)
    with begin(model, files, history=history, seed=seed, out=out, placement=placement) as start:
        if once is None:
            from nextgpt.cli.interactive import talk

            talk(start)
        elif json:
            from nextgpt.cli.once import report
            from nextgpt.cli.output import print_json

            print_json(lambda: report(start, once))
        else:
            from nextgpt.cli.once import show

            show(start, once)
