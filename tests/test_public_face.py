"""The names that the package promises, and that they cost nothing until they are used."""

from __future__ import annotations

import subprocess
import sys

import nextgpt

PROMISED = [
    "Audio",
    "Conversation",
    "DenoisingProgress",
    "Depth",
    "Image",
    "Imu",
    "MediumFinished",
    "Message",
    "NextGPT",
    "NextGPTError",
    "Reply",
    "ReplyFinished",
    "Sampling",
    "Text",
    "TextDelta",
    "Thermal",
    "Video",
]


def test_the_listing_is_exact():
    assert sorted(nextgpt.__all__) == PROMISED
    assert all(getattr(nextgpt, name).__name__ == name for name in PROMISED)
    assert set(PROMISED) <= set(dir(nextgpt))


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(nextgpt, "NextGTP")


def test_importing_the_package_imports_no_heavy_library():
    heavy = ("torch", "transformers", "diffusers", "numpy", "PIL", "av")
    code = f"import sys, nextgpt; print([name for name in {heavy!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_messages_need_no_torch():
    code = "import sys; from nextgpt import Conversation; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
