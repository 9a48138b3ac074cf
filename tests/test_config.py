"""Settings: what is unknown or impossible is told with the key and what was expected."""

from __future__ import annotations

import pytest

from nextgpt.config import LoraConfig, ModelConfig, PartSource, parse, read_config, write_config
from nextgpt.errors import ConfigError

MINIMAL = {
    "encoder": {"path": "encoder"},
    "llm": {"source": {"hub": "owner/llm", "revision": "abc"}},
    "input_projection": {"encoder_width": 8},
    "synthesizers": {
        "image": {"source": {"path": "image"}, "output_projection": {"queries": 77, "condition_width": 768}}
    },
}


def changed(**values: object) -> dict:
    return {**MINIMAL, **values}


def test_a_config_comes_back_as_it_was_written(tmp_path):
    config = parse(ModelConfig, MINIMAL, where="test")
    write_config(config, tmp_path)
    assert read_config(tmp_path) == config


def test_parts_are_carried_unless_the_hub_has_them():
    config = parse(ModelConfig, changed(encoder={"path": "/elsewhere/encoder"}), where="test")
    assert config.carried == ["encoder", "image"]
    own = config.in_own_folder()
    assert own.encoder == PartSource(path="encoder")
    assert own.llm.source == PartSource(hub="owner/llm", revision="abc")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed(encodr={}), r"recipe: key 'encodr' is unknown.*Did you mean 'encoder'"),
        (changed(encoder={"path": "a", "hub": "b"}), "encoder: .*either 'path' or 'hub'"),
        (changed(encoder={}), "either 'path' or 'hub'"),
        (changed(synthesizers={"smell": MINIMAL["synthesizers"]["image"]}), "modality 'smell' is unknown"),
        (
            changed(input_projection={"encoder_width": "wide"}),
            r"input_projection.encoder_width: .*\(got 'wide'\)",
        ),
        ({key: value for key, value in MINIMAL.items() if key != "llm"}, "llm: Field required"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(values, message):
    with pytest.raises(ConfigError, match=message):
        parse(ModelConfig, values, where="recipe")


def test_configs_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        LoraConfig().rank = 3
