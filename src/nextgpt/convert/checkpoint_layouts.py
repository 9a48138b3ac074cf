"""Map the tensors of published NExT-GPT checkpoints: the file of 2023, the files of 2024, and merged folders.

A layout is a table of patterns. A key that no pattern matches is an error, so no tensor is dropped silently.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from nextgpt.config import LoraConfig, parse_config
from nextgpt.convert.groupvit import grouping_patterns
from nextgpt.convert.pickle_folder import OBSOLETE_BUFFER
from nextgpt.convert.weights_io import has_shards, read_pickle, read_weights, shards
from nextgpt.errors import ConfigError, WeightsError
from nextgpt.modality import AUDIO, IMAGE, VIDEO
from nextgpt.prompt_template import TEMPLATES, PromptTemplate

INPUT_ROWS, OUTPUT_ROWS = "rows.input", "rows.output"
"""Complete embedding and LM head of the LLM, new tokens last."""
SIGNAL_ORDER = (IMAGE, VIDEO, AUDIO)
"""The order in which both versions of the official code add signal tokens to the vocabulary."""
LORA_LAYER = r"(?P<layer>model\.layers\.\d+\.\w+\.\w+)\.lora_(?P<matrix>[AB])"


@dataclass(frozen=True)
class CheckpointLayout:
    """Names of tensors and tokens in one published release."""

    name: str
    patterns: Mapping[str, str]
    """Regular expressions for complete keys, and their replacements."""
    tokens: tuple[str, ...]
    """New tokens in the order of their ids; those before the signal tokens stay ordinary tokens of the LLM."""
    template: str | PromptTemplate
    features: str
    """Features of its encoder: ``pooled`` vectors or ``patches``."""
    preset: str
    """Name of the preset with the same architecture."""

    @property
    def ordinary_tokens(self) -> tuple[str, ...]:
        """New tokens except the signal tokens."""
        return self.tokens[: len(self.tokens) - sum(modality.signal_count for modality in SIGNAL_ORDER)]


@dataclass(frozen=True)
class Checkpoint:
    """Trained tensors, by this project's names."""

    layout: CheckpointLayout
    source: Path
    tensors: Mapping[str, Tensor]
    """Projections and LoRA by the names of ``nextgpt.safetensors``, and the LLM's rows."""
    lora: LoraConfig | None
    input_kind: str
    """Kind of the input projection: ``linear``, ``mlp`` or ``grouping``."""
    ignored: tuple[str, ...] = ()
    """Keys of the checkpoint that were not read, sorted."""
    llm: Mapping[str, Tensor] | None = None
    """Tensors of the LLM on the meta device, if the folder has the complete LLM with merged LoRA."""


LAYOUT_2023 = CheckpointLayout(
    "2023",
    patterns={
        r"llama_proj\.(weight|bias)": r"input_projection.layers.shared.\1",
        r"gen_text_hidden_fcs\.0\.(.+)": r"output_projections.image.\1",
        r"gen_text_hidden_fcs_video\.0\.(.+)": r"output_projections.video.\1",
        r"gen_text_hidden_fcs_audio\.0\.(.+)": r"output_projections.audio.\1",
        rf"llama_model\.base_model\.model\.{LORA_LAYER}\.default\.weight": r"lora.\g<layer>.\g<matrix>",
        r"llama_model\.(?:base_model\.model\.)?model\.embed_tokens\.weight": INPUT_ROWS,
        r"llama_model\.(?:base_model\.model\.)?lm_head\.weight": OUTPUT_ROWS,
    },
    tokens=("<Img>", "</Img>", *(token for row in SIGNAL_ORDER for token in row.signal_tokens)),
    template="nextgpt_7b_tiva_v0",
    features="pooled",
    preset="paper",
)
"""A single file with the trained weights of any stage; stages 1 and 2 have no ``base_model.model`` and no LoRA."""

_PREFIX = r"(?:base_model\.model\.)?model\."
_OUTPUTS = {"img": "image", "vid": "video", "aud": "audio"}
LAYOUT_2024 = CheckpointLayout(
    "2024",
    patterns={
        rf"{_PREFIX}mm_input_projector\.(weight|bias)": r"input_projection.layers.shared.\1",
        rf"{_PREFIX}mm_input_projector\.layer\.([02])\.(weight|bias)": r"input_projection.networks.shared.\1.\2",
        **grouping_patterns(rf"{_PREFIX}mm_input_projector\.", "input_projection.networks.shared."),
        **{
            rf"{_PREFIX}mm_output_{short}_projector\.{theirs}": rf"output_projections.{modality}.{ours}"
            for short, modality in _OUTPUTS.items()
            for theirs, ours in (
                (r"in_fc\.(\w+)", r"fc.\1"),
                (r"out_fc\.(\w+)", r"model.\1"),
                (r"tfm\.(.+)", r"tfm.\1"),
                (r"query_embs", r"query_embs"),
            )
        },
        rf"base_model\.model\.{LORA_LAYER}\.weight": r"lora.\g<layer>.\g<matrix>",
        rf"{_PREFIX}embed_tokens\.weight": INPUT_ROWS,
        r"(?:base_model\.model\.)?lm_head\.weight": OUTPUT_ROWS,
    },
    tokens=tuple(f"<{row.name}_{index:02d}>" for row in SIGNAL_ORDER for index in range(row.signal_count)),
    template=TEMPLATES["vicuna_v1.1"].model_copy(update={"media_prefix": "", "media_suffix": ""}),
    features="patches",
    preset="paper-v2",
)
"""A folder of up to four files, or of a merged model. Tensors of a later stage replace those of an earlier one.

Prompts have no tags around media.
"""

FILES_2024 = ("mm_input_projector.bin", "mm_output_projector.bin", "non_lora_trainables.bin")
"""Files of trained weights, in the order of the stages."""
LORA_FILES_2024 = ("adapter_model.safetensors", "adapter_model.bin")
"""Alternative names of the adapters; peft writes one of them."""
OTHER_LORA = ("use_rslora", "use_dora", "lora_bias", "rank_pattern", "alpha_pattern", "modules_to_save")
"""Settings of peft for adapters other than plain LoRA."""
MERGED_TYPE = "nextgpt_llama"
"""``model_type`` in the ``config.json`` of a merged folder."""
KNOWN_KEYS = r"model\.(?:layers\..+|norm\.weight)"
"""Keys of the LLM in a merged folder, except its embedding and head."""
IGNORED_KEYS = rf"{_PREFIX}(?:multimodal_tower\..+|layers\.\d+\.self_attn\.{re.escape(OBSOLETE_BUFFER)})"
"""Keys of 2024 that are not read: the frozen ImageBind (``--imagebind`` replaces it), buffers of old transformers."""
GROUPED_KEYS = "input_projection.networks.shared.in_proj."
_KINDS = {"input_projection.layers.shared.weight": "linear", "input_projection.networks.shared.0.weight": "mlp"}
"""The kind of an input projection by a name that only it has."""


def read_checkpoint(source: Path) -> Checkpoint:
    """Read a published checkpoint: a file is that of 2023, a folder one of 2024.

    Raises:
        WeightsError: A file is missing or damaged, or has unknown keys; all are listed.
    """
    if not source.is_dir():
        return _read_2023(source)
    return _read_merged(source) if _is_merged(source) else _read_2024(source)


def _read_2023(source: Path) -> Checkpoint:
    tensors = map_keys(source, read_pickle(source), LAYOUT_2023)
    ranks = {len(tensor) for name, tensor in tensors.items() if name.startswith("lora.") and name.endswith(".A")}
    # The published adapters have alpha = rank, which is not in the file.
    lora = LoraConfig(rank=max(ranks), alpha=max(ranks)) if ranks else None
    return Checkpoint(LAYOUT_2023, source, tensors, lora, input_kind="linear")


def _read_2024(source: Path) -> Checkpoint:
    tensors: dict[str, Tensor] = {}
    adapters = [name for name in LORA_FILES_2024 if (source / name).is_file()][:1]
    files = [name for name in (*FILES_2024, *adapters) if (source / name).is_file()]
    if not files:
        expected = ", ".join((*FILES_2024, LORA_FILES_2024[0]))
        raise WeightsError(
            f"{source} holds none of {expected}, and is no merged folder ({MERGED_TYPE}); expected the output of the "
            "official code of 2024. Check the path."
        )
    ignored: set[str] = set()
    for name in files:
        held = read_weights(source / name)
        ignored |= _ignored_keys(held)
        kept = {key: held[key] for key in held.keys() - ignored}
        tensors |= map_keys(source / name, kept, LAYOUT_2024)
    lora = _lora_config(source) if adapters else None
    return Checkpoint(
        LAYOUT_2024, source, tensors, lora, input_kind=_input_kind(tensors), ignored=tuple(sorted(ignored))
    )


def _is_merged(source: Path) -> bool:
    """Return whether a folder has the complete LLM; all folders of the official code have an LLM's ``config.json``."""
    path = source / "config.json"
    if not has_shards(source):
        return False
    try:
        return path.is_file() and json.loads(path.read_text(encoding="utf-8")).get("model_type") == MERGED_TYPE
    except (ValueError, AttributeError):
        raise WeightsError(f"{path} is no JSON object; expected the config of a model. Fetch it again.") from None


def _read_merged(source: Path) -> Checkpoint:
    """Read the trained tensors; the LLM's own tensors are read again when it is written."""
    tensors: dict[str, Tensor] = {}
    llm: dict[str, Tensor] = {}
    ignored: set[str] = set()
    for file, held in shards(source):
        ignored |= _ignored_keys(held)
        own = {key for key in held.keys() - ignored if re.fullmatch(KNOWN_KEYS, key)}
        trained = {key: held[key] for key in held.keys() - own - ignored}
        tensors |= map_keys(source / file, trained, LAYOUT_2024)
        llm |= {key: torch.empty_like(held[key], device="meta") for key in own}
    return Checkpoint(
        LAYOUT_2024, source, tensors, None, input_kind=_input_kind(tensors), ignored=tuple(sorted(ignored)), llm=llm
    )


def _ignored_keys(tensors: Mapping[str, Tensor]) -> set[str]:
    return {key for key in tensors if re.fullmatch(IGNORED_KEYS, key)}


def _input_kind(tensors: Mapping[str, Tensor]) -> str:
    kinds = [kind for name, kind in _KINDS.items() if name in tensors]
    return kinds[0] if kinds else "grouping" if any(name.startswith(GROUPED_KEYS) for name in tensors) else "linear"


def map_keys(path: Path, tensors: Mapping[str, Tensor], layout: CheckpointLayout) -> dict[str, Tensor]:
    """Rename tensors to this project's names. Raises :class:`WeightsError` that lists all unknown keys."""
    placed: dict[str, Tensor] = {}
    unknown = []
    for key, tensor in tensors.items():
        new_key = next(
            (match.expand(name) for pattern, name in layout.patterns.items() if (match := re.fullmatch(pattern, key))),
            None,
        )
        if new_key is None:
            unknown.append(key)
        else:
            placed[new_key] = tensor
    if unknown:
        raise WeightsError(
            f"{path} has {len(unknown)} unexpected: {', '.join(sorted(unknown))}; expected the keys of the layout of "
            f"{layout.name}. Nothing was written."
        )
    return placed


def _lora_config(source: Path) -> LoraConfig:
    path = source / "adapter_config.json"
    if not path.is_file():
        raise WeightsError(f"{path} is missing; expected it beside the adapters, as peft writes it. Fetch it again.")
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
        values = {"rank": settings["r"], "alpha": settings["lora_alpha"], "targets": sorted(settings["target_modules"])}
        others = [name for name in OTHER_LORA if settings.get(name)]
    except (ValueError, KeyError, TypeError) as error:
        raise ConfigError(f"{path} is no config of LoRA ({error!r}); expected r, lora_alpha, target_modules.") from None
    if others:
        raise ConfigError(
            f"{path} turns {', '.join(others)} on; expected plain LoRA, B A x scaled by alpha / rank, as the official "
            "code trains it. Merge the adapters into the LLM first."
        )
    return parse_config(LoraConfig, values, where=str(path))
