"""In-silico mutagenesis: the logit of a gene with each single base exchanged for each of the three others."""

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.needs import require_dna
from raygenex.explain.methods.receptive_field import sees_little, substitution_logits
from raygenex.explain.methods.shared_prefix import prefix_logits
from raygenex.sequence import UNKNOWN


class Mutagenesis(NamedTuple):
    """What single substitutions do to N genes; NaN outside the region and at unknown bases.

    ``attribution`` (N, L) is minus the mean change of the logit over the three other bases, so that a base which holds
    the score up is positive. ``hypothetical`` (N, L, 4) is the logit with each base less the mean of the four; at the
    gene's own base it is three quarters of the attribution. ``logit`` (N,) is that of the gene itself.
    """

    attribution: NDArray[np.float32]
    hypothetical: NDArray[np.float32]
    logit: NDArray[np.float64]


def mutagenesis(
    function: LogitFunction, codes: NDArray[np.uint8], halflife: NDArray[Any], first: int = 0, stop: int | None = None
) -> Mutagenesis:
    """Score every substitution in a region of each gene, as prediction would.

    In a CNN on bases what a substitution does not reach is computed once (`receptive_field`), in a HyenaDNA what lies
    before it (`shared_prefix`).

    Parameters
    ----------
    function
        Any model that reads DNA, also one that has no gradients.
    codes
        Base indices, uint8 ``(N, L)``.
    halflife
        Features in their own units, shape ``(N, 8)``.
    first, stop
        The region, in positions of the window, ``0 <= first < stop <= L``; ``stop`` None is its end.

    Raises
    ------
    ConfigError
        If the model reads no DNA.
    """
    require_dna(function.predictor.info)
    n, length = codes.shape
    stop = length if stop is None else stop
    assert 0 <= first < stop <= length, (first, stop, length)
    logit = function.logits_of_codes(codes, halflife)
    # The gene's own base and the three others, of which the own one is known already.
    table = np.full((n, stop - first, 4), np.nan)
    own = np.where(codes[:, first:stop] < UNKNOWN, codes[:, first:stop], 0)[..., None]
    known = codes[:, first:stop] < UNKNOWN
    np.put_along_axis(table, own.astype(np.intp), np.where(known, logit[:, None], np.nan)[..., None], axis=-1)
    others = known[..., None] & (own != np.arange(4))
    route = substitution_logits if sees_little(function) else prefix_logits if function.embeds else None
    if route is not None:
        for gene in range(n):
            places, bases = np.nonzero(others[gene])
            scored = route(function, codes[gene], halflife[gene], first + places, bases)
            table[gene, places, bases] = scored
    else:
        genes, places, bases = np.nonzero(others)
        for start in range(0, len(genes), function.forward_rows):
            some = slice(start, start + function.forward_rows)
            changed = codes[genes[some]]
            changed[np.arange(len(changed)), first + places[some]] = bases[some]
            table[genes[some], places[some], bases[some]] = function.logits_of_codes(changed, halflife[genes[some]])
    attribution = np.full((n, length), np.nan, dtype=np.float32)
    hypothetical = np.full((n, length, 4), np.nan, dtype=np.float32)
    # The own base adds no change: the mean over three is a third of the sum over four.
    attribution[:, first:stop] = -(table - logit[:, None, None]).sum(axis=-1) / 3
    hypothetical[:, first:stop] = table - table.mean(axis=-1, keepdims=True)
    return Mutagenesis(attribution, hypothetical, logit)
