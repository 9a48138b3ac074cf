"""Summarize a model from its configs: classes, parameter counts, dtypes, sources and licences.

Modules are built on the meta device, so no weights are read.
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
from nextgpt.model.model_dir import WEIGHTS_FILE
from nextgpt.model.output_projection import create_output_projection
from nextgpt.model.package_source import is_converted
from nextgpt.model.safetensors_io import open_safetensors

UNKNOWN = "unknown"
SYNTHESIS_COMPONENTS = ("transformer", "unet", "vae", "vocoder", "text_encoder", "condition_encoder")
"""Components of a diffusers folder with parameters; the last two are used in training only."""
DTYPES = {"F32": "float32", "F16": "float16", "BF16": "bfloat16", "F64": "float64"}
"""Names of torch by those of safetensors."""


@dataclass(frozen=True)
class ComponentSummary:
    """Summary of one component."""

    name: str
    class_name: str
    parameters: int
    trainable: int
    """Parameters that the alignment stages train."""
    dtype: str
    """Dtype of the weights on disk; of the config if there are no weights."""
    source: str
    """Folder or file of the model, or Hub repository."""
    licence: str
    """Licence in the model card."""
    towers: Mapping[str, int] = field(default_factory=dict)
    """Parameters per tower of an encoder."""
    quantizable: int = 0
    """Parameters of the LLM's linear layers except its head."""


@dataclass(frozen=True)
class _ComponentDir:
    """Folder of a frozen component, with its source and licence."""

    folder: Path
    source: str
    licence: str

    def summarize(self, name: str, module: nn.Module, weights: Path, config: dict[str, Any]) -> ComponentSummary:
        dtype = _dtype(sorted(weights.glob("*.safetensors"))) or _configured_dtype(config)
        return ComponentSummary(
            name, type(module).__name__, count_parameters(module), 0, dtype, self.source, self.licence
        )


def summarize_model(config: ModelConfig, model_dir: Path) -> list[ComponentSummary]:
    """Summarize all components, in the order of the data path.

    Raises:
        ModelError: The configs of a component are missing.
    """
    dirs = {name: _component_dir(name, source, model_dir) for name, source in config.component_sources.items()}
    llm = build_llm(dirs["llm"].folder)
    rows = [_encoder(dirs["encoder"]), *_llm_and_trained(config, dirs["llm"], llm, model_dir)]
    for modality in config.synthesizers:
        rows += _synthesizer(modality, dirs[modality])
    return rows


def component_sizes(components: Iterable[ComponentSummary]) -> dict[str, ComponentSize]:
    """Return the sizes of the components used in inference, by name, and of the trained weights."""
    sizes: dict[str, ComponentSize] = {}
    for row in components:
        owner, _, subcomponent = row.name.partition(".")
        if subcomponent in ("text_encoder", "condition_encoder"):  # used in training only
            continue
        is_trained = row.trainable > 0
        name = TRAINED if is_trained else owner
        size = sizes.get(name, ComponentSize(0))
        is_float32 = is_trained or subcomponent in ("vae", "vocoder")
        sizes[name] = ComponentSize(
            size.parameters + row.parameters,
            float32_parameters=size.float32_parameters + row.parameters * is_float32,
            quantizable_parameters=size.quantizable_parameters + row.quantizable,
        )
    return sizes


def count_parameters(module: nn.Module) -> int:
    """Count the parameters of a module; shared ones count once."""
    return sum(parameter.numel() for parameter in module.parameters())


def _llm_and_trained(
    config: ModelConfig, component_dir: _ComponentDir, llm: nn.Module, folder: Path
) -> Iterator[ComponentSummary]:
    """Yield the LLM and all trained weights before, in and after it."""
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
    summary = component_dir.summarize("llm", llm, component_dir.folder, llm.config.to_dict())
    yield replace(summary, quantizable=_num_quantizable(llm))
    if config.llm.lora is not None:
        yield trained("llm.lora", "LoRA", lora_parameters(llm, config.llm.lora))
    yield trained("llm.signals", type(signals).__name__, count_parameters(signals))
    for modality, output in outputs.items():
        yield trained(f"output_projection.{modality}", type(output).__name__, count_parameters(output))


def _num_quantizable(llm: nn.Module) -> int:
    head = llm.get_output_embeddings()
    return sum(m.weight.numel() for m in llm.modules() if isinstance(m, nn.Linear) and m is not head)


def lora_parameters(llm: nn.Module, lora: LoraConfig) -> int:
    """Count the parameters of the adapters that a LoRA config adds to an LLM."""
    layers = lora_target_layers(llm, lora).values()
    return sum(lora.rank * (layer.in_features + layer.out_features) for layer in layers)


def lora_target_layers(llm: nn.Module, lora: LoraConfig) -> dict[str, nn.Linear]:
    """Return the layers of an LLM that a LoRA config adapts, by name."""
    return {
        name: module
        for name, module in llm.named_modules()
        if isinstance(module, nn.Linear)
        and name.rpartition(".")[2] in lora.targets
        and _block_index(name) >= lora.first_layer
    }


def _block_index(name: str) -> int:
    """Return the index of the block that a layer of this name is in; 0 outside of blocks."""
    return next((int(piece) for piece in name.split(".") if piece.isdigit()), 0)


def _encoder(component_dir: _ComponentDir) -> ComponentSummary:
    from nextgpt.model.component_hash import TEXT_DIR
    from nextgpt.model.encoding import build_encoder
    from nextgpt.model.encoding.loading import has_text_encoder

    with torch.device("meta"):
        encoder = build_encoder(component_dir.folder)
        separate = build_encoder(component_dir.folder / TEXT_DIR) if has_text_encoder(component_dir.folder) else None
    summary = component_dir.summarize("encoder", encoder, component_dir.folder, {})
    towers = {name: count_parameters(tower) for name, tower in encoder.towers.items()}
    if separate is not None:
        towers["text"] = count_parameters(separate)
    return replace(summary, parameters=sum(towers.values()), towers=towers)


def build_llm(folder: Path) -> nn.Module:
    """Build the LLM of a folder on the meta device. Raises :class:`ModelError`."""
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True)
        with torch.device("meta"):
            return AutoModelForCausalLM.from_config(config)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(
            f"{folder} cannot be read ({error}); expected the config.json of a causal LM. Download the model again."
        ) from error


def _synthesizer(modality: str, component_dir: _ComponentDir) -> Iterator[ComponentSummary]:
    from nextgpt.model.synthesis.diffusers_io import read_index, read_json

    index = read_index(component_dir.folder)
    for name in SYNTHESIS_COMPONENTS:
        if name in index:
            config = read_json(component_dir.folder / name / "config.json")
            module = build_meta_component(component_dir.folder, name, index[name])
            yield component_dir.summarize(f"{modality}.{name}", module, component_dir.folder / name, config)


def build_meta_component(folder: Path, name: str, class_name: str) -> nn.Module:
    """Build a component of a diffusers folder on the meta device. Raises :class:`ModelError`."""
    from nextgpt.model.synthesis.diffusers_io import component_class, read_json

    config = read_json(folder / name / "config.json")
    with torch.device("meta"):
        return _from_config(component_class(class_name, where=folder), folder / name, config)


def _from_config(cls: Any, folder: Path, config: dict[str, Any]) -> nn.Module:
    """Build a transformers model, which names its config class, or a diffusers model."""
    config_class = getattr(cls, "config_class", None)
    return cls.from_config(config) if config_class is None else cls(config_class.from_pretrained(folder))


def component_config_dir(name: str, source: ComponentSource, model_dir: Path) -> Path:
    """Return the folder with a component's configs: in the model folder, or downloaded without weights."""
    from nextgpt.model.hub import download_snapshot, resolve_component_dir

    if source.hub is None or (source.package is not None and is_converted(source.package)):
        return resolve_component_dir(source, model_dir)
    local = model_dir / name
    return (
        local
        if local.is_dir()
        else download_snapshot(source.hub, source.revision, allow_patterns=("*.json", "README.md"))
    )


def _component_dir(name: str, source: ComponentSource, folder: Path) -> _ComponentDir:
    """Return a component's config folder with the source and licence of its model card."""
    config_dir = component_config_dir(name, source, folder)
    if source.hub is None:
        origin = _from_card("source", config_dir) or f"{source.path}/"
        return _ComponentDir(config_dir, origin, _licence(config_dir, folder))
    version = f"@{source.revision}" if source.revision else ""
    return _ComponentDir(config_dir, source.hub + version, _licence(config_dir))


def _licence(*folders: Path) -> str:
    """Return the licence of the first model card among ``folders`` that names one."""
    return next(filter(None, (_from_card("license", folder) for folder in folders)), UNKNOWN)


def _from_card(key: str, folder: Path) -> str | None:
    """Return the value of a key in the header of a folder's model card."""
    card = folder / "README.md"
    header = card.read_text(encoding="utf-8", errors="replace")[:4096] if card.is_file() else ""
    match = re.search(rf"\A---\s.*?^{key}:\s*(\S+)", header, flags=re.DOTALL | re.MULTILINE)
    return match[1].strip("\"'") if match else None


def _dtype(files: Iterable[Path]) -> str | None:
    """Return the most common dtype of the tensors in weights files, or ``None`` if there is no file."""
    counts: Counter[str] = Counter()
    for path in files:
        if path.is_file():
            with open_safetensors(path) as tensors:
                counts.update(tensors.get_slice(key).get_dtype() for key in sorted(tensors.keys()))
    return DTYPES.get(common := counts.most_common(1)[0][0], common) if counts else None


def _configured_dtype(config: dict[str, Any]) -> str:
    return str(config.get("dtype") or config.get("torch_dtype") or "float32").removeprefix("torch.")
