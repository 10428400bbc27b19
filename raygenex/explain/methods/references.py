"""The sequences that a gene is compared with: unknown bases, all bases in equal parts, or its own bases shuffled."""

import hashlib
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from raygenex.explain.methods.logit import EVEN
from raygenex.sequence import UNKNOWN

ReferenceKind = Literal["unknown", "uniform", "shuffled"]


def references(
    kind: ReferenceKind, codes: NDArray[np.uint8], gene_id: NDArray[np.str_], count: int, seed: int
) -> NDArray[np.uint8]:
    """Return the references of genes, by name.

    Parameters
    ----------
    kind
        ``unknown``, ``uniform`` or ``shuffled``.
    codes
        Base indices, uint8 ``(N, L)``.
    gene_id
        Names of the genes, shape ``(N,)``: a gene's shuffles depend on its name, bases and seed alone.
    count
        Shuffles per gene; of the other kinds there is one.
    seed
        Of the shuffles.

    Returns
    -------
    Rows for `raygenex.explain.methods.logit.soft_one_hot`, uint8 ``(N, R, L)``. A base that is unknown in the gene is
    unknown in its references too, so that nothing is attributed to it.
    """
    if kind == "unknown":
        return unknown(codes)
    if kind == "uniform":
        return uniform(codes)
    return np.stack([shuffled(bases, str(name), count, seed) for bases, name in zip(codes, gene_id, strict=True)])


def unknown(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return one reference per gene, of unknown bases, uint8 ``(N, 1, L)``."""
    return np.full_like(codes, UNKNOWN)[:, None]


def uniform(codes: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return one reference per gene, of all bases in equal parts where its own is known, uint8 ``(N, 1, L)``."""
    return np.where(codes < UNKNOWN, np.uint8(EVEN), np.uint8(UNKNOWN))[:, None]


def shuffled(codes: NDArray[np.uint8], gene_id: str, count: int, seed: int) -> NDArray[np.uint8]:
    """Shuffle the bases of one gene and keep every dinucleotide count.

    Each run of known bases is shuffled by itself; the unknown ones between them stay where they are. Shuffle r of a
    gene is the same whatever the number of shuffles.

    Parameters
    ----------
    codes
        Base indices, uint8 ``(L,)``.
    gene_id
        Name of the gene.
    count
        Number of shuffles.
    seed
        At least 0.

    Returns
    -------
    Base indices, uint8 ``(count, L)``.
    """
    name = int.from_bytes(hashlib.sha256(gene_id.encode()).digest()[:8], "big")
    edges = np.flatnonzero(np.diff(np.concatenate([[False], codes < UNKNOWN, [False]]).astype(np.int8)))
    shuffles = np.repeat(codes[None], count, axis=0)
    for number, row in enumerate(shuffles):
        rng = np.random.default_rng([seed, name, number])
        for first, stop in edges.reshape(-1, 2):
            row[first:stop] = shuffle_dinucleotides(codes[first:stop], rng)
    return shuffles


def shuffle_dinucleotides(codes: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Draw a sequence with the dinucleotide counts, the first and the last base of another, all being equally likely.

    A sequence is a walk over its bases that takes every dinucleotide once: an Eulerian path. A random last exit of
    every base, such that they all lead to the last base, and a random order of the other exits give each such path with
    equal probability (Altschul & Erickson, Molecular Biology and Evolution 2:526, 1985). tangermeme's
    shuffle draws from fewer of them: of the 15 such sequences for ACAGACGCA it reaches 4.

    Parameters
    ----------
    codes
        Base indices 0 to 3, uint8 ``(L,)``.
    rng
        Source of chance.

    Returns
    -------
    Base indices, uint8 ``(L,)``.
    """
    if len(codes) < 3:
        return codes.copy()
    end = int(codes[-1])
    exits = [codes[1:][codes[:-1] == base] for base in range(UNKNOWN)]
    final = _last_exits(exits, end, rng)
    orders: list[list[int]] = []
    for base, targets in enumerate(exits):
        mixed = rng.permutation(targets)
        if base in final:
            # Which of several exits to the same base is the last makes no difference to the sequence.
            kept = np.flatnonzero(mixed == final[base])[0]
            mixed = np.append(rng.permutation(np.delete(mixed, kept)), final[base])
        # Taken from the end.
        orders.append(mixed[::-1].tolist())
    at = int(codes[0])
    walk = [at]
    for _ in range(len(codes) - 1):
        at = orders[at].pop()
        walk.append(at)
    return np.array(walk, dtype=np.uint8)


def _last_exits(exits: list[NDArray[np.uint8]], end: int, rng: np.random.Generator) -> dict[int, int]:
    """Draw the last exit of every base but ``end``, so that following them leads to ``end`` from everywhere."""
    others = [base for base, targets in enumerate(exits) if len(targets) and base != end]
    while True:
        final = {base: int(rng.choice(exits[base])) for base in others}
        reached = {end}
        for _ in others:
            reached |= {base for base in others if final[base] in reached}
        if reached >= set(others):
            return final
