"""Settings: what is unknown or impossible is told with the key and what was expected."""

from __future__ import annotations

import pytest

from nextgpt.config import ComponentSource, LoraConfig, ModelConfig, parse_config, read_config, write_config
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
    config = parse_config(ModelConfig, MINIMAL, where="test")
    write_config(config, tmp_path)
    assert read_config(tmp_path) == config


def test_parts_are_carried_unless_the_hub_has_them():
    config = parse_config(ModelConfig, changed(encoder={"path": "/elsewhere/encoder"}), where="test")
    assert config.bundled_components == ["encoder", "image"]
    own = config.with_bundled_paths()
    assert own.encoder == ComponentSource(path="encoder")
    assert own.llm.source == ComponentSource(hub="owner/llm", revision="abc")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (changed(encodr={}), r"recipe: key 'encodr' is unknown.*Did you mean 'encoder'"),
        (
            changed(input_projection={"encoder_width": 8, "is_shared": False}),
            "recipe: key 'input_projection.is_shared' was renamed; expected 'input_projection.shared'",
        ),
        (changed(encoder={"path": "a", "hub": "b"}), "encoder: .*either 'path' or 'hub'"),
        (changed(encoder={}), "either 'path' or 'hub'"),
        (changed(synthesizers={"smell": MINIMAL["synthesizers"]["image"]}), "modality 'smell' is unknown"),
        (
            changed(input_projection={"encoder_width": "wide"}),
            "input_projection.encoder_width: got 'wide'; expected a valid integer.",
        ),
        ({key: value for key, value in MINIMAL.items() if key != "llm"}, r"recipe: key 'llm' is missing\.$"),
    ],
)
def test_what_is_wrong_is_told_with_its_key(values, message):
    with pytest.raises(ConfigError, match=message):
        parse_config(ModelConfig, values, where="recipe")


def test_configs_are_frozen():
    with pytest.raises(ValueError, match="frozen"):
        LoraConfig().rank = 3
