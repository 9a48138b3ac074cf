"""Habits of the official code that its published weights depend on, behind one switch: ``quirks`` in ``config.json``.

``"quirks": "nextgpt_2023"`` means, for weights of the first release:

- features keep the lengths that ImageBind gives them: sounds are 20 times as long as pictures;
- one pair of tags, ``<Img>`` and ``</Img>``, stands around pictures, sounds and films alike;
- a start token stands before every piece of text, so again after every medium;
- conversations are laid out as ``### Human: ... ### Assistant: ...``;
- captions of pairs are learned in lower case and without some signs: see :func:`clean_caption`.

Without the switch every clip's vector has the length sqrt(E), there is one start token, the template is the config's
own, and captions are learned as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


def clean_caption(caption: str) -> str:
    """``A "Red" car: (1999)`` to ``a red car 1999``, as the captions were that the first release learned from."""
    return " ".join(re.sub(r"""["()*#:;~]""", " ", caption.lower()).split())


@dataclass(frozen=True)
class Quirks:
    """One release's habits; whether features have lengths follows from there being any."""

    template: str
    """The layout with its tags and start tokens, a name in :data:`~nextgpt.model.llm.template.TEMPLATES`."""
    caption: Callable[[str], str]
    """What becomes of captions that such a model is trained on."""


QUIRKS = {"nextgpt_2023": Quirks(template="nextgpt_7b_tiva_v0", caption=clean_caption)}
"""By the release's name in ``config.json``."""
