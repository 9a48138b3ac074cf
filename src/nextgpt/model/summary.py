"""What a model is made of, told from its configs alone: no weights are needed, and none are read.

Modules are built on the meta device, where they have shapes but no content.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from nextgpt.config import ComponentSource, LoraConfig, ModelConfig
from nextgpt.errors import ModelError
from nextgpt.model.input_projection import create_input_projection
from nextgpt.model.llm.signal_tokens import SignalEmbeddings, SignalVocabulary
from nextgpt.model.memory_plan import TRAINED, ComponentSize
from nextgpt.model.output_projection import create_output_projection
from nextgpt.model.trained_weights import WEIGHTS_FILE

UNKNOWN = "unknown"
SYNTHESIS_COMPONENTS = ("transformer", "unet", "vae", "vocoder", "text_encoder", "condition_encoder")
"""Parts of a diffusers folder that hold parameters; the last two are used to train, never to answer."""
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
"""How safetensors writes them, and torch."""


@dataclass(frozen=True)
class ComponentSummary:
    """One part of a model."""

    name: str
    class_name: str
    parameters: int
    trainable: int
    """Parameters that the alignments train."""
    dtype: str
    """Of the weights on disk, or as the config says where there are none."""
    source: str
    """A folder or file of the model, or a repository of the Hub."""
    licence: str
    """As the model card says."""
    towers: Mapping[str, int] = field(default_factory=dict)
    """Parameters of each tower of an encoder."""
    quantizable: int = 0
    """Of an LLM, those in linear layers other than its head."""


@dataclass(frozen=True)
class _ComponentDir:
    """A frozen part's folder, and what is said of it."""

    folder: Path
    source: str
    licence: str

    def summarize(
        self, name: str, module: nn.Module, weights: Path, config: dict[str, Any]
    ) -> ComponentSummary:
        dtype = _dtype(sorted(weights.glob("*.safetensors"))) or _configured_dtype(config)
        return ComponentSummary(
            name, type(module).__name__, count_parameters(module), 0, dtype, self.source, self.licence
        )


def summarize_model(config: ModelConfig, model_dir: Path) -> list[ComponentSummary]:
    """Describe every part, in the order in which data pass them; ``folder`` is the model's own.

    Raises:
        ModelError: The configs of a part are missing.
    """
    homes = {
        name: _component_dir(name, source, model_dir) for name, source in config.component_sources.items()
    }
    llm = build_llm(homes["llm"].folder)
    rows = [_encoder(homes["encoder"]), *_trained_around_llm(config, homes["llm"], llm, model_dir)]
    for modality in config.synthesizers:
        rows += _synthesizer(modality, homes[modality])
    return rows


def component_sizes(components: Iterable[ComponentSummary]) -> dict[str, ComponentSize]:
    """What a plan must know of the parts that answer, by their names in ``config.json``, and of what was trained."""
    sizes: dict[str, ComponentSize] = {}
    for row in components:
        part, _, of_synthesizer = row.name.partition(".")
        if of_synthesizer in ("text_encoder", "condition_encoder"):  # answers do not need them
            continue
        is_trained = row.trainable > 0
        name = TRAINED if is_trained else part
        size = sizes.get(name, ComponentSize(0))
        is_wide = is_trained or of_synthesizer in ("vae", "vocoder")
        sizes[name] = ComponentSize(
            size.parameters + row.parameters,
            float32_parameters=size.float32_parameters + row.parameters * is_wide,
            quantizable_parameters=size.quantizable_parameters + row.quantizable,
        )
    return sizes


def count_parameters(module: nn.Module) -> int:
    """Parameters of a module; shared ones count once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _trained_around_llm(
    config: ModelConfig, home: _ComponentDir, llm: nn.Module, folder: Path
) -> Iterator[ComponentSummary]:
    """The LLM with everything that this project trains before, in and after it."""
    weights = folder / WEIGHTS_FILE
    dtype, licence = _dtype([weights]) or "float32", _licence(folder)

    def trained(name: str, class_name: str, parameters: int) -> ComponentSummary:
        return ComponentSummary(name, class_name, parameters, parameters, dtype, WEIGHTS_FILE, licence)

    vocabulary_size, width = llm.get_input_embeddings().weight.shape
    with torch.device("meta"):
        projection = create_input_projection(config.input_projection, width)
        signals = SignalEmbeddings(SignalVocabulary(vocabulary_size), width)
        outputs = {
            modality: create_output_projection(row.output_projection, width)
            for modality, row in config.synthesizers.items()
        }
    yield trained("input_projection", type(projection).__name__, count_parameters(projection))
    row = home.summarize("llm", llm, home.folder, llm.config.to_dict())
    yield replace(row, quantizable=_num_quantizable(llm))
    if config.llm.lora is not None:
        yield trained("llm.lora", "LoRA", lora_parameters(llm, config.llm.lora))
    yield trained("llm.signals", type(signals).__name__, count_parameters(signals))
    for modality, output in outputs.items():
        yield trained(f"output_projection.{modality}", type(output).__name__, count_parameters(output))


def _num_quantizable(llm: nn.Module) -> int:
    head = llm.get_output_embeddings()
    return sum(m.weight.numel() for m in llm.modules() if isinstance(m, nn.Linear) and m is not head)


def lora_parameters(llm: nn.Module, lora: LoraConfig) -> int:
    """Parameters of the adapters that a LoRA config gives to an LLM."""
    layers = lora_target_layers(llm, lora).values()
    return sum(lora.rank * (layer.in_features + layer.out_features) for layer in layers)


def lora_target_layers(llm: nn.Module, lora: LoraConfig) -> dict[str, nn.Linear]:
    """The layers of an LLM that a LoRA config adapts, by name."""
    return {
        name: module
        for name, module in llm.named_modules()
        if isinstance(module, nn.Linear) and name.rpartition(".")[2] in lora.targets
    }


def _encoder(home: _ComponentDir) -> ComponentSummary:
    from nextgpt.model.encoding import build_encoder

    with torch.device("meta"):
        encoder = build_encoder(home.folder)
    row = home.summarize("encoder", encoder, home.folder, {})
    return replace(row, towers={name: count_parameters(tower) for name, tower in encoder.towers.items()})


def build_llm(folder: Path) -> nn.Module:
    """The LLM of a folder without content, by its config alone. Raises :class:`ModelError`."""
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder} cannot be read ({error}); expected the config.json of a causal LM. Fetch the model again."
        ) from error


def _synthesizer(modality: str, home: _ComponentDir) -> Iterator[ComponentSummary]:
    from nextgpt.model.synthesis.diffusers_io import read_index, read_json

    index = read_index(home.folder)
    for name in SYNTHESIS_COMPONENTS:
        if name in index:
            config = read_json(home.folder / name / "config.json")
            module = build_meta_component(home.folder, name, index[name])
            yield home.summarize(f"{modality}.{name}", module, home.folder / name, config)


def build_meta_component(folder: Path, name: str, class_name: str) -> nn.Module:
    """A part of a diffusers folder without content, by its config alone. Raises :class:`ModelError`."""
    from nextgpt.model.synthesis.diffusers_io import component_class, read_json

    config = read_json(folder / name / "config.json")
    with torch.device("meta"):
        return _from_config(component_class(class_name, where=folder), folder / name, config)


def _from_config(kind: Any, folder: Path, config: dict[str, Any]) -> nn.Module:
    """Build a model of transformers, which names the class of its config, or one of diffusers."""
    config_class = getattr(kind, "config_class", None)
    return kind.from_config(config) if config_class is None else kind(config_class.from_pretrained(folder))


def component_config_dir(name: str, source: ComponentSource, model_dir: Path) -> Path:
    """Where a part's configs are: in the model's folder, as presets have them, or fetched from the Hub alone."""
    from nextgpt.model.hub import download_snapshot, resolve_component_dir

    if source.hub is None:
        return resolve_component_dir(source, model_dir)
    carried = model_dir / name
    return (
        carried
        if carried.is_dir()
        else download_snapshot(source.hub, source.revision, allow_patterns=("*.json", "README.md"))
    )


def _component_dir(name: str, source: ComponentSource, folder: Path) -> _ComponentDir:
    """A part's configs, and what its card says."""
    part = component_config_dir(name, source, folder)
    if source.hub is None:
        return _ComponentDir(part, _from_card("source", part) or f"{source.path}/", _licence(part, folder))
    version = f"@{source.revision}" if source.revision else ""
    return _ComponentDir(part, source.hub + version, _licence(part))


def _licence(*folders: Path) -> str:
    """The licence that the first model card among ``folders`` names in its header."""
    return next(filter(None, (_from_card("license", folder) for folder in folders)), UNKNOWN)


def _from_card(key: str, folder: Path) -> str | None:
    """What the header of a folder's model card says under a key."""
    card = folder / "README.md"
    header = card.read_text(encoding="utf-8", errors="replace")[:4096] if card.is_file() else ""
    found = re.search(rf"\A---\s.*?^{key}:\s*(\S+)", header, flags=re.DOTALL | re.MULTILINE)
    return found[1].strip("\"'") if found else None


def _dtype(files: Iterable[Path]) -> str | None:
    """The commonest type among the tensors of weights files, by their headers; ``None`` where there is no file."""
    from safetensors import SafetensorError, safe_open

    found: Counter[str] = Counter()
    for path in files:
        if path.is_file():
            try:
                with safe_open(path, framework="pt") as tensors:
                    found.update(tensors.get_slice(key).get_dtype() for key in tensors.keys())
            except (SafetensorError, OSError) as error:
                raise ModelError(
                    f"{path} is damaged ({error}); expected a whole safetensors file. Fetch the model again."
                ) from error
    return DTYPES.get(commonest := found.most_common(1)[0][0], commonest) if found else None


def _configured_dtype(config: dict[str, Any]) -> str:
    return str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")
