"""Options of loading as text: device and dtype per component, a memory budget, and sampling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from nextgpt.errors import ConfigError


@dataclass(frozen=True)
class PlacementOptions:
    """Where components run, in which dtype and with which settings, as given on a command line."""

    device: tuple[str, ...] = ()
    """One device for all components, or ``COMPONENT=DEVICE`` for each."""
    dtype: tuple[str, ...] = ()
    """One dtype for all components, or ``COMPONENT=DTYPE`` for each."""
    max_memory: str | None = None
    """Memory budget such as ``6GB``."""
    sampling: str | None = None
    """``published`` for the settings of the published demo. ``None``: the model's own."""

    def as_arguments(self) -> dict[str, Any]:
        """Return the arguments for ``NextGPT.from_pretrained``. Raises :class:`ConfigError`."""
        arguments = {
            "device": _parse_component_options("--device", self.device),
            "dtype": _parse_component_options("--dtype", self.dtype),
            "max_memory": self.max_memory,
            "sampling": self.sampling,
        }
        return {name: value for name, value in arguments.items() if value}


def _parse_component_options(option: str, values: tuple[str, ...]) -> str | dict[str, str]:
    if len(values) == 1 and "=" not in values[0]:
        return values[0]
    pairs = [value.partition("=") for value in values]
    for name, equals, value in pairs:
        if not (name and equals and value):
            raise ConfigError(
                f"{option}: got {name}{equals}{value} among several; expected one value for all components, or "
                f"COMPONENT=VALUE for each. Write {option} llm=..."
            )
    return {name: value for name, _, value in pairs}
