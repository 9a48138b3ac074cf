"""``nextgpt models``: list the values of MODEL."""

from __future__ import annotations


def models() -> None:
    """List what MODEL can be: embedded models, presets with what they need, a folder, a Hub id."""
    from rich.table import Table

    from nextgpt.cli.printing import print_table
    from nextgpt.model.loading import BUILTIN_MODELS
    from nextgpt.presets import PRESETS, preset, presets_dir

    table = Table("MODEL", "what it is", "download", "licences", box=None, pad_edge=False)
    for name, folder in BUILTIN_MODELS.items():
        state = "ready" if (folder / "config.json").is_file() else "no weights in this copy; see make nano"
        table.add_row(name, f"embedded, {state}")
    for name in PRESETS:
        requirements = preset(name)
        is_ready = (presets_dir(name) / "config.json").is_file()
        state = (
            f"ready in {presets_dir(name)}" if is_ready else f"not downloaded; nextgpt chat {name} prints how"
        )
        table.add_row(
            name,
            f"{requirements.title}; {state}",
            f"{requirements.size_gb:.1f} GB",
            ", ".join(requirements.licences),
        )
    table.add_row("FOLDER", "a model folder written by save_pretrained")
    table.add_row("OWNER/NAME", "a repository of the Hub that holds such a folder")
    print_table(table)
