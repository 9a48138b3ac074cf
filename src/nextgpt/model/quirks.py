"""Compatibility settings for published NExT-GPT weights: ``quirks`` in ``config.json``.

``"quirks": "nextgpt_2023"`` means, for weights of the first release:

- features are those of NExT-GPT's copy of ImageBind: norm 1 for all modalities (audio is not scaled by 20), and the
  clip times of pytorchvideo 0.1.5; see :meth:`~nextgpt.model.encoding.config.EncoderConfig.as_in_nextgpt`;
- the same pair of tags, ``<Img>`` and ``</Img>``, encloses images, audio and video;
- a start token precedes every piece of text, so also after every medium;
- the prompt format is ``### Human: ... ### Assistant: ...``;
- training captions are lower case, without some punctuation: see :func:`clean_caption`.

Without the key, each clip's features have the norm sqrt(E), there is one start token, the config names the template,
and captions are unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass


def clean_caption(caption: str) -> str:
    """Return ``a red car 1999`` for ``A "Red" car: (1999)``, as in the first release's training data."""
    return " ".join(re.sub(r"""["()*#:;~]""", " ", caption.lower()).split())


@dataclass(frozen=True)
class Quirks:
    """Compatibility settings of one published release. With any of them, features are those of NExT-GPT's encoder."""

    template: str
    """Prompt template, a name in :data:`~nextgpt.prompt_template.TEMPLATES`."""
    caption: Callable[[str], str]
    """Function applied to training captions."""


QUIRKS = {"nextgpt_2023": Quirks(template="nextgpt_7b_tiva_v0", caption=clean_caption)}
"""Settings by the name of the release."""
