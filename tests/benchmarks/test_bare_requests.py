"""The benchmark of messages that are the name of one object."""

from __future__ import annotations

from benchmarks import bare_requests


def test_images_of_known_objects_are_counted_and_others_are_not() -> None:
    counts = bare_requests.measure("nano", ["cat", "dog"])
    assert counts.keys() == bare_requests.FORMS.keys() and counts["Draw a cat."] == 2
    reply_of_cat = bare_requests.NextGPT.from_pretrained("nano").chat(
        bare_requests.Conversation().with_message("Draw a cat.")
    )
    assert bare_requests._is_image_of(reply_of_cat, "cat") and not bare_requests._is_image_of(reply_of_cat, "dog")
