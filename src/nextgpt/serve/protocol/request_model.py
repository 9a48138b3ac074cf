"""Bases of all requests."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class RequestModel(BaseModel):
    """Base of all requests: ``null`` means that a field is absent."""

    model_config = ConfigDict(frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _drop_nulls(cls, values: Any) -> Any:
        if isinstance(values, dict):
            return {name: value for name, value in values.items() if value is not None}
        return values


class OpenAIModel(RequestModel):
    """Base of what OpenAI defines: unknown fields are ignored."""

    model_config = ConfigDict(extra="ignore")


class ExtensionModel(RequestModel):
    """Base of what this project defines: an unknown field is an error."""

    model_config = ConfigDict(extra="forbid")
