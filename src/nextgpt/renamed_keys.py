"""Keys of recipes, ``config.json``, ``nextgpt.json`` and deploy files that were renamed.

An old key is an error that names the new one; see :func:`nextgpt.config.parse_config`.
"""

from __future__ import annotations

from collections.abc import Mapping

RENAMED_KEYS: Mapping[str, tuple[str, ...]] = {
    "is_shared": ("shared",),
}
"""New names by old key, without the path before it. If there are several, the one that the config class has counts."""
