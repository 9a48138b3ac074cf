"""Plans: the best way to keep a model in memory that fits a budget, and what is said where none does."""

from __future__ import annotations

import pytest

from nextgpt.config import read_config
from nextgpt.errors import ConfigError, ModelError
from nextgpt.model.memory_plan import (
    LIBRARIES_BYTES,
    TRAINED,
    ComponentSize,
    MemoryPlan,
    default_plan,
    parse_size,
    plan_within_budget,
)
from nextgpt.model.summary import component_sizes, summarize_model
from nextgpt.presets import PRESETS

GB = 10**9
SIZES = {
    "encoder": ComponentSize(1_200_000_000),
    "llm": ComponentSize(6_738_000_000, quantizable_parameters=6_476_000_000),
    "image": ComponentSize(943_000_000, float32_parameters=84_000_000),
    "video": ComponentSize(1_496_000_000, float32_parameters=84_000_000),
    TRAINED: ComponentSize(134_000_000, float32_parameters=134_000_000),
}


def shape(plan: MemoryPlan) -> tuple[str, str, str, str]:
    """Type of the LLM and of the encoder, and where both rest."""
    llm, encoder = plan.placements["llm"], plan.placements["encoder"]
    return llm.dtype, encoder.dtype, llm.offload_to, encoder.offload_to


@pytest.mark.parametrize(
    ("budget_gb", "expected"),
    [
        (64, ("float32", "float32", "none", "none")),
        (32, ("bfloat16", "float32", "none", "none")),
        (24, ("bfloat16", "bfloat16", "none", "none")),
        (19, ("bfloat16", "bfloat16", "none", "disk")),
        (13, ("int8", "bfloat16", "none", "disk")),
        (9.5, ("int4", "bfloat16", "none", "disk")),
        (6, ("int4", "bfloat16", "disk", "disk")),
    ],
)
def test_a_smaller_budget_gives_up_precision_that_is_not_noticed_then_room_then_precision(budget_gb, expected):
    plan = plan_within_budget(SIZES, round(budget_gb * GB))
    assert shape(plan) == expected
    assert plan.peak_bytes <= budget_gb * GB


def test_a_larger_budget_never_gives_a_smaller_plan():
    peaks = [plan_within_budget(SIZES, budget * GB).peak_bytes for budget in range(6, 70)]
    assert peaks == sorted(peaks, key=lambda peak: peak) and len(set(peaks)) >= 6


def test_what_is_trained_and_autoencoders_stay_wide():
    plan = plan_within_budget(SIZES, 6 * GB)
    assert (plan.placements[TRAINED].dtype, plan.placements[TRAINED].offload_to) == ("float32", "none")
    assert plan.placements["image"].weights_bytes == 2 * (943 - 84) * 10**6 + 4 * 84 * 10**6


def test_parts_that_take_turns_are_in_memory_one_at_a_time():
    plan = plan_within_budget(SIZES, 19 * GB)
    largest = plan.placements["video"].weights_bytes
    staying = plan.placements["llm"].weights_bytes + plan.placements[TRAINED].weights_bytes
    assert plan.peak_bytes == LIBRARIES_BYTES + staying + largest + 1_250_000_000


def test_on_a_gpu_parts_wait_on_the_cpu_but_quantised_ones_are_read_again():
    plan = plan_within_budget(SIZES, 6 * GB, device="cuda")
    assert {name: part.offload_to for name, part in plan.placements.items()} == {
        "encoder": "cpu", "llm": "disk", "image": "cpu", "video": "cpu", TRAINED: "none"
    }  # fmt: skip
    assert {part.device for part in plan.placements.values()} == {"cuda"}


def test_a_budget_below_the_smallest_plan_says_what_is_needed():
    with pytest.raises(ModelError, match=r"budget is 2.0 GB; this model needs at least 5\.\d GB. Raise the budget"):
        plan_within_budget(SIZES, 2 * GB)


def test_without_the_library_for_it_nothing_is_quantised_and_that_is_said():
    assert shape(plan_within_budget(SIZES, 16 * GB, can_quantize=False)) == ("bfloat16", "bfloat16", "disk", "disk")
    with pytest.raises(ModelError, match=r"needs at least 15\.\d GB. With pip install .*quantized.* 5\.\d GB are"):
        plan_within_budget(SIZES, 6 * GB, can_quantize=False)


def test_where_several_answers_are_made_at_once_everything_stays():
    plan = plan_within_budget(SIZES, 19 * GB, allow_offload=False)
    assert shape(plan) == ("int8", "bfloat16", "none", "none")
    assert all(placement.offload_to == "none" for placement in plan.placements.values())
    with pytest.raises(ModelError, match="needs at least"):
        plan_within_budget(SIZES, 6 * GB, allow_offload=False)


def test_the_papers_system_fits_into_6_gb():
    sizes = component_sizes(summarize_model(read_config(PRESETS["paper"]), PRESETS["paper"]))
    assert set(sizes) == {"encoder", "llm", "image", "audio", "video", TRAINED}
    assert sizes["llm"].quantizable_parameters == 32 * (4 * 4096**2 + 3 * 4096 * 11008)
    assert sizes["image"].parameters == 859_520_964 + 83_653_863  # its text encoder is not needed to answer
    assert shape(plan_within_budget(sizes, parse_size("6GB"))) == ("int4", "bfloat16", "disk", "disk")


@pytest.mark.parametrize(
    ("text", "size"), [("6GB", 6 * GB), ("1.5 GiB", 3 * 2**29), ("500mb", 5 * 10**8), ("1024", 1024), (77, 77)]
)
def test_sizes_are_read_with_their_units(text, size):
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "much", "6 parsecs", "-1GB", "0GB", "6GB6"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ConfigError, match="expected a number with a unit, such as 6GB"):
        parse_size(text)


def test_types_and_places_are_said_for_all_or_by_part():
    plan = default_plan(SIZES.keys() - {TRAINED}, dtype={"llm": "int4", "encoder": "bfloat16"}, device="cuda")
    assert (plan.placements["llm"].dtype, plan.placements["encoder"].dtype, plan.placements["image"].dtype) == (
        "int4", "bfloat16", "float32"
    )  # fmt: skip
    assert plan.placements[TRAINED].dtype == "float32" and plan.placements[TRAINED].device == "cuda"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"dtype": {"lm": "int4"}}, "component 'lm' is unknown.*Did you mean 'llm'"),
        ({"dtype": "bfloat61"}, "dtype 'bfloat61' is unknown.*Did you mean 'bfloat16'"),
        ({"dtype": "int3"}, "dtype of encoder: .*expected one of float32, float16, bfloat16.$"),
        ({"dtype": {"llm": "int3"}}, "dtype of llm: .*Did you mean 'int8'"),
        ({"dtype": {"encoder": "int8"}}, "encoder: dtype int8 is supported for the LLM only. Use llm=int8"),
        ({"device": {"image": "auto"}}, "image: device auto is supported for the LLM only. Use llm=auto"),
    ],
)
def test_settings_that_make_no_sense_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        default_plan(["encoder", "llm", "image"], **settings)
