"""``nextgpt models``: what MODEL can be."""

from __future__ import annotations


def models() -> None:
    """List what MODEL can be: embedded models, and what a folder or a Hub id serves for."""
    from rich.table import Table

    from nextgpt.cli.output import print_table
    from nextgpt.model.folder import EMBEDDED

    table = Table("MODEL", "what it is", box=None, pad_edge=False)
    for name, folder in EMBEDDED.items():
        state = "ready" if (folder / "config.json").is_file() else "no weights in this copy; see make nano"
        table.add_row(name, f"embedded, {state}")
    table.add_row("FOLDER", "a model folder written by save_pretrained")
    table.add_row("OWNER/NAME", "a repository of the Hub that holds such a folder")
    print_table(table)
