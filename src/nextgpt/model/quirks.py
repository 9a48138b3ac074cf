"""Habits of the official code that its published weights depend on, behind one switch: ``quirks`` in ``config.json``.

``"quirks": "nextgpt_2023"`` means, for weights of the first release:

- features keep the lengths that ImageBind gives them: sounds are 20 times as long as pictures;
- one pair of tags, ``<Img>`` and ``</Img>``, stands around pictures, sounds and films alike;
- a start token stands before every piece of text, so again after every medium;
- conversations are laid out as ``### Human: ... ### Assistant: ...``.

Without the switch every clip's vector has length 1, there is one start token, and the template is the config's own.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Quirks:
    """One release's habits; whether features have lengths follows from there being any."""

    template: str
    """The layout with its tags and start tokens, a name in :data:`~nextgpt.model.llm.template.TEMPLATES`."""


QUIRKS = {"nextgpt_2023": Quirks(template="nextgpt_7b_tiva_v0")}
"""By the release's name in ``config.json``."""
