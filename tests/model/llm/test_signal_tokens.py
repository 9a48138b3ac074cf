"""Signal tokens: their ids, their runs, and rows of their own."""

from __future__ import annotations

import torch

from nextgpt.model.llm.signal_tokens import SignalEmbeddings, SignalSpan, SignalVocabulary

IDS = SignalVocabulary(offset=100)


def test_ids_follow_the_table_of_modalities_and_end_with_the_edit_token():
    assert len(IDS) == 37
    assert IDS.span_ids("image") == (100, 101, 102, 103)
    assert IDS.span_ids("audio") == tuple(range(104, 112))
    assert IDS.span_ids("video") == tuple(range(112, 136))
    assert IDS.edit == 136
    assert IDS.names[:4] == ("[IMG0]", "[IMG1]", "[IMG2]", "[IMG3]")
    assert IDS.names[4] == "[AUD0]" and IDS.names[35:] == ("[VID23]", "[EDIT]")


def test_only_the_first_token_of_a_run_begins_it():
    assert [IDS.modality_started_by(token_id) for token_id in (99, 100, 101, 104, 112, 136)] == [
        None, "image", None, "audio", "video", None,
    ]  # fmt: skip


def test_runs_are_found_in_a_sequence():
    ids = [5, *IDS.span_ids("image"), 7, IDS.edit, *IDS.span_ids("audio"), -1]
    assert IDS.spans(ids) == [SignalSpan("image", 1, 5, False), SignalSpan("audio", 7, 15, True)]


def test_rows_of_a_modality_are_those_of_its_ids():
    signals = SignalEmbeddings(IDS, width=3)
    assert torch.equal(signals.span_embeddings("audio"), signals.embed(torch.tensor(IDS.span_ids("audio"))))


def test_a_run_can_start_at_a_token_of_the_llm():
    signals, own = SignalEmbeddings(IDS, width=8), torch.randn(100, 8)
    signals.init_from_mean(own, own)
    before = signals.input.clone(), signals.output.clone()
    signals.init_span_from_token("audio", own[3], own[4], own.mean(dim=0))
    first, *later = (token_id - IDS.offset for token_id in IDS.span_ids("audio"))
    assert torch.equal(signals.input[first], own[3]) and torch.equal(signals.output[first], own[4])
    torch.testing.assert_close(signals.input[later] - own[3], before[0][later] - own.mean(dim=0))
    others = [row for row in range(len(IDS)) if row not in (first, *later)]
    assert torch.equal(signals.input[others], before[0][others])
    assert torch.equal(signals.output[later + others], before[1][later + others])


def test_the_edit_token_can_start_at_a_token_of_the_llm():
    signals, own = SignalEmbeddings(IDS, width=8), torch.randn(100, 8)
    signals.init_span_from_token("edit", own[3], own[4], own.mean(dim=0))
    assert torch.equal(signals.input[-1], own[3]) and torch.equal(signals.output[-1], own[4])


def test_runs_can_end_with_a_token_of_the_llm():
    signals, own = SignalEmbeddings(IDS, width=8), torch.randn(8)
    before = signals.input.clone(), signals.output.clone()
    signals.init_span_end_from_token(own)
    last = [IDS.span_ids(modality)[-1] - IDS.offset for modality in ("image", "audio", "video")]
    assert torch.equal(signals.input[last], own.expand(3, 8)) and torch.equal(signals.output, before[1])
    others = [row for row in range(len(IDS)) if row not in last]
    assert torch.equal(signals.input[others], before[0][others])


def test_rows_start_at_the_mean_of_the_llms_own():
    torch.manual_seed(0)
    signals, own = SignalEmbeddings(IDS, width=64), torch.randn(100, 64) + 5
    signals.init_from_mean(own, own * 2)
    torch.testing.assert_close(signals.output, (own * 2).mean(dim=0).expand(37, 64))
    assert (signals.input.mean() - 5).abs() < 0.1
    assert not torch.equal(signals.input[0], signals.input[1])
