"""A newcomer's first ten minutes: ``python -m benchmarks.newcomer.run nano``.

``requests.json`` has 60 messages by an author who knew the README alone: 30 single ones, and 10 dialogues of three
turns. Prints how many are answered correctly (modalities, every stated attribute, key words), then the others with
their answers.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from nextgpt.evaluate.metrics.statistics import wilson_interval
from nextgpt.evaluate.miniworld.people import item_cases, judge_turn
from nextgpt.evaluate.miniworld.runner import DIRECT, run_cases
from nextgpt.evaluate.miniworld.suite import RunOptions
from nextgpt.miniworld.language.descriptions import describe
from nextgpt.miniworld.language.phrasings.labels import PeopleItems
from nextgpt.model.model_dir import resolve_model_dir

REQUESTS = Path(__file__).with_name("requests.json")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="nano", help="name or folder of the model")
    arguments = parser.parse_args()
    items = PeopleItems.model_validate(json.loads(REQUESTS.read_text(encoding="utf-8")))
    cases = item_cases({"newcomer": items}, seed=0)
    results = run_cases([(DIRECT, task) for task in cases], cases, resolve_model_dir(arguments.model), RunOptions())
    turns = [
        (judge_turn("newcomer", position, turn), turn)
        for case_results in results.values()
        for case in case_results
        for position, turn in enumerate(case.turns)
    ]
    for name, values in (
        ("correct", [outcome.is_correct for outcome, _ in turns]),
        ("modalities", [outcome.has_modalities for outcome, _ in turns]),
    ):
        low, high = wilson_interval(sum(values), len(values))
        print(f"{name}: {sum(values)} of {len(values)} messages, 95 % interval {100 * low:.0f} – {100 * high:.0f} %")
    for outcome, turn in turns:
        if not outcome.is_correct:
            made = "; ".join(map(describe, turn.judged_specs)) or "no media"
            print(f"- {turn.turn.user_text}\n  {turn.reply.text}\n  {made}")


if __name__ == "__main__":
    main()
