"""Plans: the best way to keep a model in memory that fits a budget, and what is said where none does."""

from __future__ import annotations

import pytest

from nextgpt.config import read_config
from nextgpt.errors import ConfigError, ModelError
from nextgpt.model.description import describe, sizes_of
from nextgpt.model.plan import (
    LIBRARIES_BYTES,
    TRAINED,
    PartSize,
    Plan,
    fitting_plan,
    parse_size,
    uniform_plan,
)
from nextgpt.presets import PRESETS

GB = 10**9
SIZES = {
    "encoder": PartSize(1_200_000_000),
    "llm": PartSize(6_738_000_000, quantisable=6_476_000_000),
    "image": PartSize(943_000_000, wide=84_000_000),
    "video": PartSize(1_496_000_000, wide=84_000_000),
    TRAINED: PartSize(134_000_000, wide=134_000_000),
}


def shape(plan: Plan) -> tuple[str, str, str, str]:
    """Type of the LLM and of the encoder, and where both rest."""
    llm, encoder = plan.parts["llm"], plan.parts["encoder"]
    return llm.dtype, encoder.dtype, llm.rest, encoder.rest


@pytest.mark.parametrize(
    ("budget_gb", "expected"),
    [
        (64, ("float32", "float32", "stays", "stays")),
        (32, ("bfloat16", "float32", "stays", "stays")),
        (24, ("bfloat16", "bfloat16", "stays", "stays")),
        (19, ("bfloat16", "bfloat16", "stays", "disk")),
        (13, ("int8", "bfloat16", "stays", "disk")),
        (9.5, ("int4", "bfloat16", "stays", "disk")),
        (6, ("int4", "bfloat16", "disk", "disk")),
    ],
)
def test_a_smaller_budget_gives_up_precision_that_is_not_noticed_then_room_then_precision(
    budget_gb, expected
):
    plan = fitting_plan(SIZES, round(budget_gb * GB))
    assert shape(plan) == expected
    assert plan.peak_bytes <= budget_gb * GB


def test_a_larger_budget_never_gives_a_smaller_plan():
    peaks = [fitting_plan(SIZES, budget * GB).peak_bytes for budget in range(6, 70)]
    assert peaks == sorted(peaks, key=lambda peak: peak) and len(set(peaks)) >= 6


def test_what_is_trained_and_autoencoders_stay_wide():
    plan = fitting_plan(SIZES, 6 * GB)
    assert (plan.parts[TRAINED].dtype, plan.parts[TRAINED].rest) == ("float32", "stays")
    assert plan.parts["image"].weights_bytes == 2 * (943 - 84) * 10**6 + 4 * 84 * 10**6


def test_parts_that_take_turns_are_in_memory_one_at_a_time():
    plan = fitting_plan(SIZES, 19 * GB)
    largest = plan.parts["video"].weights_bytes
    staying = plan.parts["llm"].weights_bytes + plan.parts[TRAINED].weights_bytes
    assert plan.peak_bytes == LIBRARIES_BYTES + staying + largest + 1_250_000_000


def test_on_a_gpu_parts_wait_on_the_cpu_but_quantised_ones_are_read_again():
    plan = fitting_plan(SIZES, 6 * GB, device="cuda")
    assert {name: part.rest for name, part in plan.parts.items()} == {
        "encoder": "cpu", "llm": "disk", "image": "cpu", "video": "cpu", TRAINED: "stays"
    }  # fmt: skip
    assert {part.device for part in plan.parts.values()} == {"cuda"}


def test_a_budget_below_the_smallest_plan_says_what_is_needed():
    with pytest.raises(ModelError, match=r"2.0 GB of memory came; expected at least 5\.\d GB. Give more"):
        fitting_plan(SIZES, 2 * GB)


def test_without_the_library_for_it_nothing_is_quantised_and_that_is_said():
    assert shape(fitting_plan(SIZES, 16 * GB, can_quantise=False)) == ("bfloat16", "bfloat16", "disk", "disk")
    with pytest.raises(
        ModelError, match=r"expected at least 15\.\d GB. With pip install .*quantized.* 5\.\d GB are"
    ):
        fitting_plan(SIZES, 6 * GB, can_quantise=False)


def test_where_several_answers_are_made_at_once_everything_stays():
    plan = fitting_plan(SIZES, 19 * GB, takes_turns=False)
    assert shape(plan) == ("int8", "bfloat16", "stays", "stays") and not plan.takes_turns
    with pytest.raises(ModelError, match="expected at least"):
        fitting_plan(SIZES, 6 * GB, takes_turns=False)


def test_the_papers_system_fits_into_6_gb():
    sizes = sizes_of(describe(read_config(PRESETS["paper"]), PRESETS["paper"]))
    assert set(sizes) == {"encoder", "llm", "image", "audio", "video", TRAINED}
    assert sizes["llm"].quantisable == 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    assert sizes["image"].parameters == 859_520_964 + 83_653_863  # its text encoder is not needed to answer
    assert shape(fitting_plan(sizes, parse_size("6GB"))) == ("int4", "bfloat16", "disk", "disk")


@pytest.mark.parametrize(
    ("text", "size"),
    [("6GB", 6 * GB), ("1.5 GiB", 3 * 2**29), ("500mb", 5 * 10**8), ("1024", 1024), (77, 77)],
)
def test_sizes_are_read_with_their_units(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "6 parsecs", "-1GB", "0GB", "6GB6"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="expected a number with a unit, such as 6GB"):
        parse_size(text)


def test_types_and_places_are_said_for_all_or_by_part():
    plan = uniform_plan(SIZES.keys() - {TRAINED}, dtype={"llm": "int4", "encoder": "bfloat16"}, device="cuda")
    assert (plan.parts["llm"].dtype, plan.parts["encoder"].dtype, plan.parts["image"].dtype) == (
        "int4", "bfloat16", "float32"
    )  # fmt: skip
    assert plan.parts[TRAINED].dtype == "float32" and plan.parts[TRAINED].device == "cuda"


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"dtype": {"lm": "int4"}}, "part 'lm' is unknown.*Did you mean 'llm'"),
        ({"dtype": "bfloat61"}, "type 'bfloat61' is unknown.*Did you mean 'bfloat16'"),
        ({"dtype": {"encoder": "int8"}}, "part encoder came with int8.*Say llm=int8"),
        ({"device": {"image": "auto"}}, "part image came with auto.*Say llm=auto"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, told):
    with pytest.raises(ConfigError, match=told):
        uniform_plan(["encoder", "llm", "image"], **settings)
