"""Motifs with published consensus sequences, for simulated promoters with a known truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from raygenex import sequence

WEAKEST = 0.5
"""Strength of a site with all the mismatches its motif allows; one without any has strength 1."""

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
    ranges: tuple[tuple[int, int], ...]
    """Lowest and highest position of the leftmost base, from the TSS; a site's place is drawn over all of them."""
    both_strands: bool
    """Whether the site may lie on either strand."""
    share: float
    """Share of promoters that are given the site."""
    effect: float
    """What a site of strength 1 adds to the raw DNA score; below 0 for a repressor."""
    mismatches: int
    """Mismatches of the weakest sites, at least 1; a site has any number up to it, all equally likely."""
    copies: tuple[int, int] = (1, 1)
    """Fewest and most sites of a promoter that has any."""

    @property
    def length(self) -> int:
        """Bases of the site."""
        return len(self.consensus)

    def strength(self, mismatches: int) -> float:
        """Return the strength of a site with so many mismatches: from 1 down to `WEAKEST` in equal steps."""
        assert 0 <= mismatches <= self.mismatches, (self.name, mismatches)
        return 1 - (1 - WEAKEST) * mismatches / self.mismatches

    def allowed(self) -> NDArray[np.bool_]:
        """Return which of A, C, G, T the consensus allows, shape ``(length, 4)``."""
        return np.array([[base in _ALLOWED[letter] for base in "ACGT"] for letter in self.consensus])

    def weights(self) -> NDArray[np.float64]:
        """Return the position weight matrix of all sites: probabilities of A, C, G, T, shape ``(length, 4)``."""
        allowed = self.allowed()
        count = allowed.sum(axis=1, keepdims=True)
        # On average half of the most mismatches, spread evenly over the positions that can have one.
        missed = np.where(count < 4, self.mismatches / 2 / (count < 4).sum(), 0.0)
        return np.where(allowed, (1 - missed) / count, missed / np.maximum(4 - count, 1))

    def sample(self, mismatches: int, strand: str, rng: np.random.Generator) -> NDArray[np.uint8]:
        """Draw a site as it reads on the sense strand.

        Parameters
        ----------
        mismatches
            Positions that hold a base the consensus does not allow, drawn among those that are not N.
        strand
            ``+`` or ``-``.
        rng
            Draws the letters.

        Returns
        -------
        Base indices, shape ``(length,)``.
        """
        choices = self.allowed()
        missed = rng.permutation(np.flatnonzero(~choices.all(axis=1)))[:mismatches]
        choices[missed] = ~choices[missed]
        site = np.array([rng.choice(np.flatnonzero(row)) for row in choices], dtype=np.uint8)
        return site if strand == "+" else sequence.reverse_complement(site)


_DISTAL = ((-4000, -150), (150, 4000))

CORE_MOTIFS = (
    Motif("TATA", "TATAWAAR", ((-31, -30),), False, 0.3, 1.0, 2),
    Motif("INR", "YYANWYY", ((-2, -2),), False, 0.5, 0.4, 1),
    Motif("SP1", "KRGGCGKRRY", ((-150, -30),), True, 0.5, 0.3, 1, (3, 6)),
    Motif("NFY", "RRCCAATSR", ((-140, -40),), True, 0.4, 0.25, 1, (2, 4)),
    Motif("NRF1", "YGCGCAYGCGCR", ((-80, 40),), True, 0.4, 0.3, 3, (2, 4)),
    Motif("ETS", "ACCGGAAGT", ((-80, 40),), True, 0.4, 0.2, 2, (2, 4)),
    Motif("REST", "TTYAGCACCNNGGASAGNGCC", ((-100, 40),), True, 0.4, -0.4, 4, (1, 3)),
)
"""Motifs of the core promoter, those with the least freedom of position first.

Consensus and usual position: TATA box, Bucher, J Mol Biol 212:563 (1990); initiator, its A at the TSS, Javahery et al.,
Mol Cell Biol 14:116 (1994); GC box of SP1, Kadonaga et al., Trends Biochem Sci 11:20 (1986); CCAAT box of NF-Y,
Mantovani, Nucleic Acids Res 26:1135 (1998); NRF1, Virbasius et al., Genes Dev 7:2431 (1993); ETS factors, Wei et al.,
EMBO J 29:2147 (2010); the repressor REST, Schoenherr et al., PNAS 93:9881 (1996). Ranges are rounded; shares, effects,
copies and mismatches are choices of this simulation.
"""

ENHANCER_MOTIFS = (
    Motif("HNF1", "GTTAATNATTAAC", _DISTAL, True, 0.4, 0.2, 2),
    Motif("CEBP", "RTTGCGYAAY", _DISTAL, True, 0.4, 0.2, 1),
    Motif("CREB", "TGACGTCA", _DISTAL, True, 0.4, 0.2, 1),
    Motif("AP1", "TGASTCA", _DISTAL, True, 0.4, 0.2, 1),
)
"""Motifs of enhancers, planted away from the TSS where the window reaches that far.

Consensus: HNF1, Schrem et al., Pharmacol Rev 54:129 (2002); C/EBP, Osada et al., J Biol Chem 271:3891 (1996); CREB,
Montminy et al., PNAS 83:6682 (1986); AP-1, Angel et al., Cell 49:729 (1987). The rest are choices of this simulation.
"""

MOTIFS = CORE_MOTIFS + ENHANCER_MOTIFS
"""All planted motifs, in the order in which they are given their places."""
