"""Counts of short words in promoters, against the CountVectorizer of scikit-learn."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from peers.rows import Row, beside, equal
from raygenex.config.model import KmerConfig
from raygenex.models.kmers import feature_names, kmer_features
from raygenex.sequence import to_string

WORDS = (1, 2, 3, 4, 5)


def compare(small: bool) -> Iterator[Row]:
    """Yield the row: the same words, in the same order, as a dense table of float32."""
    genes, window = (50, 500) if small else (2000, 2000)
    codes = np.random.default_rng(0).choice(5, (genes, window), p=[0.249, 0.249, 0.249, 0.249, 0.004]).astype(np.uint8)
    config = KmerConfig(k=WORDS, regions=1, onehot_bases=0, halflife=False)
    words = feature_names(config, window)

    def vectorizer() -> Callable[[], Any]:
        from sklearn.feature_extraction.text import CountVectorizer

        texts = [to_string(row) for row in codes]
        options = {"analyzer": "char", "ngram_range": (WORDS[0], WORDS[-1]), "lowercase": False, "dtype": np.float32}
        # Words with an N are not in its vocabulary, as they are none of raygenex's.
        return lambda: CountVectorizer(vocabulary=words, **options).transform(texts).toarray()

    yield from beside(
        f"words of 1 to 5 bases, {genes:,} promoters of {window:,}",
        lambda: kmer_features(codes, None, config),
        {"scikit-learn": vectorizer},
        equal,
        3 if small else 5,
    )
