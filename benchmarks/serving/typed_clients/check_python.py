"""Find answers without a type in a package that openapi-python-client generated; runs in its environment.

    python check_python.py PACKAGE_FOLDER OPERATION_ID …

Prints one JSON object with the names of the untyped operations. nextgpt is not importable here.
"""

from __future__ import annotations

import importlib
import json
import re
import sys
import typing
from pathlib import Path
from typing import Any

EXTRA_FIELDS = "additional_properties"
"""Field of every generated class for values that the document does not name."""


def find_untyped(folder: Path, operations: list[str]) -> list[str]:
    """Import every module of the package; return the operations whose answer is missing or contains ``Any``."""
    sys.path.insert(0, str(folder.parent))
    modules = {
        path.stem: importlib.import_module(".".join(path.relative_to(folder.parent).with_suffix("").parts))
        for path in sorted(folder.glob("**/*.py"))
        if path.name != "__init__.py"
    }
    names = vars(importlib.import_module(f"{folder.name}.models")) | vars(modules["types"])
    by_operation = {name: modules.get(re.sub("_+", "_", name)) for name in operations}
    return [
        name
        for name, module in by_operation.items()
        if module is None or is_untyped(typing.get_type_hints(module.sync_detailed)["return"], names)
    ]


def is_untyped(annotation: Any, names: dict[str, Any], seen: tuple[Any, ...] = ()) -> bool:
    """Return whether the type, a field of it, or an item is ``Any``, or a class without fields of its own.

    Args:
        names: Names that annotations of classes refer to.
        seen: Classes around this one.
    """
    if annotation is Any:
        return True
    if arguments := typing.get_args(annotation):
        return any(is_untyped(argument, names, seen) for argument in arguments)
    if annotation in seen or not hasattr(annotation, "__attrs_attrs__") or annotation is names.get("File"):
        return False
    hints = typing.get_type_hints(annotation, globalns=vars(typing) | names)
    if len(hints) > 1:  # the only field of a dictionary's class is its values
        hints.pop(EXTRA_FIELDS, None)
    return not hints or any(is_untyped(hint, names, (*seen, annotation)) for hint in hints.values())


if __name__ == "__main__":
    package, *operation_ids = sys.argv[1:]
    sys.stdout.write(json.dumps(find_untyped(Path(package).resolve(), operation_ids)) + "\n")
