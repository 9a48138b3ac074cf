"""Feature extractors behind one protocol: media to features (n, d), with the hash of the weights and preprocessing.

They know no suite and no metric. No extractor downloads anything. Importing this loads no network and no torch.
"""

from nextgpt.evaluate.extractors.table import (
    EXTRACTORS,
    LazyExtractor,
    create_extractor,
    default_extractors,
    find_extractor,
)

__all__ = ["EXTRACTORS", "LazyExtractor", "create_extractor", "default_extractors", "find_extractor"]
