"""Compatibility settings for published NExT-GPT weights: ``quirks`` in ``config.json``.

``"quirks": "nextgpt_2023"`` means, for weights of the first release:

- features are those of NExT-GPT's copy of ImageBind: norm 1 for all modalities (audio is not scaled by 20), and the
  clip times of pytorchvideo 0.1.5; see :meth:`~nextgpt.model.encoding.config.EncoderConfig.as_in_nextgpt`;
- the same pair of tags, ``<Img>`` and ``</Img>``, encloses images, audio and video;
- a start token precedes every piece of text, so also after every medium;
- text next to a tag or a signal token has no blank or line break there, as the tokenizer of transformers 4.29 removed
  them: no 29871 before ``<Img>``, and 835 (``###``) instead of 13 2277 29937 after a generated medium;
- the prompt format is ``### Human: ... ### Assistant: ...``;
- captions in training prompts are lower case, without some punctuation (:func:`clean_caption`); the targets are
  embeddings of the captions as they are.

Two things differ from the first release on purpose: media that the model generated earlier are in the prompt as
their signal tokens, as in training, not as inputs between tags; and a turn may have several media, each with its own
tags and soft token, not their sum.

``"quirks": "nextgpt_2024"`` means, for weights of the later code:

- features as above, and averaged over clips and crops, patch by patch;
- the N signal tokens of a span are joined by blanks (29871 in LLaMA): 2N - 1 positions, and the hidden states at all of
  them, 7 for images, 15 for audio, 47 for video, are the output projection's input.

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

    template: str | None = None
    """Prompt template, a name in :data:`~nextgpt.prompt_template.TEMPLATES`. ``None``: that of the config."""
    caption: Callable[[str], str] | None = None
    """Function applied to the captions in training prompts."""
    has_signal_separators: bool = False
    """Separate the signal tokens of a span by blanks."""


QUIRKS = {
    "nextgpt_2023": Quirks(template="nextgpt_7b_tiva_v0", caption=clean_caption),
    "nextgpt_2024": Quirks(has_signal_separators=True),
}
"""Settings by the name of the release."""
