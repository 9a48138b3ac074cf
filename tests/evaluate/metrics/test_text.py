from __future__ import annotations

import json
import os
import random
import shutil
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from nextgpt.errors import ConfigError
from nextgpt.evaluate.metrics import caption_tokens, compute_metric
from nextgpt.evaluate.metrics.caption_tokens import (
    TOKENIZER_JAR,
    find_jar,
    plain_tokenize,
    ptb_tokenize,
    tokenize_captions,
)

VOCABULARY = "a the red blue dog cat sits runs on under green grass old tree near man's small bird (flying) don't"
WORDS = VOCABULARY.split()
NO_JAVA = shutil.which("java") is None
needs_java = pytest.mark.skipif(NO_JAVA, reason="Java is not installed")


def sentences(seed: int, items: int = 30) -> tuple[list[str], list[list[str]]]:
    """References are random sentences; texts are corrupted references."""
    generator = random.Random(seed)
    references = [[sentence(generator) for _ in range(generator.randint(1, 5))] for _ in range(items)]
    texts = []
    for group in references:
        words = generator.choice(group).split()
        texts.append(" ".join(word for word in words if generator.random() > 0.2) or "a dog")
    return texts, references


def sentence(generator: random.Random) -> str:
    return " ".join(generator.choices(WORDS, k=generator.randint(4, 12))).capitalize() + "."


@pytest.fixture(autouse=True)
def plain_tokens(monkeypatch):
    """Avoid a start of Java per test: pycocoevalcap gets the tokens of our tokenizer in any case."""
    monkeypatch.setattr(caption_tokens, "find_jar", lambda name: None)


@pytest.fixture(scope="module")
def captions() -> tuple[list[str], list[list[str]]]:
    return sentences(0)


@pytest.fixture
def coco(captions):
    """Return texts and references as pycocoevalcap takes them, after our tokenizer."""
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed")
    tokenized = tokenize_captions(*captions)
    texts = {i: [" ".join(tokens)] for i, tokens in enumerate(tokenized.texts)}
    references = {i: [" ".join(tokens) for tokens in group] for i, group in enumerate(tokenized.references)}
    return references, texts


def compute(name: str, captions):
    (result,) = compute_metric(name, {"texts": captions[0], "references": captions[1]})
    return result


@needs_java
def test_tokens_are_those_of_coco_caption(captions):
    tokenizer = pytest.importorskip("pycocoevalcap.tokenizer.ptbtokenizer", reason="pycocoevalcap is not installed")
    texts = [*captions[0], "It's 5 o'clock; \"go\" -- (now) and\nwait...", "", "U.S. 3-D can't"]
    expected = tokenizer.PTBTokenizer().tokenize({i: [{"caption": text}] for i, text in enumerate(texts)})
    tokens = ptb_tokenize(texts, find_jar(TOKENIZER_JAR))
    assert [" ".join(row) for row in tokens] == [expected[i][0] for i in range(len(texts))]


def test_bleu_is_that_of_coco_caption(captions, coco):
    from pycocoevalcap.bleu.bleu import Bleu

    expected, _ = Bleu(4).compute_score(*coco, verbose=0)
    result = compute("bleu_4", captions)
    assert result.value == pytest.approx(expected[3], abs=1e-9)
    assert result.low < result.value < result.high
    (unigrams,) = compute_metric("bleu_4", {"texts": captions[0], "references": captions[1]}, order=1)
    assert (unigrams.name, unigrams.value) == ("bleu_1", pytest.approx(expected[0], abs=1e-9))


def test_rouge_l_is_that_of_coco_caption(captions, coco):
    from pycocoevalcap.rouge.rouge import Rouge

    mean, values = Rouge().compute_score(*coco)
    result = compute("rouge_l", captions)
    assert result.value == pytest.approx(mean, abs=1e-12)
    assert np.allclose(result.item_values, values)


def test_cider_d_is_that_of_coco_caption(captions, coco):
    from pycocoevalcap.cider.cider import Cider

    mean, values = Cider().compute_score(*coco)
    result = compute("cider_d", captions)
    assert result.value == pytest.approx(mean, abs=1e-9)
    assert np.allclose(result.item_values, values)
    assert result.low < result.value < result.high


def test_the_interval_of_cider_recomputes_document_frequencies():
    """Resampled frequencies change all scores, so the interval is not that of the mean of fixed scores."""
    from nextgpt.evaluate.metrics.text import _CiderScorer

    captions = tokenize_captions(*sentences(1))
    scorer = _CiderScorer.create(captions)
    half = np.repeat(np.arange(15), 2)
    doubled = tokenize_captions(*(values[:15] * 2 for values in sentences(1)))
    expected = _CiderScorer.create(doubled).scores(np.arange(30))
    assert np.allclose(scorer.scores(half)[:15], expected[:15])


@needs_java
@pytest.mark.slow
def test_meteor_is_that_of_coco_caption(captions, coco):
    from pycocoevalcap.meteor.meteor import Meteor

    total, values = Meteor().compute_score(*coco)
    result = compute("meteor", captions)
    assert result.value == pytest.approx(total, abs=1e-6)
    assert result.item_values == pytest.approx(values, abs=1e-6)
    assert result.low < result.value < result.high


def test_true_captions_score_higher_than_corrupted_and_shuffled_ones(captions):
    texts, references = captions
    true = [group[0] for group in references]
    for name in ("bleu_4", "rouge_l", "cider_d"):
        scores = [compute(name, (row, references)).value for row in (true, texts, texts[1:] + texts[:1])]
        assert scores == sorted(scores, reverse=True), name
        assert scores[0] > 1.5 * scores[2], name


@pytest.mark.parametrize("name", ["bleu_4", "rouge_l", "cider_d"])
def test_no_items_and_empty_texts_have_values(name: str):
    assert compute(name, ([], [])).n == 0
    assert compute(name, (["", ""], [["a dog"], ["a cat"]])).value == pytest.approx(0, abs=1e-6)


def test_metrics_of_java_say_what_is_missing(captions, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    assert find_jar(TOKENIZER_JAR) is None
    assert tokenize_captions(*captions).tokenizer == "plain"
    with pytest.raises(ConfigError, match=r"METEOR needs Java and the package pycocoevalcap.*nextgpt\[eval\]"):
        compute("meteor", captions)


@needs_java
def test_spice_says_which_models_are_missing(captions):
    pytest.importorskip("pycocoevalcap", reason="pycocoevalcap is not installed")
    if find_jar("spice/lib/stanford-corenlp-3.6.0-models.jar"):
        pytest.skip("the models of SPICE are installed")
    with pytest.raises(ConfigError, match=r"stanford-corenlp-3\.6\.0-models\.jar in .*Copy them"):
        compute("spider", captions)


FAKE_JAVA = """#!{python}
import json, pathlib, sys
arguments = sys.argv[1:]
assert arguments[:3] == ["-Xmx8G", "-jar", "spice-1.0.jar"], arguments
assert pathlib.Path("lib/stanford-corenlp-3.6.0-models.jar").exists()  # it runs in the folder of the scorer
if pathlib.Path("broken").exists():
    sys.exit("Parsing reference captions\\nException in thread main: java.lang.OutOfMemoryError\\n at Main:1")
items = json.load(open(arguments[3]))
pathlib.Path("seen.json").write_text(json.dumps(items))
scores = [0.5, None, float("nan"), 0.25]
rows = [dict(image_id=item["image_id"], scores=dict(All=dict(f=f))) for item, f in zip(items, scores)]
pathlib.Path(arguments[arguments.index("-out") + 1]).write_text(json.dumps(rows[::-1]))
"""


@pytest.fixture
def scorer(tmp_path, monkeypatch):
    """A folder like that of pycocoevalcap, and a program in place of Java that scores as SPICE reports it."""
    folder = tmp_path / "pycocoevalcap"
    (folder / "spice" / "lib").mkdir(parents=True)
    (folder / "spice" / "spice-1.0.jar").touch()
    java = tmp_path / "bin" / "java"
    java.parent.mkdir()
    java.write_text(FAKE_JAVA.format(python=sys.executable))
    java.chmod(0o755)
    monkeypatch.setenv("PATH", str(java.parent), prepend=os.pathsep)
    monkeypatch.setattr(
        caption_tokens, "find_spec", lambda name: SimpleNamespace(submodule_search_locations=[str(folder)])
    )
    return folder / "spice"


def test_spice_and_spider_take_the_scores_of_the_scorer(scorer):
    texts = ["A Dog, runs.", "a cat", "green grass", "an old tree"]
    references = [["a dog runs."], ["a bird", "the cat"], ["green grass"], ["an old tree", "a tree"]]
    with pytest.raises(ConfigError, match=rf"needs stanford-corenlp-3\.6\.0\.jar and .*-models\.jar in {scorer}/lib;"):
        compute("spice", (texts, references))
    (scorer / "lib" / "stanford-corenlp-3.6.0.jar").touch()
    with pytest.raises(ConfigError, match=r"SPICE needs stanford-corenlp-3\.6\.0-models\.jar in"):
        compute("spice", (texts, references))
    (scorer / "lib" / "stanford-corenlp-3.6.0-models.jar").touch()
    result = compute("spice", (texts, references))
    assert result.item_values == (0.5, 0.0, 0.0, 0.25) and result.value == pytest.approx(0.1875)
    assert result.parameters == {"corenlp": "3.6.0", "tokenizer": "plain"}
    seen = json.loads((scorer / "seen.json").read_text())
    assert seen[0] == {"image_id": 0, "test": "a dog runs", "refs": ["a dog runs"]}  # tokens, as coco-caption passes
    cider = compute("cider_d", (texts, references))
    spider = compute("spider", (texts, references))
    assert np.allclose(spider.item_values, (np.array(cider.item_values) + result.item_values) / 2)
    assert compute("spice", ([], [])).n == 0


def test_a_scorer_that_fails_says_why_in_one_line(scorer):
    for name in ("stanford-corenlp-3.6.0.jar", "stanford-corenlp-3.6.0-models.jar"):
        (scorer / "lib" / name).touch()
    (scorer / "broken").touch()
    with pytest.raises(
        ConfigError, match=r"^SPICE stopped with status 1 \(Exception in .*OutOfMemoryError\)"
    ) as raised:
        compute("spice", (["a dog"], [["a dog"]]))
    assert "\n" not in str(raised.value)


def test_plain_tokens_split_contractions():
    assert plain_tokenize("It doesn't: the man's dog, OK!") == ("it", "does", "n't", "the", "man", "'s", "dog", "ok")
