"""Options that several commands share."""

from __future__ import annotations

from typing import Annotated

from typer import Option

Device = Annotated[
    list[str] | None,
    Option(metavar="[COMPONENT=]DEVICE", help="cpu, cuda, cuda:1; auto spreads the LLM. May be repeated."),
]
Dtype = Annotated[
    list[str] | None,
    Option(
        metavar="[COMPONENT=]DTYPE",
        help="float32, bfloat16, float16; for the LLM also int8, int4. May be repeated.",
    ),
]
MaxMemory = Annotated[
    str | None,
    Option(metavar="SIZE", help="Memory budget such as 6GB; sets dtypes and what is offloaded."),
]
