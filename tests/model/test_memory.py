"""A whole model in little memory: the same answers while parts take turns, in other types, quantised, spread."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import torch

from nextgpt.config import LoraConfig, read_config
from nextgpt.errors import ConfigError, ModelError
from nextgpt.message import Conversation, Sampling
from nextgpt.model.llm import lora
from nextgpt.model.llm.loading import load_language_model
from nextgpt.model.memory_plan import ComponentPlacement, MemoryPlan, default_plan
from nextgpt.model.nextgpt import NextGPT
from nextgpt.model.trained_weights import load_trained
from nextgpt.testing.model import write_tiny_model
from nextgpt.testing.scripted_model import tiny_image

NEEDS_BITSANDBYTES = pytest.mark.skipif(
    find_spec("bitsandbytes") is None, reason="needs bitsandbytes: pip install -e '.[quantized]'"
)
SAMPLING = Sampling(modalities=("image",), max_tokens=24, seed=4, num_inference_steps=2)
"""Nothing but pictures may be said, so every answer makes some."""


@pytest.fixture(scope="module")
def adapted(tmp_path_factory) -> Path:
    """A tiny model with LoRA that changes its answers."""
    home = tmp_path_factory.mktemp("models")
    model = NextGPT.from_pretrained(write_tiny_model(home / "tiny"))
    model.add_lora(LoraConfig(rank=2, alpha=4, dropout=0.0))
    torch.manual_seed(0)
    for name, parameter in model.llm.transformer.named_parameters():
        if "lora_" in name:
            torch.nn.init.normal_(parameter, std=0.3)
    model.save_pretrained(home / "adapted")
    return home / "adapted"


def assert_answers_alike(one: NextGPT, other: NextGPT) -> None:
    replies = [model.chat([tiny_image(), "draw"], SAMPLING) for model in (one, other)]
    assert [part.modality for part in replies[0].parts] == [part.modality for part in replies[1].parts]
    assert replies[0].text == replies[1].text
    for made, same in zip(replies[0].images, replies[1].images, strict=True):
        # Sums may be taken in another order where tensors lie elsewhere in memory: one level of 8 bits.
        pixels = (np.asarray(medium.image, dtype=np.float32) for medium in (made, same))
        np.testing.assert_allclose(*pixels, rtol=0, atol=1.5)


def hidden(model: NextGPT) -> torch.Tensor:
    llm = model.components["llm"].get()
    with torch.no_grad():
        embeddings = llm.embed_ids([1, 2, llm.signals.vocabulary.edit])[None]
        return llm.hidden_states(embeddings, torch.ones(1, 3, dtype=torch.bool), torch.arange(3)[None]).float()


def test_a_model_whose_parts_all_take_turns_answers_the_same_with_one_in_memory(adapted):
    config = read_config(adapted)
    plan = default_plan(config.component_sources)
    away = {name: ComponentPlacement(offload_to="none" if name == "trained" else "disk") for name in plan.placements}
    model = NextGPT.from_config(config, adapted, MemoryPlan(away))
    load_trained(model, adapted / "nextgpt.safetensors")
    assert_answers_alike(model, NextGPT.from_pretrained(adapted))
    assert model.chat("draw", SAMPLING).parts is not None  # a second turn: everything comes back
    assert sum(part.is_loaded for part in model.components.values()) == 1
    torch.testing.assert_close(hidden(model), hidden(NextGPT.from_pretrained(adapted)))  # adapters are merged again
    model.synthesizer("image")
    assert model.llm.transformer is None


def test_every_part_may_have_its_own_type(adapted):
    model = NextGPT.from_pretrained(adapted, dtype={"llm": torch.bfloat16, "image": "bfloat16"})
    assert model.llm.transformer.dtype == torch.bfloat16
    assert next(model.encoder.parameters()).dtype == torch.float32
    assert model.synthesizer("image").components.denoiser.dtype == torch.bfloat16
    assert model.synthesizer("image").components.autoencoder.autoencoder.dtype == torch.float32
    assert model.chat([tiny_image(), "draw"], SAMPLING).parts is not None


def test_a_budget_is_kept_by_a_tiny_model_and_is_refused_with_settings_of_single_parts(adapted):
    assert_answers_alike(NextGPT.from_pretrained(adapted, max_memory="2GB"), NextGPT.from_pretrained(adapted))
    with pytest.raises(ModelError, match=r"needs at least 0\.5 GB"):
        NextGPT.from_pretrained(adapted, max_memory="100MB")
    with pytest.raises(ConfigError, match="Give one or the other"):
        NextGPT.from_pretrained(adapted, max_memory="2GB", dtype={"llm": "int4"})


@NEEDS_BITSANDBYTES
@torch.no_grad()
@pytest.mark.parametrize(("dtype", "error"), [("int8", 0.1), ("int4", 0.6)])
def test_a_quantised_llm_says_nearly_the_same_and_lora_works_beside_it(adapted, tmp_path, dtype, error):
    _write_llm(tmp_path / "llm", adapted, width=64, layers=2)
    name = "model.layers.0.self_attn.q_proj"
    adapters = {f"{name}.A": torch.randn(2, 64) * 0.3, f"{name}.B": torch.randn(64, 2) * 0.3}
    exact, ours = (
        load_language_model(tmp_path / "llm", template="nano", soft_tokens=1, dtype=kind) for kind in ("float32", dtype)
    )
    assert not ours.transformer.model.layers[0].self_attn.q_proj.weight.is_floating_point()
    layers = [llm.transformer.get_submodule(name) for llm in (exact, ours)]
    heard = torch.randn(1, 5, 64)
    without = layers[1](heard.bfloat16()).float()
    for llm in (exact, ours):
        llm.merge_lora(adapters, alpha=4, rank=2)
    expected, said = layers[0](heard), layers[1](heard.bfloat16()).float()
    assert (said - expected).norm() < error * expected.norm()
    assert (said - without).norm() > 0.3 * expected.norm()
    prompt = ours.build_prompt(Conversation().with_message("Hello"))
    assert ours(ours.embed([prompt], torch.zeros(0, 1, 64))).hidden.isfinite().all()


def test_quantising_without_its_library_says_what_to_install(adapted, monkeypatch):
    from nextgpt.model.llm import loading

    monkeypatch.setattr(loading, "find_spec", lambda name: None)
    with pytest.raises(ModelError, match=r"int4 needs bitsandbytes.*pip install 'nextgpt\[quantized\]'"):
        NextGPT.from_pretrained(adapted, dtype={"llm": "int4"})


def test_an_llm_that_accelerate_spreads_answers_the_same(adapted):
    model = NextGPT.from_pretrained(adapted, device={"llm": "auto"})
    torch.testing.assert_close(hidden(model), hidden(NextGPT.from_pretrained(adapted)))
    assert_answers_alike(model, NextGPT.from_pretrained(adapted))


@torch.no_grad()
def test_an_adapter_beside_a_layer_equals_a_merged_one():
    torch.manual_seed(0)
    merged, beside, x = torch.nn.Linear(6, 4), torch.nn.Linear(6, 4), torch.randn(3, 6)
    beside.load_state_dict(merged.state_dict())
    adapters = {"0.A": torch.randn(2, 6), "0.B": torch.randn(4, 2)}
    lora._add_output_hook(beside, adapters["0.A"], adapters["0.B"], 0.5)
    lora.merge(torch.nn.Sequential(merged), adapters, 0.5)
    torch.testing.assert_close(beside(x), merged(x))


MEASURE = """
import sys, torch
from pathlib import Path
from nextgpt.model.encoding import load_encoder
from nextgpt.model.llm.loading import load_language_model
def peak():
    status = Path("/proc/self/status").read_text()
    return {key: int(line.split()[1]) * 1024 for line in status.splitlines()
            for key in ("VmHWM", "VmRSS") if line.startswith(key)}
kind, folder, dtype = sys.argv[1], Path(sys.argv[2]), getattr(torch, sys.argv[3])
warm = Path(sys.argv[4])
def load(folder):
    if kind == "encoder":
        return load_encoder(folder, dtype=dtype)
    return load_language_model(folder, template="nano", soft_tokens=1, dtype=dtype)
load(warm)
Path("/proc/self/clear_refs").write_text("5")
before = peak()["VmRSS"]
loaded = load(folder)
modules = loaded if kind == "encoder" else loaded.transformer
size = sum(p.nbytes for p in modules.parameters())
print(size, peak()["VmHWM"] - before)
"""


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["encoder", "llm"])
def test_loading_never_holds_two_copies_of_the_weights(kind, adapted, tmp_path):
    write = {"encoder": _write_encoder, "llm": _write_llm}[kind]
    write(tmp_path / "large", adapted)
    arguments = [kind, str(tmp_path / "large"), "float32", str(adapted / kind)]
    done = subprocess.run([sys.executable, "-c", MEASURE, *arguments], capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    size, grown = (int(number) for number in done.stdout.split())
    assert size > 90e6
    assert grown < 1.4 * size, f"{grown / size:.2f} times the weights"


def _write_encoder(folder: Path, adapted: Path) -> None:
    from nextgpt.model.encoding import EncoderConfig, ImageBind, VisionTower, save_encoder

    tower = VisionTower(width=512, blocks=8, heads=8)
    save_encoder(ImageBind(EncoderConfig(width=64, vision=tower, audio=None, text=None)), folder)


def _write_llm(folder: Path, adapted: Path, *, width: int = 512, layers: int = 7) -> None:
    import shutil

    from transformers import AutoConfig, LlamaForCausalLM

    config = AutoConfig.from_pretrained(adapted / "llm")
    config.hidden_size, config.intermediate_size, config.num_hidden_layers = width, 4 * width, layers
    config.head_dim = width // config.num_attention_heads
    LlamaForCausalLM(config).save_pretrained(folder)
    for path in (adapted / "llm").glob("token*"):
        shutil.copy(path, folder / path.name)
