from __future__ import annotations

from nextgpt.evaluate.metrics import compute_metric

CHOSEN = [["text", "image"], ["image", "image"], ["text"], ["text", "audio"]]
EXPECTED = [["image"], ["image"], ["text", "audio"], ["text"]]


def scores(metric: str) -> dict[str, tuple[float, int]]:
    inputs = {"chosen_modalities": CHOSEN, "expected_modalities": EXPECTED}
    return {row.name: (row.value, row.n) for row in compute_metric(metric, inputs)}


def test_precision_recall_and_exact_match():
    assert scores("modality") == {
        "modality.exact": (0.25, 4),
        "modality.image.precision": (1.0, 2),
        "modality.image.recall": (1.0, 2),
        "modality.audio.precision": (0.0, 1),
        "modality.audio.recall": (0.0, 1),
        "modality.text.precision": (0.0, 1),
        "modality.text.recall": (0.0, 1),
    }


def test_the_lenient_structure_ignores_the_number_of_media():
    assert scores("structure") == {"structure.strict": (0.25, 4), "structure.lenient": (0.5, 4)}
