"""Media index: find media of a corpus by caption, by another medium, or by the condition of a synthesizer.

::

    manifest.json          written last: an index without it is incomplete
    items.jsonl            one line per item: medium, caption, source, licence
    items.npy              offset of each line in items.jsonl, in bytes
    image.captions.npy     (N, C) caption embeddings of the modality's items, centred, of norm 1
    image.media.npy        (N, E) encoder vectors of their media, of norm 1
    image.words.npy        (N, E) vectors of their captions by the encoder's text tower, of norm 1; if it has one
    image.mean.npy         (C,) mean of the caption embeddings before centring

``build.py`` writes it, ``media_index.py`` opens and searches it, ``calibration.py`` sets the thresholds of ``auto``.
"""

from nextgpt.data.index.media_index import Hit, MediaIndex

__all__ = ["Hit", "MediaIndex"]
