"""Feature extractors behind one protocol: media to features (n, d), with the hash of the weights and preprocessing.

They know no suite and no metric. No extractor downloads anything.
"""

from nextgpt.evaluate.extractors.base import FeatureExtractor
from nextgpt.evaluate.extractors.table import EXTRACTORS, create_extractor, default_extractors

__all__ = ["EXTRACTORS", "FeatureExtractor", "create_extractor", "default_extractors"]
