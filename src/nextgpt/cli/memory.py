"""What is said on the command line of how parts are kept in memory, the same for every command that loads a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from typer import Option

from nextgpt.errors import ConfigError

Device = Annotated[
    list[str] | None,
    Option(metavar="[PART=]DEVICE", help="cpu, cuda, cuda:1; auto spreads the LLM. May be repeated."),
]
Dtype = Annotated[
    list[str] | None,
    Option(
        metavar="[PART=]TYPE", help="float32, bfloat16, float16; of the LLM also int8, int4. May be repeated."
    ),
]
MaxMemory = Annotated[
    str | None,
    Option(metavar="SIZE", help="A budget such as 6GB, which chooses types and what stays in memory."),
]


@dataclass(frozen=True)
class Placement:
    """Where and how parts are kept in memory, as said on the command line."""

    device: tuple[str, ...] = ()
    """Of all parts, or ``PART=DEVICE``."""
    dtype: tuple[str, ...] = ()
    """Likewise."""
    max_memory: str | None = None

    def options(self) -> dict[str, Any]:
        """What is said as arguments of ``NextGPT.from_pretrained``. Raises :class:`ConfigError`."""
        said = {"device": _said("--device", self.device), "dtype": _said("--dtype", self.dtype)}
        return {name: value for name, value in {**said, "max_memory": self.max_memory}.items() if value}


def _said(option: str, values: tuple[str, ...]) -> str | dict[str, str]:
    if len(values) == 1 and "=" not in values[0]:
        return values[0]
    pairs = [value.partition("=") for value in values]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise ConfigError(
                f"{option} {name}{equals}{value} came among others; expected one value for all parts, or PART=VALUE "
                f"for each. Say {option} llm=..."
            )
    return {name: value for name, _, value in pairs}
