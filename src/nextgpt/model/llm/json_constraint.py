"""Hold text to a JSON schema, by llguidance (``pip install 'nextgpt[json]'``)."""

from __future__ import annotations

from collections.abc import Collection
from importlib.util import find_spec
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from nextgpt.errors import ConfigError


def is_available() -> bool:
    """Return whether llguidance is installed."""
    return find_spec("llguidance") is not None


def check_schema(schema: str) -> None:
    """Check a JSON schema. Raises :class:`ConfigError` if text cannot be held to it, with llguidance's reason."""
    if not is_available():
        raise ConfigError("JSON needs llguidance, which is not installed. Run pip install 'nextgpt[json]'.")
    from llguidance import LLMatcher

    try:
        problem = LLMatcher.validate_grammar(_grammar(schema))
    except ValueError as error:  # no JSON
        problem = str(error)
    if problem:
        reason = " ".join(problem.removeprefix("ERROR:").split())
        raise ConfigError(f"The JSON schema cannot be followed ({reason}); expected one that llguidance supports.")


class JsonConstraint:
    """State of one reply that follows a schema.

    Args:
        tokenizer: See :func:`create_json_tokenizer`.
        schema: JSON text of the schema; :func:`check_schema` accepts it.
    """

    def __init__(self, tokenizer: Any, schema: str) -> None:
        from llguidance import LLMatcher

        self._matcher = LLMatcher(tokenizer, _grammar(schema))
        _check_state(self._matcher)

    def mask(self, like: Float[Tensor, " Vn"]) -> Float[Tensor, " Vn"]:
        """Return the mask to add to the logits: 0 for allowed next tokens, minus infinity for others and signals."""
        allowed = torch.frombuffer(bytearray(self._matcher.compute_logit_bias()), dtype=torch.uint8) > 0
        mask = torch.full_like(like, -torch.inf)
        mask[: len(allowed)].masked_fill_(allowed.to(mask.device), 0)
        return mask

    def accept(self, token_id: int) -> None:
        """Advance by one generated token."""
        self._matcher.consume_token(token_id)
        _check_state(self._matcher)


def create_json_tokenizer(hf_tokenizer: Any, vocabulary_size: int, end_ids: Collection[int]) -> Any:
    """Convert a tokenizer for llguidance; takes up to a second.

    Raises:
        ConfigError: It is a slow tokenizer, which llguidance does not know.
    """
    import llguidance.hf

    try:
        return llguidance.hf.from_tokenizer(hf_tokenizer, n_vocab=vocabulary_size, eos_token=sorted(end_ids))
    except ValueError as error:
        raise ConfigError(
            f"JSON needs a fast tokenizer of the LLM ({error}); expected a tokenizer.json in its folder."
        ) from error


def _grammar(schema: str) -> str:
    from llguidance import LLMatcher

    # Flexible whitespace would let a small model write nothing but blanks.
    return LLMatcher.grammar_from_json_schema(schema, overrides={"whitespace_flexible": False})


def _check_state(matcher: Any) -> None:
    assert not matcher.is_error(), f"llguidance: {matcher.get_error()}"
