"""The eight half-life features: names, order, units, and scales."""

from collections.abc import Sequence

HALFLIFE_FEATURES = (
    "UTR5LEN",
    "CDSLEN",
    "INTRONLEN",
    "UTR3LEN",
    "UTR5GC",
    "CDSGC",
    "UTR3GC",
    "ORFEXONDENSITY",
)
"""The columns of ``halflife``, in order: features of the transcript that go with the half-life of its mRNA.

The choice and the order are those of Xpresso (Agarwal and Shendure, Cell Reports 31:107663, 2020), as used by Duan,
Huang and Li.

==================  =====================================================================  ==========================
name                meaning                                                                unit
==================  =====================================================================  ==========================
``UTR5LEN``         exonic bases upstream of the coding sequence                           log10(bases + 0.1)
``CDSLEN``          coding bases, from the start codon to the stop codon, both included    log10(bases + 0.1)
``INTRONLEN``       bases between the transcript's exons, all introns together             log10(bases + 0.1)
``UTR3LEN``         exonic bases downstream of the coding sequence                         log10(bases + 0.1)
``UTR5GC``          share of G and C among the known bases of the 5' untranslated region   fraction, 0 to 1
``CDSGC``           the same of the coding sequence                                        fraction, 0 to 1
``UTR3GC``          the same of the 3' untranslated region                                 fraction, 0 to 1
``ORFEXONDENSITY``  exons that hold coding bases, for every 1000 coding bases              exons a kilobase, above 0
==================  =====================================================================  ==========================

A region without bases has length 0, so log10(0.1) = -1, and GC 0, as in the published tables. Files that `data build`
wrote hold the lengths as above and say ``halflife_scale = log10``; the published files hold their z-scores over all
genes. Either way a model standardises all eight with mean and spread of its training genes, and keeps these in its
checkpoint.

The published ORFEXONDENSITY, called a junction density there, counts coding exons, not the junctions between them: it
is 1.70 for RHOB, whose coding sequence of one exon has 588 bases without the stop codon, and 4.46 for ACTB with five
exons and 1,125 bases. These are 1000 * exons / (bases - exons) to every digit, so each published exon is one base short
too; the published CDSLEN fits the same lengths. Here no base is lost.
"""

LENGTHS = slice(0, 4)
"""Columns that hold lengths."""

GC_FRACTIONS = slice(4, 7)
"""Columns that hold GC fractions."""


def features_in_words(names: Sequence[str]) -> str:
    """Return what a model's features are called in figures and sentences: by their kind where they are the eight."""
    return "half-life features" if set(names) <= set(HALFLIFE_FEATURES) else "features"
