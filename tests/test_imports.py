"""Imports follow the layers of ARCHITECTURE.md, without cycles and without exceptions."""

from __future__ import annotations

import tomllib
from pathlib import Path

from importlinter.cli import EXIT_STATUS_SUCCESS, lint_imports

PYPROJECT = Path(__file__).parents[1] / "pyproject.toml"


def test_import_contracts_hold():
    assert lint_imports(config_filename=str(PYPROJECT), no_cache=True) == EXIT_STATUS_SUCCESS


def test_import_contracts_have_no_exceptions():
    contracts = tomllib.loads(PYPROJECT.read_text())["tool"]["importlinter"]["contracts"]
    assert len(contracts) >= 5
    assert not any("ignore_imports" in contract for contract in contracts)
