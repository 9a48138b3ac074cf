"""What the page may send: one act of a person, checked as it comes in."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nextgpt.errors import ConversationError
from nextgpt.serve.web.turns import Wishes

Name = Annotated[str, Field(max_length=100)]
"""Of a medium's file, or a room."""


class Act(BaseModel):
    """One act. What a browser sends is bounded here, and looked up, never believed."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    do: Literal["say", "retry", "edit"]
    room: Name
    text: Annotated[str, Field(max_length=100_000)] = ""
    media: Annotated[tuple[Name, ...], Field(max_length=64)] = ()
    """Files that were attached, or of media that were said."""
    turn: int = -1
    """Of what is edited."""
    wishes: Wishes = Wishes()
    language: Annotated[str, Field(max_length=200)] = "en"


def read_act(sent: Any) -> Act:
    """The act that a browser sent. Raises :class:`ConversationError`."""
    try:
        return Act.model_validate(sent)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))[:100]
        raise ConversationError(
            f"The page sent something else than expected at {where or 'its top'} ({first['msg'][:100]}). Reload it."
        ) from None
