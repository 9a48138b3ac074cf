"""Frozen components of a model: loaded on first use, then kept in memory or offloaded in turn."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar

from nextgpt.config import ComponentSource
from nextgpt.model.hub import resolve_component_dir

Value = TypeVar("Value")

LOAD_LOCK = threading.RLock()
"""Held during loading and tracing: both patch torch globally, for all threads."""


class OffloadGroup:
    """Keeps at most one component of the group in memory. Not thread-safe."""

    def __init__(self) -> None:
        self._resident: Component[Any] | None = None

    def activate(self, component: Component[Any]) -> None:
        """Offload the resident component if it is a different one."""
        if self._resident is not None and self._resident is not component:
            self._resident.offload()
        self._resident = component


class Component(Generic[Value]):
    """A lazily loaded component.

    Args:
        load: Creates or reads the value.
        save: Writes the value into a folder.
        group: Components of which one is in memory at a time. Default: the component stays in memory.
        offload: Moves the value out of memory. Default: the value is dropped and loaded again.
        onload: Moves an offloaded value back.
    """

    def __init__(
        self,
        load: Callable[[], Value],
        save: Callable[[Path], object],
        *,
        group: OffloadGroup | None = None,
        offload: Callable[[Value], object] | None = None,
        onload: Callable[[Value], object] = lambda value: None,
    ) -> None:
        self._load = load
        self.save = save
        self._group = group
        self._offload = offload
        self._onload = onload
        self._value: list[Value] = []
        self._is_offloaded = False

    def get(self) -> Value:
        """Return the value, loaded or onloaded if necessary."""
        with LOAD_LOCK:
            if self._group is not None:
                self._group.activate(self)
            if not self._value:
                self._value.append(self._load())
            elif self._is_offloaded:
                self._onload(self._value[0])
            self._is_offloaded = False
            return self._value[0]

    @property
    def can_offload(self) -> bool:
        """True if another component may displace it."""
        return self._group is not None

    @property
    def is_loaded(self) -> bool:
        """True if the value is in memory."""
        return bool(self._value) and not self._is_offloaded

    def offload(self) -> None:
        """Free the value's memory."""
        if not self.is_loaded:
            return
        if self._offload is None:
            self._value.clear()
        else:
            self._offload(self._value[0])
            self._is_offloaded = True


def component_from_dir(
    source: ComponentSource, model_dir: Path, load: Callable[[Path], Value], **offloading: Any
) -> Component[Value]:
    """Create a component that is loaded from a folder. Saving copies the folder, so frozen weights stay bit-equal.

    Args:
        offloading: Further arguments of :class:`Component`.
    """

    def save(target: Path) -> None:
        folder = resolve_component_dir(source, model_dir)
        if folder.resolve() != target.resolve():
            shutil.copytree(folder, target, dirs_exist_ok=True)

    return Component(lambda: load(resolve_component_dir(source, model_dir)), save, **offloading)
