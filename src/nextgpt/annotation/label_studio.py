"""Exchange with Label Studio: what ratings and reviews share."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from nextgpt.errors import ConfigError
from nextgpt.text_files import read_text

MEDIA_URL = "/data/local-files/?d=media/"
"""Address of a file in Label Studio's local storage whose root is the exported folder."""
MEDIA_TAGS = {"image": "Image", "audio": "Audio", "video": "Video"}
"""Tags of labelling configurations by modality."""


def read_annotations(path: Path, id_field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the annotations of an export in the format JSON, each with the id in ``id_field`` of its task.

    Raises:
        ConfigError: The file is not such an export.
    """
    try:
        for task in json.loads(read_text(path)):
            for annotation in task["annotations"]:
                yield str(task["data"][id_field]), dict(annotation)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(
            f"{path} is not a list of Label Studio tasks with annotations ({error!r}). Export the project as JSON."
        ) from None


def annotator_name(annotation: dict[str, Any]) -> str:
    """Return the name under which the work of an annotator is stored, with the e-mail address or number if known."""
    annotator = annotation.get("completed_by")
    identity = (annotator.get("email") or annotator.get("id")) if isinstance(annotator, dict) else annotator
    return f"label-studio {identity if identity is not None else 'unknown'}"
