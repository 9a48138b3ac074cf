"""Tiny parts and fakes that run in a blink, for the project's tests and for those of its users."""

from __future__ import annotations

from nextgpt.testing.fakes import FakeEncoder, FakeSynthesizer
from nextgpt.testing.language_model import tiny_language_model
from nextgpt.testing.model import fake_model
from nextgpt.testing.tokenizer import tiny_tokenizer

__all__ = ["FakeEncoder", "FakeSynthesizer", "fake_model", "tiny_language_model", "tiny_tokenizer"]
