"""The names, order and units of the eight half-life features."""

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

========================  ==========================================================  ==============================
name                      meaning                                                     unit
========================  ==========================================================  ==============================
``UTR5LEN``               length of the 5' untranslated region                        z-score of log10(bases + 0.1)
``CDSLEN``                length of the coding sequence                               z-score of log10(bases + 0.1)
``INTRONLEN``             summed length of the introns                                z-score of log10(bases + 0.1)
``UTR3LEN``               length of the 3' untranslated region                        z-score of log10(bases + 0.1)
``UTR5GC``                share of G and C in the 5' untranslated region              fraction, 0 to 1
``CDSGC``                 share of G and C in the coding sequence                     fraction, 0 to 1
``UTR3GC``                share of G and C in the 3' untranslated region              fraction, 0 to 1
``ORFEXONDENSITY``        exon junctions a 1000 coding bases                          junctions a kilobase, 0 or more
========================  ==========================================================  ==============================
"""
