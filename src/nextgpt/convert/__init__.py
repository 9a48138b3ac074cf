"""Foreign weights into this project's layout: read as data alone, placed key by key, written whole or not at all."""

from __future__ import annotations

from nextgpt.convert.imagebind import convert_imagebind
from nextgpt.convert.nextgpt import convert_nextgpt
from nextgpt.convert.pickle_folder import convert_folder
from nextgpt.convert.preset import convert_parts
from nextgpt.convert.vicuna import convert_vicuna

__all__ = ["convert_folder", "convert_imagebind", "convert_nextgpt", "convert_parts", "convert_vicuna"]
