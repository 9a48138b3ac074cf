"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated, Literal

from typer import Argument, Option

from nextgpt.model.placement import PlacementOptions

Model = Annotated[str, Argument(help="A name that nextgpt models lists, a folder, or a Hub id.")]
Json = Annotated[bool, Option("--json", help="Print one JSON object.")]
Overrides = Annotated[
    list[str] | None, Argument(metavar="[KEY.SUB=VALUE]...", help="Settings that replace those of the recipe.")
]
Device = Annotated[
    list[str] | None,
    Option(metavar="[COMPONENT=]DEVICE", help="cpu, cuda, cuda:1; auto spreads the LLM. May be repeated."),
]
Dtype = Annotated[
    list[str] | None,
    Option(
        metavar="[COMPONENT=]DTYPE", help="float32, bfloat16, float16; for the LLM also int8, int4. May be repeated."
    ),
]
MaxMemory = Annotated[
    str | None, Option(metavar="SIZE", help="Memory budget such as 6GB; sets dtypes and what is offloaded.")
]
MediaLimit = Annotated[
    list[str] | None,
    Option(metavar="NAME=VALUE", help="Limit for reading a file, such as frames=3000 or duration_s=1200; repeatable."),
]
SamplingOption = Annotated[
    Literal["published"] | None,
    Option(metavar="published", help="Schedulers, steps, guidance and lengths of media of the published NExT-GPT."),
]


def placement_options(
    device: Device, dtype: Dtype, max_memory: MaxMemory, sampling: SamplingOption = None
) -> PlacementOptions:
    """Return the values of the options."""
    return PlacementOptions(tuple(device or ()), tuple(dtype or ()), max_memory, sampling)
