"""What became of the records of a file of variants, and whether enough of them fit the genome."""

import logging
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from raygenex.errors import DataError

_LOG = logging.getLogger(__name__)

NO_CHROMOSOME = "chromosome not in the genome"
BEYOND = "beyond the end of the chromosome"

MOST_MISFITS = 0.1
"""Share of the alleles that may be skipped, or of those in a window that may have another REF than the genome."""


def in_words(skipped: Mapping[str, int]) -> str:
    """List reasons and how often each holds, the most frequent first."""
    return ", ".join(f"{count} {reason}" for reason, count in Counter(skipped).most_common())


@dataclass
class Counts:
    """What became of the records of a file."""

    records: int = 0
    alleles: int = 0
    """Alternative alleles, a missing one counted as one."""
    effects: int = 0
    """Pairs of an allele and a gene whose window it changes."""
    genes: set[int] = field(default_factory=set)
    """Rows of the genes with an allele in their window."""
    inside: int = 0
    """Alleles that lie in a window."""
    outside: int = 0
    """Alleles that change no gene's window."""
    mismatched: int = 0
    """Alleles in a window whose REF is not what the genome has there."""
    skipped: Counter[str] = field(default_factory=Counter)
    """Alleles that cannot be scored, by reason."""
    skip: str = ""
    """The first allele that was skipped, in words."""
    mismatch: str = ""
    """The first allele whose REF is not what the genome has, in words."""

    def judge(self, path: str, genome: str) -> None:
        """Warn if much of a file does not fit the genome.

        Raises
        ------
        DataError
            If nothing does: no allele can be scored, or no REF in a window is what the genome has there.
        """
        skipped = sum(self.skipped.values())
        reasons = in_words(self.skipped)
        one_build = "use variants and a genome of one build"
        if skipped and skipped == self.alleles:
            is_elsewhere = NO_CHROMOSOME in self.skipped or BEYOND in self.skipped
            raise DataError(
                f"{path}: none of its {skipped} alleles can be scored on {genome} ({reasons}), such as {self.skip}: "
                + (one_build if is_elsewhere else "name variants whose REF and ALT are letters of DNA")
            )
        if self.mismatched and self.mismatched == self.inside:
            raise DataError(
                f"{path}: none of its {self.inside} alleles in a window has the REF of {genome}, such as "
                f"{self.mismatch}: {one_build}"
            )
        if skipped > MOST_MISFITS * self.alleles:
            _LOG.warning("%s: %d of %d alleles are skipped (%s)", path, skipped, self.alleles, reasons)
        if self.mismatched:
            advice = f"; {one_build}" if self.mismatched > MOST_MISFITS * self.inside else ""
            _LOG.warning(
                "%d of the %d alleles in a window have a REF that is not in %s: their rows have no effect%s",
                *(self.mismatched, self.inside, genome, advice),
            )
