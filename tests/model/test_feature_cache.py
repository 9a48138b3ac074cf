"""The feature cache: each content is encoded once, the oldest is forgotten."""

from __future__ import annotations

from nextgpt.model.feature_cache import FeatureCache
from nextgpt.testing.fakes import FakeEncoder
from nextgpt.testing.scripted_model import tiny_audio, tiny_image

RED, BLUE = tiny_image((255, 0, 0)), tiny_image((0, 0, 255))


def test_each_content_is_encoded_once_whatever_object_holds_it():
    cache, encoder = FeatureCache(), FakeEncoder(width=4)
    first = cache.get_or_encode([RED, BLUE, RED], encoder.encode)
    again = cache.get_or_encode([tiny_audio(), tiny_image((255, 0, 0))], encoder.encode)
    assert encoder.calls == [["image", "image"], ["audio"]]
    assert first[0] is first[2] is again[1]


def test_the_longest_unused_is_forgotten_where_memory_ends():
    encoder = FakeEncoder(width=4)  # 16 bytes a medium
    cache = FeatureCache(max_bytes=32)
    cache.get_or_encode([RED, BLUE], encoder.encode)
    cache.get_or_encode([RED], encoder.encode)
    cache.get_or_encode([tiny_audio()], encoder.encode)
    assert len(cache) == 2
    cache.get_or_encode([RED], encoder.encode)
    assert encoder.calls == [["image", "image"], ["audio"]]


def test_more_than_fits_is_given_all_the_same():
    encoder = FakeEncoder(width=4)
    assert len(FeatureCache(max_bytes=16).get_or_encode([RED, BLUE], encoder.encode)) == 2
