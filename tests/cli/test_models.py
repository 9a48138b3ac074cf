from __future__ import annotations

import pytest

from nextgpt.cli.app import main
from nextgpt.model.folder import EMBEDDED


def test_every_embedded_model_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models"]) == 0
    first_words = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert first_words == ["MODEL", *EMBEDDED, "FOLDER", "OWNER/NAME"]
