"""Measure the suite beyond-words with continuous errors and paired tests; prints Markdown tables.

python benchmarks/beyond_words.py nano --limit 40
"""

from __future__ import annotations

import argparse

import numpy as np

from nextgpt.evaluate.metrics.statistics import mean_result, paired_permutation_test, share_result
from nextgpt.evaluate.miniworld.beyond_words import CASCADE, DIRECT, KINDS, SYSTEMS, TRUTH, measure_beyond_words
from nextgpt.evaluate.miniworld.suite import RunOptions
from nextgpt.model.model_dir import resolve_model_dir

UNITS = {"hue": "°", "place": "px", "pitch": "semitones"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", nargs="?", default="nano")
    parser.add_argument("--limit", type=int, default=40, help="items per kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--system", action="append", choices=SYSTEMS, help="all if omitted; may be repeated")
    arguments = parser.parse_args()
    systems = tuple(arguments.system or SYSTEMS)
    model_dir = resolve_model_dir(arguments.model)
    outcomes = measure_beyond_words(
        model_dir, RunOptions(), limit=arguments.limit, seed=arguments.seed, systems=systems
    )
    print("| kind | system | mean error | 95 % interval | measured | within half a step, % | within a quarter, % |")
    print("| --- | --- | ---: | :---: | ---: | ---: | ---: |")
    for kind in KINDS:
        for system in (*systems, TRUTH):
            rows = [row for row in outcomes if (row.item.kind, row.system) == (kind, system)]
            errors = mean_result("error", [row.error for row in rows if row.error is not None])
            shares = [share_result("share", [row.is_within(share) for row in rows]) for share in (0.5, 0.25)]
            interval = "–" if errors.low is None else f"{errors.low:.1f} – {errors.high:.1f}"
            cells = [f"{errors.value:.1f} {UNITS[kind]}", interval, f"{errors.n} of {len(rows)}"]
            cells += [f"{100 * share.value:.0f} ({100 * share.low:.0f} – {100 * share.high:.0f})" for share in shares]
            print(f"| {kind} | {system} | {' | '.join(cells)} |")
    for kind in KINDS if {DIRECT, CASCADE} <= set(systems) else ():
        for threshold in (0.5, 0.25):
            values = [
                [float(row.is_within(threshold)) for row in outcomes if (row.item.kind, row.system) == (kind, system)]
                for system in (DIRECT, CASCADE)
            ]
            test = paired_permutation_test(*values)
            difference, low, high = (100 * value for value in (test.difference, test.low, test.high))
            print(f"{kind} within {threshold} step: direct - cascade {difference:+.0f} points "
                  f"({low:+.0f} to {high:+.0f}), p = {test.p_value:.3g}")  # fmt: skip
    medians = {kind: float(np.median([row.item.step for row in outcomes if row.item.kind == kind])) for kind in KINDS}
    print("median step:", ", ".join(f"{kind} {value:.0f} {UNITS[kind]}" for kind, value in medians.items()))


if __name__ == "__main__":
    main()
