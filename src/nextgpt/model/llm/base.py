"""Interface of the transformer inside a language model."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable


@runtime_checkable
class CausalLM(Protocol):
    """A causal LM of transformers, or :class:`.llama.Llama`."""

    config: Any
    generation_config: Any
    """Has ``eos_token_id``; None if the folder has no such file."""
    base_model: Any
    """The model without its head: embeddings (B, T, D) to hidden states."""

    def get_input_embeddings(self) -> Any:
        """Return the module that embeds token ids."""
        ...

    def get_output_embeddings(self) -> Any:
        """Return the head, hidden states to logits."""
        ...
