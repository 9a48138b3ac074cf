"""Conversion of published weights to this project's layout, key by key; no code in pickles is executed."""

from __future__ import annotations

from nextgpt.convert.imagebind import convert_imagebind
from nextgpt.convert.nextgpt import convert_nextgpt
from nextgpt.convert.pickle_folder import convert_folder
from nextgpt.convert.preset import convert_parts
from nextgpt.convert.vicuna import convert_vicuna

__all__ = ["convert_folder", "convert_imagebind", "convert_nextgpt", "convert_parts", "convert_vicuna"]
