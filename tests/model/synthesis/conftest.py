"""Tiny synthesizers, written once a session; tests that change a folder copy it."""

from __future__ import annotations

import pytest
from tests.model.synthesis.families import FAMILIES, Families


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> Families:
    return Families(tmp_path_factory.mktemp("synthesizers"))


@pytest.fixture(params=FAMILIES)
def family(request: pytest.FixtureRequest) -> str:
    return request.param
