"""Config of components that are implemented here instead of in diffusers."""

from __future__ import annotations

from typing import Any


class NativeConfig(dict[str, Any]):
    """A dictionary whose entries are attributes too, like the configs of diffusers."""

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(f"the config has no {name}") from None
