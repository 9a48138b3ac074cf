"""Any causal LM of transformers: the same tests for each family, none of which our code knows by name."""

from __future__ import annotations

import pytest
import torch
import transformers

from nextgpt.message import Audio, Conversation, Sampling
from nextgpt.modality import MODALITIES
from nextgpt.model.llm.generation import GenerationRequest, generate
from nextgpt.model.llm.language_model import LanguageModel
from nextgpt.model.llm.loading import load_language_model, save_language_model
from nextgpt.model.llm.output import MediumSegment
from nextgpt.testing.tokenizer import tiny_tokenizer

FAMILIES = ("Llama", "Qwen3", "Mistral", "Gemma", "Phi", "Phi3", "Gemma3Text")
CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SIZES = {
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 256,
    "initializer_range": 0.3,
    "bos_token_id": None,
}


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request, tmp_path_factory):
    """A tiny LLM of the family as its folder, with a chat template of its own."""
    home = tmp_path_factory.mktemp("llm") / request.param
    tokenizer = tiny_tokenizer()
    tokenizer.chat_template = CHATML
    ids = {"eos_token_id": tokenizer.eos_token_id, "pad_token_id": tokenizer.pad_token_id}
    config = getattr(transformers, f"{request.param}Config")(vocab_size=len(tokenizer), **ids, **SIZES)
    torch.manual_seed(0)
    transformers.AutoModelForCausalLM.from_config(config).save_pretrained(home)
    tokenizer.save_pretrained(home)
    return home


@pytest.fixture
def llm(folder) -> LanguageModel:
    torch.manual_seed(0)
    return load_language_model(folder, template="chat_template", soft_tokens=2)


@torch.no_grad()
def test_words_heard_as_embeddings_are_words_heard_as_ids(llm):
    prompt = llm.build_prompt(Conversation().with_message("What is this?"))
    thoughts = llm(llm.embed_prompts([prompt], torch.zeros(0, 2, llm.hidden_size)))
    reference = llm.transformer(input_ids=torch.tensor([prompt.token_ids])).logits
    torch.testing.assert_close(thoughts.logits[..., : llm.vocabulary_size], reference, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_soft_tokens_are_heard(llm):
    import numpy as np

    prompt = llm.build_prompt(Conversation().with_message([Audio(np.zeros((1, 9), np.float32), 16000), "hm"]))
    one, other = (
        llm(llm.embed_prompts([prompt], torch.randn(1, 2, llm.hidden_size))).hidden_states[0, -1] for _ in range(2)
    )
    assert not torch.allclose(one, other)


@torch.no_grad()
@pytest.mark.parametrize("modality", MODALITIES)
def test_a_signal_token_is_spoken_as_a_whole_run(llm, modality):
    run = llm.signals.vocabulary.span_ids(modality)
    prompt = llm.build_prompt(Conversation().with_message("Draw"))
    heard = llm(llm.embed_prompts([prompt], torch.zeros(0, 2, llm.hidden_size))).hidden_states[0, -1]
    llm.signals.output[run[0] - llm.vocabulary_size] = 100 * torch.sign(heard)
    request = GenerationRequest(prompt, Sampling(max_tokens=len(run)), modalities=("text", modality))
    spoken = [event for _, event in generate(llm, [request], torch.zeros(0, 2, llm.hidden_size))]
    media = [event for event in spoken if isinstance(event, MediumSegment)]
    assert media and media[0].modality == modality
    assert media[0].hidden_states.shape == (MODALITIES[modality].signal_count, llm.hidden_size)


def test_it_comes_back_bit_by_bit(llm, tmp_path):
    save_language_model(llm, tmp_path)
    again = load_language_model(tmp_path, template="chat_template", soft_tokens=2)
    ours, theirs = llm.transformer.state_dict(), again.transformer.state_dict()
    assert all(torch.equal(tensor, theirs[name]) for name, tensor in ours.items())
    assert (
        again.build_prompt(Conversation().with_message("Hi")).token_ids
        == llm.build_prompt(Conversation().with_message("Hi")).token_ids
    )
