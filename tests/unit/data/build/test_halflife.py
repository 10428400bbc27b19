"""Half-life features against numbers worked out by hand."""

from math import log10

import numpy as np
import pytest
from toy_genome import CHROM_I, CHROM_II, M_CDS1, M_CDS2, P_CDS1, P_CDS2, S_CDS

from raygenex.data.build.halflife import cut_regions, gc_fraction, halflife_features, length, scale_lengths, splice
from raygenex.data.build.transcripts import Transcript
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.sequence import from_string, to_string


def transcript(strand, exons, cds, chrom="I"):
    return Transcript(
        transcript_id="t",
        gene_id="g",
        gene_name="",
        biotype="protein_coding",
        chrom=chrom,
        strand=strand,
        start=exons[0][0],
        end=exons[-1][1],
        exons=tuple(exons),
        cds=tuple(cds),
        tags=frozenset(),
    )


def fetcher(text):
    return lambda start, stop: from_string(text[start:stop])


PLUS = transcript("+", [(21, 40), (51, 80)], [(31, 40), (51, 70)])
MINUS = transcript("-", [(131, 150), (161, 190)], [(141, 150), (161, 174)])
SINGLE = transcript("+", [(31, 60)], [(31, 60)], "II")


def test_a_gene_on_the_plus_strand():
    features, cds = halflife_features(PLUS, fetcher(CHROM_I))
    # 5' UTR GGGGGCCAAT: 7 of 10; coding ATG GCC AAA CCC GGT TTA CAT TTG CAT TAA: 12 of 30; 3' UTR AAATTTGCTA: 2 of 10.
    expected = [log10(10.1), log10(30.1), log10(10.1), log10(10.1), 0.7, 0.4, 0.2, 2 / 0.030]
    np.testing.assert_allclose(features, expected, rtol=1e-12)
    assert to_string(cds) == P_CDS1 + P_CDS2


def test_a_gene_on_the_minus_strand_with_unknown_bases():
    features, cds = halflife_features(MINUS, fetcher(CHROM_I))
    # 5' UTR CCCCGGGGAAAATTTT: 8 of 16; coding ATG AAA CCC GGG TTT GCA TGC TAG: 12 of 24; 3' UTR GNNAAAAAAA: 1 of 8.
    expected = [log10(16.1), log10(24.1), log10(10.1), log10(10.1), 0.5, 0.5, 0.125, 2 / 0.024]
    np.testing.assert_allclose(features, expected, rtol=1e-12)
    assert to_string(cds) == M_CDS1 + M_CDS2


def test_a_gene_without_untranslated_regions_and_introns():
    features, cds = halflife_features(SINGLE, fetcher(CHROM_II))
    # Coding ATG, 24 C, TAA: 25 of 30.
    expected = [-1, log10(30.1), -1, -1, 0, 25 / 30, 0, 1 / 0.030]
    np.testing.assert_allclose(features, expected, rtol=1e-12)
    assert to_string(cds) == S_CDS


def test_untranslated_exons_count_as_such():
    # Exons 1-10 (untranslated), 21-40 (coding from 31), 51-60 (coding to 55), 71-90 (untranslated).
    found = cut_regions(transcript("+", [(1, 10), (21, 40), (51, 60), (71, 90)], [(31, 40), (51, 55)]))
    assert found.utr5 == ((1, 10), (21, 30))
    assert found.utr3 == ((56, 60), (71, 90))
    assert (length(found.utr5), length(found.cds), length(found.utr3)) == (20, 15, 25)
    assert found.intron_bases == 10 + 10 + 10
    assert found.coding_exons == 2
    mirrored = cut_regions(transcript("-", [(1, 10), (21, 40), (51, 60), (71, 90)], [(31, 40), (51, 55)]))
    assert (mirrored.utr5, mirrored.utr3) == (found.utr3, found.utr5)


def test_a_stop_codon_over_an_intron_is_part_of_two_exons():
    found = cut_regions(transcript("+", [(1, 20), (31, 50)], [(11, 20), (31, 31)]))
    assert found.coding_exons == 2
    assert length(found.cds) == 11
    assert found.utr3 == ((32, 50),)


def test_splicing_joins_in_the_order_of_the_strand():
    fetch = fetcher("AACCGGTTAC")
    assert to_string(splice([(1, 2), (5, 6)], "+", fetch)) == "AAGG"
    assert to_string(splice([(1, 2), (5, 6)], "-", fetch)) == "CCTT"
    assert splice([], "+", fetch).shape == (0,)


@pytest.mark.parametrize(("text", "expected"), [("", 0.0), ("NNN", 0.0), ("GCNN", 1.0), ("ACGT", 0.5), ("AAAG", 0.25)])
def test_gc_counts_known_bases(text, expected):
    assert gc_fraction(from_string(text)) == expected


def test_lengths_become_logarithms():
    np.testing.assert_allclose(scale_lengths(np.array([0, 1, 99.9])), [-1, log10(1.1), 2])


def test_the_published_density_counts_coding_exons():
    # RHOB: one coding exon, 588 coding bases without the stop codon; ACTB: five and 1,125. Published: 1.70 and 4.46.
    for exons, bases, published in ((1, 588, 1.70), (5, 1125, 4.46)):
        assert round(1000 * exons / (bases - exons), 2) == published
    assert HALFLIFE_FEATURES[7] == "ORFEXONDENSITY"
