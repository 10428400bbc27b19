"""Random sequences, and how alike they are by the slow way."""

import numpy as np

from raygenex.data.sketches import EMPTY
from raygenex.sequence import reverse_complement, to_string


def random_bases(rng, *shape):
    return rng.integers(0, 4, shape, dtype=np.uint8)


def mutate(rng, sequences, rate):
    return np.where(rng.random(sequences.shape) < rate, random_bases(rng, *sequences.shape), sequences)


def kmer_set(sequence, k):
    """The canonical k-mers of a sequence, the slow way."""
    found = set()
    for start in range(len(sequence) - k + 1):
        kmer = sequence[start : start + k]
        if (kmer < 4).all():
            found.add(min(to_string(kmer), to_string(reverse_complement(kmer))))
    return found


def exact(a, b, k=16):
    a, b = kmer_set(a, k), kmer_set(b, k)
    return len(a & b) / len(a | b)


def jaccard(a, b):
    """The similarity that sketches say: the share of columns that agree."""
    return ((a == b) & (a != EMPTY)).mean(axis=-1)
