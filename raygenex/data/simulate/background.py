"""Background DNA of simulated promoters: a Markov chain whose GC and CpG content follow a CpG island."""

import numpy as np
from numpy.typing import NDArray

MAX_ORDER = 5

ISLAND_GC = 0.42
"""Share of the way from the background's GC content to 1 that a CpG island of strength 1 goes: from 0.40 to 0.65."""

ISLAND_CPG = 0.75
"""Share of the way from the background's CpG ratio to 1 that a CpG island of strength 1 goes: from 0.25 to 0.81."""

CONTEXT_SD = 0.2
"""Standard deviation of the log-weights by which longer contexts (order 2 and above) favour one base over another."""

LEVELS = 64
"""Steps in which island strength is rounded, so that the chain's probabilities are a table."""

_BURN_IN = 64
_MAX_ROUNDS = 2000
_TOLERANCE = 1e-7
# Random numbers are 16-bit integers: no probability is off by more than 2**-16.
_UNIT = 2**16
_C, _G = 1, 2


class Background:
    """A Markov chain over A, C, G, T that meets a GC content and a CpG ratio at every island strength.

    The chain of order 1 takes base ``b`` after ``a`` with probability ``f(a, b) / p(a)``. Here ``p`` is composition,
    half of the GC content each for C and G and half of the rest each for A and T, and ``f(a, b) = u(a) v(b) r(a, b)``,
    ``r`` being 1 but for CG, with factors ``u``, ``v`` and ``r(C, G)`` for which both margins of ``f`` are ``p`` and
    ``f(C, G)`` is the CpG ratio times ``p(C) p(G)``. Order 0 draws from ``p`` and knows no CpG ratio. Above order 1,
    probabilities are multiplied by ``exp(CONTEXT_SD * w)``, a standard normal ``w`` for each context and base, and by
    factors of the last base and the next that restore ``f``.

    An island of strength ``s`` moves the GC content by `ISLAND_GC` ``* s`` of its distance from 1, and the CpG ratio by
    `ISLAND_CPG` ``* s`` of its.

    Parameters
    ----------
    order
        Bases that the next one depends on, 0 to 5.
    gc
        GC content without an island, between 0 and 1.
    cpg_ratio
        Observed CG dinucleotides over those expected of the composition, without an island, 0 to 1.
    rng
        Draws ``w``.
    """

    def __init__(self, order: int, gc: float, cpg_ratio: float, rng: np.random.Generator) -> None:
        assert 0 <= order <= MAX_ORDER, order
        assert 0 < gc < 1, gc
        assert 0 <= cpg_ratio <= 1, cpg_ratio
        self.order = order
        strength = np.arange(LEVELS + 1) / LEVELS
        contents = gc + ISLAND_GC * strength * (1 - gc)
        ratios = cpg_ratio + ISLAND_CPG * strength * (1 - cpg_ratio)
        self.probabilities = _probabilities(order, contents, ratios, rng)
        """Of A, C, G, T, by island level and context (its last base varies fastest): ``(LEVELS + 1, 4**order, 4)``."""
        steps = np.rint(self.probabilities.cumsum(axis=2)[:, :, :3] * _UNIT)
        self._steps = np.ascontiguousarray(np.minimum(steps, _UNIT - 1).reshape(-1, 3).T.astype(np.uint16))

    def draw(self, island: NDArray[np.floating], rngs: list[np.random.Generator]) -> NDArray[np.uint8]:
        """Draw sequences; each depends on its own island and generator alone.

        Parameters
        ----------
        island
            Strength of the CpG island at every base, 0 to 1, shape ``(n, window)``.
        rngs
            A generator for each sequence.

        Returns
        -------
        Base indices, shape ``(n, window)``.
        """
        n, window = island.shape
        contexts = 4**self.order
        # Positions come first, so that each step of the chain reads and writes contiguous memory.
        rows = np.zeros((_BURN_IN + window, n), dtype=np.int32)
        rows[_BURN_IN:] = np.rint(island.T * LEVELS)
        rows *= contexts
        numbers = np.empty((n, _BURN_IN + window), dtype=np.uint16)
        for row, rng in zip(numbers, rngs, strict=True):
            row[:] = rng.integers(0, _UNIT, _BURN_IN + window, dtype=np.uint16)
        columns = np.ascontiguousarray(numbers.T)
        bases = np.empty((_BURN_IN + window, n), dtype=np.uint8)
        # The burn-in forgets the context AA... that every sequence starts from.
        context = np.zeros(n, dtype=np.int32)
        first, second, third = self._steps
        for row, number, base in zip(rows, columns, bases, strict=True):
            row += context
            np.add(number >= first[row], number >= second[row], out=base, dtype=np.uint8)
            base += number >= third[row]
            context *= 4
            context += base
            context &= contexts - 1
        return np.ascontiguousarray(bases[_BURN_IN:].T)


def _probabilities(
    order: int, gc: NDArray[np.float64], cpg_ratio: NDArray[np.float64], rng: np.random.Generator
) -> NDArray[np.float64]:
    composition = np.stack([1 - gc, gc, gc, 1 - gc], axis=1) / 2
    if order == 0:
        return composition[:, None, :]
    pairs = _pairs(composition, cpg_ratio)
    chain = pairs / composition[:, :, None]
    if order == 1:
        return chain
    contexts = 4**order
    weights = np.exp(CONTEXT_SD * rng.standard_normal((contexts, 4)))
    factors = np.ones_like(pairs)
    share = np.full((len(gc), contexts), 1 / contexts)
    for _ in range(_MAX_ROUNDS):
        free = np.tile(chain * factors, (1, contexts // 4, 1)) * weights
        free /= free.sum(axis=2, keepdims=True)
        joint = share[:, :, None] * free
        # Forgetting the oldest base of the context and appending the new one gives the next context.
        share = joint.reshape(len(gc), 4, contexts).sum(axis=1)
        found = joint.reshape(len(gc), contexts // 4, 4, 4).sum(axis=1)
        if np.abs(found - pairs).max() < _TOLERANCE:
            return free
        factors *= np.divide(pairs, found, out=np.ones_like(pairs), where=found > 0)
    raise AssertionError("the factors of the background's chain did not settle")


def _pairs(composition: NDArray[np.float64], cpg_ratio: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the shares of all dinucleotides, shape ``(n, 4, 4)``, by iterative proportional fitting."""
    pairs = composition[:, :, None] * composition[:, None, :]
    cpg = pairs[:, _C, _G] * cpg_ratio
    for _ in range(_MAX_ROUNDS):
        pairs[:, _C, _G] = cpg
        pairs *= (composition / pairs.sum(axis=2))[:, :, None]
        pairs *= (composition / pairs.sum(axis=1))[:, None, :]
        off = np.abs(pairs.sum(axis=2) - composition).max() + np.abs(pairs[:, _C, _G] - cpg).max()
        if off < _TOLERANCE:
            return pairs
    raise AssertionError("the dinucleotides of the background did not settle")
