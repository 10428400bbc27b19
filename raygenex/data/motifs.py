"""Core-promoter motifs with published consensus sequences, for simulated promoters with a known truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex import sequence

FIDELITY = 0.95
"""Chance that a planted base is one that the consensus allows; the rest is shared by the other bases."""

_ALLOWED = {
    **{base: base for base in "ACGT"},
    **{"R": "AG", "Y": "CT", "S": "CG", "W": "AT", "K": "GT", "M": "AC", "N": "ACGT"},
}


@dataclass(frozen=True)
class Motif:
    """A transcription factor's binding site and its part in a simulation."""

    name: str
    consensus: str
    """IUPAC letters of the sense strand, 5' to 3'."""
    first: int
    """Lowest position of the leftmost base, from the TSS."""
    last: int
    """Highest position of the leftmost base, from the TSS."""
    both_strands: bool
    """Whether the site may lie on either strand."""
    share: float
    """Share of promoters that are given the site."""
    effect: float
    """What a site adds to the raw motif score; below 0 for a repressor."""

    @property
    def length(self) -> int:
        """Bases of the site."""
        return len(self.consensus)

    def weights(self) -> NDArray[np.float64]:
        """Return the position weight matrix: probabilities of A, C, G, T, shape ``(length, 4)``, rows sum to 1."""
        matrix = np.zeros((self.length, 4))
        for i, letter in enumerate(self.consensus):
            allowed = np.isin(list("ACGT"), list(_ALLOWED[letter]))
            others = max(1, 4 - allowed.sum())
            matrix[i] = np.where(allowed, FIDELITY / allowed.sum(), (1 - FIDELITY) / others)
        return matrix / matrix.sum(axis=1, keepdims=True)

    def sample(self, strand: str, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw one site as it reads on the sense strand: base indices, shape ``(length,)``; ``strand`` is + or -."""
        cumulative = self.weights().cumsum(axis=1)
        drawn = (rng.random((self.length, 1)) > cumulative).sum(axis=1)
        # Rounding may leave the last cumulative probability just below 1.
        site = np.minimum(drawn, 3).astype(np.uint8)
        return site if strand == "+" else sequence.reverse_complement(site)


MOTIFS = (
    Motif("TATA", "TATAWAAR", -32, -29, False, 0.3, 1.0),
    Motif("INR", "YYANWYY", -2, -2, False, 0.5, 0.6),
    Motif("SP1", "KRGGCGKRRY", -120, -35, True, 0.6, 1.0),
    Motif("NFY", "RRCCAATSR", -100, -45, True, 0.4, 1.0),
    Motif("NRF1", "YGCGCAYGCGCR", -60, 20, True, 0.4, 1.0),
    Motif("ETS", "ACCGGAAGT", -60, 30, True, 0.4, 0.8),
    Motif("REST", "TTYAGCACCNNGGASAGNGCC", -110, 25, True, 0.4, -1.4),
)
"""The planted motifs, those with the least freedom of position first.

Consensus and usual position: TATA box, Bucher, J Mol Biol 212:563 (1990); initiator, its A at the TSS, Javahery et al.,
Mol Cell Biol 14:116 (1994); GC box of SP1, Kadonaga et al., Trends Biochem Sci 11:20 (1986); CCAAT box of NF-Y,
Mantovani, Nucleic Acids Res 26:1135 (1998); NRF1, Virbasius et al., Genes Dev 7:2431 (1993); ETS factors, Wei et al.,
EMBO J 29:2147 (2010); the repressor REST, Schoenherr et al., PNAS 93:9881 (1996). Shares and effects are choices of
this simulation.
"""
