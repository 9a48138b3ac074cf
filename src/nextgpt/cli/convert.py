"""``nextgpt convert``: convert published weights to this project's layout. Each command is one function."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

from typer import Argument, Option, Typer, echo

New = Annotated[Path, Argument(metavar="DIR", help="The new folder; written completely or not at all.")]
Synthesizer = Annotated[
    Path | None,
    Option(
        metavar="DIR",
        help="Synthesizer of this modality, a diffusers folder; default: downloaded from the Hub on first use.",
    ),
]

app = Typer(
    name="convert",
    help="Convert published weights to this project's layout.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def imagebind(
    weights: Annotated[Path, Argument(metavar="imagebind_huge.pth", help="The published weights.")],
    folder: New,
    tokenizer: Annotated[
        Path | None, Option(metavar="FILE", help="CLIP's tokenizer.json; needed to encode texts.")
    ] = None,
    patches: Annotated[
        bool, Option("--patches", help="Return one vector per patch, as the paper's later version does.")
    ] = False,
) -> None:
    """Convert ImageBind-huge to an encoder folder; a missing or unexpected key is an error."""
    from nextgpt.convert import convert_imagebind

    placed = convert_imagebind(weights, folder, tokenizer=tokenizer, has_patches=patches)
    echo(f"Converted all {placed} tensors. Written to {folder}.")


@app.command()
def nextgpt(
    checkpoint: Annotated[
        Path, Argument(metavar="CHECKPOINT", help="pytorch_model.pt of 2023, or a folder of 2024, merged or not.")
    ],
    llm: Annotated[Path, Option(metavar="DIR", help="The LLM that it was trained with, a folder of transformers.")],
    imagebind: Annotated[Path, Option(metavar="DIR", help="Encoder folder written by nextgpt convert imagebind.")],
    out: Annotated[
        Path | None, Option(metavar="DIR", help="The new model folder; default: that of the preset.")
    ] = None,
    image: Synthesizer = None,
    audio: Synthesizer = None,
    video: Synthesizer = None,
) -> None:
    """Convert a published NExT-GPT to a model folder; an unknown key is an error."""
    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt.convert import convert_nextgpt
    from nextgpt.presets import presets_dir

    target = out or presets_dir("paper-v2" if checkpoint.is_dir() else "paper")
    named = {name: path for name, path in (("image", image), ("audio", audio), ("video", video)) if path is not None}
    done = convert_nextgpt(checkpoint, llm=llm, imagebind=imagebind, out=target, synthesizers=named)
    echo(f"Converted all {done.placed} tensors of the release of {done.layout}. Written to {done.folder}.")
    if done.ignored:
        counts = Counter(".".join(key.removeprefix("base_model.model.").split(".")[:2]) for key in done.ignored)
        keys = ", ".join(f"{prefix}.* ({count:,})" for prefix, count in sorted(counts.items()))
        echo(f"Keys that were not read, as the encoder comes from {imagebind}: {keys}.")
    if done.untrained:
        echo(f"No output projection of {', '.join(done.untrained)}: the model does not generate these modalities.")
    if done.missing_parts:
        echo(f"Downloaded from the Hub on first use: {', '.join(done.missing_parts)}.")


@app.command()
def vicuna(
    base: Annotated[Path, Argument(metavar="LLAMA", help="LLaMA, a folder of transformers.")],
    delta: Annotated[Path, Argument(metavar="DELTA", help="The published delta weights, e.g. vicuna-7b-delta-v0.")],
    folder: New,
) -> None:
    """Add Vicuna's published delta weights to LLaMA."""
    from nextgpt.convert import convert_vicuna

    echo(f"{convert_vicuna(base, delta, folder)} tensors added. Written to {folder}.")


@app.command()
def folder(
    source: Annotated[Path, Argument(metavar="SOURCE", help="A folder of transformers or diffusers with pickles.")],
    folder: New,
) -> None:
    """Copy a folder of transformers or diffusers; convert its pickles to safetensors."""
    from nextgpt.convert import convert_folder

    converted = convert_folder(source, folder)
    echo(f"{len(converted)} files converted ({', '.join(converted) or 'none'}). Written to {folder}.")


@app.command()
def parts(
    name: Annotated[str, Argument(metavar="PRESET", help="A preset that nextgpt models lists, such as open.")],
    source: Annotated[
        Path, Argument(metavar="PARTS", help="Folder with the downloaded components, one sub-folder each.")
    ],
    out: Annotated[
        Path | None, Option(metavar="DIR", help="The new model folder; default: that of the preset.")
    ] = None,
) -> None:
    """Join the downloaded components of a preset in a model folder, which has no trained projections yet."""
    from nextgpt.convert import convert_parts
    from nextgpt.presets import presets_dir

    target = out or presets_dir(name)
    joined = convert_parts(name, source, target)
    echo(f"Joined {', '.join(joined)}. Written to {target}.")


@app.command()
def negative(
    folder: Annotated[Path, Argument(metavar="DIR", help="Synthesizer: a diffusers folder with its text encoder.")],
) -> None:
    """Store the condition of the empty caption in a synthesizer's folder; guidance then needs no text encoder."""
    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt.model.synthesis.prompt_encoder import add_negative_condition

    add_negative_condition(folder)
    echo(f"Written to {folder}.")
