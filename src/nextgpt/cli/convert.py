"""``nextgpt convert``: foreign weights into this project's layout. Each command is one function."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

from typer import Argument, Option, Typer, echo

New = Annotated[Path, Argument(metavar="DIR", help="The new folder; written whole or not at all.")]
Synthesizer = Annotated[
    Path | None, Option(metavar="DIR", help="Its synthesizer, a diffusers folder; else fetched from the Hub.")
]

app = Typer(
    name="convert",
    help="Bring foreign weights into this project's layout.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.command()
def imagebind(
    weights: Annotated[Path, Argument(metavar="imagebind_huge.pth", help="The published weights.")],
    folder: New,
    tokenizer: Annotated[
        Path | None, Option(metavar="FILE", help="CLIP's tokenizer.json, if texts are to be encoded.")
    ] = None,
    patches: Annotated[
        bool, Option("--patches", help="Give a vector for each patch, as the paper's later version does.")
    ] = False,
) -> None:
    """Write ImageBind-huge as an encoder's folder; any missing or unexpected key stops it."""
    from nextgpt.convert import convert_imagebind

    placed = convert_imagebind(weights, folder, tokenizer=tokenizer, has_patches=patches)
    echo(f"{placed} tensors placed, all of them. Written to {folder}.")


@app.command()
def nextgpt(
    checkpoint: Annotated[
        Path, Argument(metavar="CHECKPOINT", help="pytorch_model.pt of 2023, or a folder of 2024, merged or not.")
    ],
    llm: Annotated[Path, Option(metavar="DIR", help="The LLM that it was trained with, a transformers folder.")],
    imagebind: Annotated[Path, Option(metavar="DIR", help="What nextgpt convert imagebind wrote.")],
    out: Annotated[Path | None, Option(metavar="DIR", help="The model folder; else the preset's own.")] = None,
    image: Synthesizer = None,
    audio: Synthesizer = None,
    video: Synthesizer = None,
) -> None:
    """Write a model folder from a published NExT-GPT; any key without a place stops it."""
    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt.convert import convert_nextgpt
    from nextgpt.presets import presets_dir

    target = out or presets_dir("paper-v2" if checkpoint.is_dir() else "paper")
    named = {name: path for name, path in (("image", image), ("audio", audio), ("video", video)) if path is not None}
    done = convert_nextgpt(checkpoint, llm=llm, imagebind=imagebind, out=target, synthesizers=named)
    echo(f"Layout of {done.layout}: {done.placed} tensors placed, all of them. Written to {done.folder}.")
    if done.ignored:
        counts = Counter(".".join(key.removeprefix("base_model.model.").split(".")[:2]) for key in done.ignored)
        keys = ", ".join(f"{prefix}.* ({count:,})" for prefix, count in sorted(counts.items()))
        echo(f"Keys that were not read, as the encoder comes from {imagebind}: {keys}.")
    if done.untrained:
        echo(f"It holds no output projection of {', '.join(done.untrained)}, so the model does not answer with these.")
    if done.missing_parts:
        echo(f"From the Hub when first needed: {', '.join(done.missing_parts)}.")


@app.command()
def vicuna(
    base: Annotated[Path, Argument(metavar="LLAMA", help="LLaMA, a transformers folder.")],
    delta: Annotated[Path, Argument(metavar="DELTA", help="The published difference, e.g. vicuna-7b-delta-v0.")],
    folder: New,
) -> None:
    """Add Vicuna's published difference to LLaMA."""
    from nextgpt.convert import convert_vicuna

    echo(f"{convert_vicuna(base, delta, folder)} tensors added. Written to {folder}.")


@app.command()
def folder(
    source: Annotated[Path, Argument(metavar="SOURCE", help="A folder of transformers or diffusers with pickles.")],
    folder: New,
) -> None:
    """Copy a folder of transformers or diffusers, its pickles as safetensors."""
    from nextgpt.convert import convert_folder

    converted = convert_folder(source, folder)
    echo(f"{len(converted)} files converted ({', '.join(converted) or 'none'}). Written to {folder}.")


@app.command()
def parts(
    name: Annotated[str, Argument(metavar="PRESET", help="A preset that nextgpt models lists, such as open.")],
    source: Annotated[Path, Argument(metavar="PARTS", help="The folder with its fetched parts, one folder each.")],
    out: Annotated[Path | None, Option(metavar="DIR", help="The model folder; else the preset's own.")] = None,
) -> None:
    """Join a preset's fetched parts to its model folder, whose projections are still to be trained."""
    from nextgpt.convert import convert_parts
    from nextgpt.presets import presets_dir

    target = out or presets_dir(name)
    joined = convert_parts(name, source, target)
    echo(f"Joined {', '.join(joined)}. Written to {target}.")


@app.command()
def negative(
    folder: Annotated[Path, Argument(metavar="DIR", help="A synthesizer, a diffusers folder with its text encoder.")],
) -> None:
    """Keep a synthesizer's condition of the empty caption beside it, so that guidance needs no text encoder."""
    from nextgpt.logging import silence_libraries

    silence_libraries()
    from nextgpt.model.synthesis.prompt_encoder import add_negative_condition

    add_negative_condition(folder)
    echo(f"Written to {folder}.")
