"""Parts: found in the model's folder or on the Hub, loaded once, copied bit by bit."""

from __future__ import annotations

import pytest

from nextgpt.config import ComponentSource
from nextgpt.errors import ModelError
from nextgpt.model.components import Component, OffloadGroup, component_from_dir
from nextgpt.model.hub import resolve_component_dir


def test_a_part_is_loaded_when_first_asked_for_and_kept():
    loads = []
    component = Component(lambda: loads.append("load") or object(), save=lambda folder: None)
    assert not component.is_loaded and not loads
    assert component.get() is component.get()
    assert component.is_loaded and loads == ["load"]


def test_saving_copies_the_folder_even_where_it_was_never_loaded(tmp_path):
    (tmp_path / "home/llm").mkdir(parents=True)
    (tmp_path / "home/llm/weights").write_bytes(b"\x00\x01")
    component = component_from_dir(
        ComponentSource(path="llm"), tmp_path / "home", load=lambda folder: pytest.fail("loaded")
    )
    component.save(tmp_path / "other/llm")
    assert (tmp_path / "other/llm/weights").read_bytes() == b"\x00\x01"
    component.save(tmp_path / "home/llm")  # onto itself: nothing to do


def test_a_missing_folder_is_named(tmp_path):
    with pytest.raises(ModelError, match=r"audio is missing; config.json in .* names it"):
        resolve_component_dir(ComponentSource(path="audio"), tmp_path)


def test_a_failed_download_is_one_line(tmp_path, monkeypatch):
    import huggingface_hub

    def refuse(*arguments: object, **options: object) -> str:
        raise OSError("no route")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", refuse)
    with pytest.raises(ModelError, match="owner/name cannot be downloaded from the Hub"):
        resolve_component_dir(ComponentSource(hub="owner/name"), tmp_path)


def offloadable(group: OffloadGroup, log: list[str], name: str, **options: object) -> Component:
    return Component(lambda: log.append(f"load {name}") or name, save=lambda folder: None, group=group, **options)


def test_parts_that_take_turns_are_let_go_and_loaded_again():
    group, log = OffloadGroup(), []
    one, other = offloadable(group, log, "one"), offloadable(group, log, "other")
    assert (one.get(), one.get(), other.get()) == ("one", "one", "other")
    assert not one.is_loaded and other.is_loaded
    assert one.get() == "one" and log == ["load one", "load other", "load one"]


def test_a_part_that_waits_elsewhere_is_loaded_once():
    group, log = OffloadGroup(), []
    one = offloadable(
        group, log, "one", offload=lambda component: log.append("leave"), onload=lambda component: log.append("back")
    )
    other = offloadable(group, log, "other")
    for component in (one, other, one, one):
        _ = component.get()
    assert log == ["load one", "leave", "load other", "back"]


def test_a_part_that_stays_lets_nobody_go():
    group, log = OffloadGroup(), []
    one, staying = offloadable(group, log, "one"), Component(lambda: "staying", save=lambda folder: None)
    assert (one.get(), staying.get()) == ("one", "staying") and one.is_loaded
