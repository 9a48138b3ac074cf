"""Convert a published NExT-GPT checkpoint to a model folder; an unknown tensor is an error."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from nextgpt.config import (
    ComponentSource,
    GroupingConfig,
    InputProjectionConfig,
    LanguageModelConfig,
    LoraConfig,
    ModelConfig,
    OutputProjectionConfig,
    SynthesizerConfig,
    write_config,
)
from nextgpt.convert.checkpoint_layouts import (
    INPUT_ROWS,
    OUTPUT_ROWS,
    SIGNAL_ORDER,
    Checkpoint,
    CheckpointLayout,
    read_checkpoint,
)
from nextgpt.convert.pickle_folder import OBSOLETE_BUFFER, safetensors_name, write_index
from nextgpt.convert.weights_io import INDEXES, atomic_directory, save_tensors, shards, size_bytes
from nextgpt.errors import ModelError, WeightsError
from nextgpt.modality import MODALITIES
from nextgpt.model.encoding.config import EncoderConfig
from nextgpt.model.encoding.loading import read_encoder_config
from nextgpt.model.input_projection import create_input_projection
from nextgpt.model.llm.signal_tokens import SignalVocabulary
from nextgpt.model.model_dir import WEIGHTS_FILE
from nextgpt.model.output_projection import create_output_projection
from nextgpt.model.safetensors_io import check_state_dict

EMBEDDING, HEAD = "model.embed_tokens.weight", "lm_head.weight"
"""Names of LLaMA's embedding and head."""


@dataclass(frozen=True)
class Converted:
    """Result of a conversion."""

    folder: Path
    layout: str
    placed: int
    """Tensors of the checkpoint, all of them."""
    missing_parts: tuple[str, ...]
    """Synthesizers without a folder; they are downloaded from the Hub on first use."""
    untrained: tuple[str, ...]
    """Modalities without an output projection in the checkpoint; the model does not generate them."""
    ignored: tuple[str, ...]
    """Keys of the checkpoint that were not read: those of its copy of ImageBind, and buffers of old transformers."""


def convert_nextgpt(
    source: Path, *, llm: Path, imagebind: Path, out: Path, synthesizers: Mapping[str, Path]
) -> Converted:
    """Write a model folder from a published checkpoint and the frozen components that it was trained with.

    The LLM is copied with the checkpoint's embedding and head; the config refers to the other components' folders.

    Args:
        source: ``pytorch_model.pt`` of 2023, or a folder of the official code of 2024, merged or not.
        llm: LLM that it was trained with; for a merged folder, only its config and tokenizer are read.
        synthesizers: Diffusers folders by modality; missing ones come from the Hub.

    Raises:
        WeightsError: Tensors are unknown, missing, or do not fit the LLM or the encoder; all are listed.
        ModelError: A folder is missing or holds another kind of model, or ``out`` cannot be written.
    """
    checkpoint = read_checkpoint(source)
    sizes = _llm_sizes(llm)
    rows = _rows(checkpoint, sizes)
    config = _config(checkpoint, imagebind, synthesizers)
    trained = {name: tensor for name, tensor in checkpoint.tensors.items() if name not in (INPUT_ROWS, OUTPUT_ROWS)}
    check_state_dict(source, trained, _expected(config, llm))
    if checkpoint.llm is not None:
        check_state_dict(source, checkpoint.llm, _expected_llm(llm))
    with atomic_directory(
        out, size_bytes=size_bytes(llm) + sum(tensor.nbytes for tensor in trained.values())
    ) as scratch:
        _write_llm(checkpoint, llm, scratch / "llm", rows, sizes["vocab_size"])
        write_config(config, scratch)
        save_tensors(trained | _signals(rows, sizes["vocab_size"], checkpoint.layout), scratch / WEIGHTS_FILE)
    missing = tuple(name for name in config.synthesizers if name not in synthesizers)
    untrained = tuple(name for name in MODALITIES if name not in config.synthesizers)
    return Converted(out, checkpoint.layout.name, len(checkpoint.tensors), missing, untrained, checkpoint.ignored)


def _llm_sizes(folder: Path) -> dict[str, int]:
    path = folder / "config.json"
    if not path.is_file():
        raise ModelError(f"{folder} has no config.json; expected a LLaMA saved by transformers. Check --llm.")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
        return {name: int(values[name]) for name in ("vocab_size", "hidden_size")}
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{path} is no LLM config ({error!r}); expected the config of a LLaMA. Check --llm.") from None


def _rows(checkpoint: Checkpoint, sizes: Mapping[str, int]) -> dict[str, Tensor]:
    """Return the LLM's embedding and head, checked against the LLM and the new tokens."""
    expected = (sizes["vocab_size"] + len(checkpoint.layout.tokens), sizes["hidden_size"])
    rows = {name: checkpoint.tensors[name] for name in (INPUT_ROWS, OUTPUT_ROWS) if name in checkpoint.tensors}
    if OUTPUT_ROWS not in rows and checkpoint.layout.name == "2024":
        raise WeightsError(
            f"{checkpoint.source} has no lm_head.weight: before May 2025 stages 1 and 2 of the official code did not "
            "save it, so the probabilities of signal tokens are unknown; expected it in one of the files, as later "
            "versions and the third stage (non_lora_trainables.bin) save it. Take the output of one of those."
        )
    faults = [f"{name} is missing" for name in (INPUT_ROWS, OUTPUT_ROWS) if name not in rows]
    faults += [f"{name} is {tuple(tensor.shape)}" for name, tensor in rows.items() if tensor.shape != expected]
    if faults:
        raise WeightsError(
            f"{checkpoint.source}: {', '.join(faults)}; expected {expected}, that is the vocabulary of the LLM with "
            f"{len(checkpoint.layout.tokens)} new tokens, and its width. Name the LLM that it was trained with."
        )
    return rows


def _config(checkpoint: Checkpoint, imagebind: Path, synthesizers: Mapping[str, Path]) -> ModelConfig:
    layout, tensors = checkpoint.layout, checkpoint.tensors
    return ModelConfig(
        name=checkpoint.source.stem,
        quirks="nextgpt_2023" if layout.name == "2023" else "nextgpt_2024",
        encoder=ComponentSource(path=str(imagebind.resolve())),
        llm=LanguageModelConfig(source=ComponentSource(path="llm"), template=layout.template, lora=checkpoint.lora),
        input_projection=_input_projection(checkpoint, _encoder_width(imagebind, layout)),
        synthesizers={
            modality: SynthesizerConfig(
                source=_synthesizer(modality, synthesizers, layout),
                output_projection=_output_projection(modality, checkpoint),
            )
            for modality in MODALITIES
            if layout.name == "2023" or any(name.startswith(f"output_projections.{modality}.") for name in tensors)
        },
    )


def _input_projection(checkpoint: Checkpoint, encoder_width: int) -> InputProjectionConfig:
    """Return kind and sizes; those of a grouping projection are read from its tensors and checked later."""
    if checkpoint.input_kind != "grouping":
        return InputProjectionConfig(kind=checkpoint.input_kind, encoder_width=encoder_width)
    prefix = "input_projection.networks.shared."
    own = {name.removeprefix(prefix): t for name, t in checkpoint.tensors.items() if name.startswith(prefix)}
    counts = [own[name].shape[1] for stage in (0, 1) if (name := f"stages.{stage}.tokens") in own]
    if len(counts) != 2:
        raise WeightsError(
            f"{checkpoint.source} has the group tokens of {len(counts)} stages; expected those of 2. Fetch it again."
        )
    homes = ("stages.0.blocks.", "stages.1.blocks.", "blocks.")
    blocks = tuple(
        len({name.removeprefix(home).split(".")[0] for name in own if name.startswith(home)}) for home in homes
    )
    sizes = GroupingConfig(width=own["stages.0.tokens"].shape[-1], blocks=blocks, groups=(counts[0],))
    return InputProjectionConfig(kind="grouping", encoder_width=encoder_width, soft_tokens=counts[1], grouping=sizes)


def _encoder_width(folder: Path, layout: CheckpointLayout) -> int:
    """Return the width of an encoder with the features that the checkpoint was trained on."""
    config = read_encoder_config(folder)
    if not isinstance(config, EncoderConfig):
        raise ModelError(
            f"The encoder in {folder} is of the kind {config.kind}; {layout.name} was trained on ImageBind. Name "
            "ImageBind's folder."
        )
    if config.features != layout.features:
        option = " with --patches" if layout.features == "patches" else " without --patches"
        raise ModelError(
            f"The encoder in {folder} gives {config.features}; a checkpoint of {layout.name} was trained on "
            f"{layout.features}. Convert ImageBind{option}."
        )
    return config.width


def _synthesizer(modality: str, folders: Mapping[str, Path], layout: CheckpointLayout) -> ComponentSource:
    """Return the named folder, or the Hub repository of the layout's preset."""
    from nextgpt.presets import preset

    if modality not in folders:
        sources = {download.part: download.source for download in preset(layout.preset).downloads}
        return ComponentSource(hub=sources[modality].removeprefix("https://huggingface.co/"))
    if not folders[modality].is_dir():
        raise ModelError(f"{folders[modality]} is no folder; expected a synthesizer's. Check --{modality}.")
    return ComponentSource(path=str(folders[modality].resolve()))


def _output_projection(modality: str, checkpoint: Checkpoint) -> OutputProjectionConfig:
    """Read a projection's sizes from its tensors; consistency is checked afterwards."""
    prefix = f"output_projections.{modality}."
    own = {name.removeprefix(prefix): t for name, t in checkpoint.tensors.items() if name.startswith(prefix)}
    needed = {"query_embs": 3, "model.weight": 2, "tfm.encoder.layers.0.linear1.weight": 2}
    for name, dimensions in needed.items():
        if name not in own or own[name].ndim != dimensions:
            raise WeightsError(
                f"{checkpoint.source} has no {name} of the {modality} projection; expected one of {dimensions} "
                "dimensions. Fetch the checkpoint again."
            )
    return OutputProjectionConfig(
        queries=own["query_embs"].shape[1],
        condition_width=len(own["model.weight"]),
        width=own["query_embs"].shape[2],
        layers=len({name.split(".")[3] for name in own if name.startswith("tfm.encoder.layers.")}),
        feedforward_width=len(own["tfm.encoder.layers.0.linear1.weight"]),
    )


def _expected(config: ModelConfig, llm: Path) -> dict[str, Tensor]:
    """Return all trained tensors of such a model except signal-token rows, on the meta device."""
    from nextgpt.model.summary import build_llm

    transformer = build_llm(llm)
    width = transformer.get_input_embeddings().weight.shape[1]
    with torch.device("meta"):
        modules: dict[str, nn.Module] = {
            "input_projection": create_input_projection(config.input_projection, width),
            **{
                f"output_projections.{modality}": create_output_projection(row.output_projection, width)
                for modality, row in config.synthesizers.items()
            },
        }
    states = {f"{name}.{key}": t for name, module in modules.items() for key, t in module.state_dict().items()}
    return states | (_expected_lora(transformer, config.llm.lora) if config.llm.lora else {})


def _expected_llm(llm: Path) -> dict[str, Tensor]:
    """Return all tensors of the LLM except its embedding and head, on the meta device."""
    from nextgpt.model.summary import build_llm

    return {name: t for name, t in build_llm(llm).state_dict().items() if name not in (EMBEDDING, HEAD)}


def _expected_lora(transformer: nn.Module, lora: LoraConfig) -> dict[str, Tensor]:
    from nextgpt.model.summary import lora_target_layers

    return {
        f"lora.{name}.{matrix}": torch.empty(shape, device="meta")
        for name, layer in lora_target_layers(transformer, lora).items()
        for matrix, shape in (("A", (lora.rank, layer.in_features)), ("B", (layer.out_features, lora.rank)))
    }


def _signals(rows: Mapping[str, Tensor], vocabulary_size: int, layout: CheckpointLayout) -> dict[str, Tensor]:
    """Return the signal-token rows in our order; ``[EDIT]``, which no release has, gets the mean of all rows."""
    first = vocabulary_size + len(layout.ordinary_tokens)
    ids = SignalVocabulary(first)
    signals = {}
    for name, short in ((INPUT_ROWS, "input"), (OUTPUT_ROWS, "output")):
        held = rows[name]
        mean = held[:vocabulary_size].float().mean(dim=0).to(held.dtype)
        ours = mean.expand(len(ids), -1).clone()
        start = first
        for modality in SIGNAL_ORDER:
            run = ids.span_ids(modality.name)
            ours[run[0] - first : run[-1] + 1 - first] = held[start : start + modality.signal_count]
            start += modality.signal_count
        signals[f"signals.{short}"] = ours
    return signals


def _write_llm(
    checkpoint: Checkpoint, llm: Path, folder: Path, rows: Mapping[str, Tensor], vocabulary_size: int
) -> None:
    """Write the LLM with the checkpoint's embedding and head, one file in memory at a time."""
    folder.mkdir()
    layout, source = checkpoint.layout, llm if checkpoint.llm is None else checkpoint.source
    count = vocabulary_size + len(layout.ordinary_tokens)
    replaced = {EMBEDDING: rows[INPUT_ROWS][:count], HEAD: rows[OUTPUT_ROWS][:count]}
    weight_map: dict[str, str] = {}
    for file, held in shards(source):
        kept = {
            name: replaced[name].to(tensor.dtype) if name in replaced else tensor
            for name, tensor in held.items()
            if not name.endswith(OBSOLETE_BUFFER) and (checkpoint.llm is None or name in (*checkpoint.llm, *replaced))
        }
        if kept:
            save_tensors(kept, folder / safetensors_name(Path(file)))
        weight_map |= dict.fromkeys(kept, file)
    if absent := replaced.keys() - weight_map.keys():
        raise WeightsError(f"{source} has no {', '.join(sorted(absent))}; expected a LLaMA's names. Check --llm.")
    if len(set(weight_map.values())) > 1:
        write_index(weight_map, folder)
    for path in llm.iterdir():
        if path.is_file() and path.suffix in (".json", ".model", ".txt") and path.name not in INDEXES:
            shutil.copy(path, folder / path.name)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8")) | {"vocab_size": count}
    (folder / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
    _add_tokens(folder, layout.ordinary_tokens, vocabulary_size)


def _add_tokens(folder: Path, tokens: tuple[str, ...], vocabulary_size: int) -> None:
    """Add the new tokens except the signal tokens to the tokenizer."""
    if not tokens:
        return
    from tokenizers import AddedToken

    from nextgpt.model.llm.loading import load_tokenizer

    tokenizer = load_tokenizer(folder)
    tokenizer.add_tokens([AddedToken(token, special=True, normalized=False) for token in tokens])
    ids = tokenizer.convert_tokens_to_ids(list(tokens))
    if ids != list(range(vocabulary_size, vocabulary_size + len(tokens))):
        raise ModelError(
            f"The tokenizer gives {', '.join(tokens)} the ids {ids}; expected them from {vocabulary_size} on, where "
            "the checkpoint has their rows. Name the LLM with the tokenizer that it was trained with."
        )
    tokenizer.save_pretrained(folder)
