import numpy as np
import pytest
from toy_variants import reference_window

from raygenex.sequence import from_string, reverse_complement, to_string
from raygenex.variants.windows import (
    changed_window,
    kind_of,
    left_align,
    moved_anchor,
    position_from_tss,
    trim,
)

# Base 8 is the TSS of a window from 4 to 12.
CHROM = "AAAACCCCGGGGTTTT"


def change(start, stop, allele, strand="+", margin=4, text=CHROM, low=4, high=12, tss=8):
    around = from_string(text)[low - margin : high + margin]
    return to_string(changed_window(around, margin, low, tss, strand, start, stop, from_string(allele)))


@pytest.mark.parametrize(
    ("ref", "alt", "expected"),
    [
        ("A", "G", (0, "A", "G")),
        ("AC", "AG", (1, "C", "G")),
        ("CAT", "CGT", (1, "A", "G")),
        ("ACG", "TCA", (0, "ACG", "TCA")),
        ("C", "CTT", (1, "", "TT")),
        ("CTT", "C", (1, "TT", "")),
        # Equal ends go first, so that what is left lies at the left of a repeat.
        ("CAA", "CA", (1, "A", "")),
        ("GTG", "G", (0, "GT", "")),
        ("CACAC", "CAC", (0, "CA", "")),
        ("ACGT", "AT", (1, "CG", "")),
        ("AC", "GTC", (0, "A", "GT")),
        ("AC", "AC", (0, "", "")),
    ],
)
def test_padding_is_cut_off(ref, alt, expected):
    assert trim(ref, alt) == expected


@pytest.mark.parametrize(
    ("start", "ref", "alt", "expected"),
    [
        # GAAAC: any A is the first.
        (3, "A", "", (1, "A", "")),
        (4, "", "A", (1, "", "A")),
        # What holds bases on both sides stays.
        (1, "A", "G", (1, "A", "G")),
        (3, "AA", "C", (3, "AA", "C")),
    ],
)
def test_indels_move_to_the_left(start, ref, alt, expected):
    assert left_align(start, ref, alt, lambda at: "GAAAC"[at]) == expected


def test_a_repeat_of_two_bases_turns_while_it_moves():
    text = "GCATATATC"
    assert left_align(6, "AT", "", lambda at: text[at]) == (2, "AT", "")
    assert left_align(5, "TA", "", lambda at: text[at]) == (2, "AT", "")
    assert left_align(8, "", "AT", lambda at: text[at]) == (2, "", "AT")


def test_unknown_bases_are_no_repeat_and_a_chromosome_has_a_beginning():
    assert left_align(3, "N", "", lambda at: "NNNN"[at]) == (3, "N", "")
    assert left_align(3, "A", "", lambda at: "AAAA"[at]) == (0, "A", "")


def test_moving_has_an_end():
    assert left_align(5000, "A", "", lambda at: "A")[0] == 4000


@pytest.mark.parametrize(
    ("ref", "alt", "kind"),
    [("A", "C", "snv"), ("AC", "GT", "mnv"), ("", "A", "insertion"), ("A", "", "deletion"), ("AC", "G", "delins")],
)
def test_kinds(ref, alt, kind):
    assert kind_of(ref, alt) == kind


def test_positions_are_of_the_first_base_on_the_genes_strand():
    assert position_from_tss(8, 9, 8, "+") == position_from_tss(8, 9, 8, "-") == 0
    assert position_from_tss(5, 7, 8, "+") == -3
    assert position_from_tss(9, 12, 8, "-") == -3
    # Before base 8: upstream of the TSS on +, and behind it, before base 7, on -.
    assert position_from_tss(8, 8, 8, "+") == 0
    assert position_from_tss(8, 8, 8, "-") == 1


def test_the_reference_is_read_on_the_genes_strand():
    around = from_string(CHROM)
    assert to_string(reference_window(around, 4, "+")) == "CCCCGGGG"
    assert to_string(reference_window(around, 4, "-")) == "CCCCGGGG"[::-1].translate(str.maketrans("CG", "GC"))
    assert to_string(reference_window(around[4:12], 0, "+")) == "CCCCGGGG"


@pytest.mark.parametrize(
    ("start", "stop", "allele", "expected"),
    [
        (5, 6, "T", "CTCCGGGG"),
        (8, 9, "T", "CCCCTGGG"),
        (10, 12, "AA", "CCCCGGAA"),
        # Upstream of the TSS: bases come in and go out at the left end.
        (6, 7, "", "ACCCGGGG"),
        (6, 6, "TT", "TTCCGGGG"),
        (5, 8, "", "AAACGGGG"),
        # Between TSS and the base before it: the TSS stays the same base.
        (8, 8, "TA", "CCTAGGGG"),
        # Downstream: at the right end.
        (9, 11, "", "CCCCGGTT"),
        (9, 9, "AA", "CCCCGAAG"),
        # The TSS goes: the first base behind it takes its place.
        (8, 10, "", "CCCCGGTT"),
        (7, 9, "", "ACCCGGGT"),
        (7, 10, "A", "CCCAGGTT"),
        # The TSS is replaced: the base as far into the allele is the new one.
        (7, 9, "AT", "CCCATGGG"),
        (7, 9, "ATT", "CCCATTGG"),
        # Across an end of the window.
        (2, 6, "", "AACCGGGG"),
        (11, 14, "", "CCCCGGGT"),
        (11, 13, "AAA", "CCCCGGGA"),
    ],
)
def test_windows_keep_their_length_and_their_tss(start, stop, allele, expected):
    assert change(start, stop, allele) == expected


@pytest.mark.parametrize(
    ("start", "stop", "allele", "expected"),
    [
        # The TSS of - is base 7 here, so that the window's strand reads CCCCGGGG with the TSS at index 4 again.
        (8, 8, "TA", "CCTAGGGG"),
        (8, 9, "", "ACCCGGGG"),
        (7, 8, "", "CCCCGGGT"),
        (6, 8, "", "CCCCGGTT"),
        (6, 9, "T", "CCCAGGTT"),
        (6, 7, "T", "CCCCGAGG"),
    ],
)
def test_the_other_strand_is_a_mirror(start, stop, allele, expected):
    # A palindrome: its other strand reads AAAACCCCGGGGTTTT as well.
    assert to_string(reverse_complement(from_string(CHROM))) == CHROM
    assert change(start, stop, allele, strand="-", tss=7) == expected


def test_a_window_beside_its_tss_is_held_at_its_nearest_base():
    # TSS 1, window from 4: base 4 is held.
    assert change(3, 5, "", tss=1) == "CCCGGGGT"
    assert change(6, 7, "", tss=1) == "CCCGGGGT"
    # TSS 14, window up to 11: base 11 is held.
    assert change(6, 7, "", tss=14) == "ACCCGGGG"


def test_anchors():
    assert moved_anchor(8, "+", 9, 12, 0) == 8
    assert moved_anchor(8, "+", 2, 5, 1) == 6
    assert moved_anchor(8, "+", 8, 8, 3) == 11
    assert moved_anchor(8, "-", 7, 9, 0) == 6


@pytest.mark.parametrize("seed", range(8))
def test_windows_are_cut_from_the_changed_chromosome(seed):
    """Rebuild the whole chromosome in letters, with every base numbered, and look for the TSS by its number."""
    rng = np.random.default_rng(seed)
    complement = dict(zip("ACGTN", "TGCAN", strict=True))
    for _ in range(150):
        size = int(rng.integers(30, 80))
        letters = "".join(rng.choice(list("ACGTN"), size, p=[0.24, 0.24, 0.24, 0.24, 0.04]))
        strand = "+-"[rng.integers(2)]
        tss = int(rng.integers(0, size))
        first, stop = -int(rng.integers(0, 12)), int(rng.integers(1, 12))
        low = tss + first if strand == "+" else tss - stop + 1
        high = low + stop - first
        start = int(rng.integers(max(low, 0), min(high, size)))
        end = min(size, start + int(rng.integers(0, 7)))
        allele = "".join(rng.choice(list("ACGT"), int(rng.integers(0, 7))))
        # Read along the gene's strand: then there is one rule and one direction.
        numbered = [(number, letter) for number, letter in enumerate(letters)]
        numbered = [*numbered[:start], *((None, letter) for letter in allele), *numbered[end:]]
        inside = tss - start if strand == "+" else end - 1 - tss
        if strand == "-":
            numbered = [(number, complement[letter]) for number, letter in reversed(numbered)]
        if start <= tss < end:
            left = start if strand == "+" else size - end
            at = left + min(inside, len(allele))
        else:
            at = [number for number, _ in numbered].index(tss)
        wanted = [at + offset for offset in range(first, stop)]
        expected = "".join(numbered[place][1] if 0 <= place < len(numbered) else "N" for place in wanted)
        margin = max(end - start, len(allele)) + int(rng.integers(0, 3))
        padded = "N" * 40 + letters + "N" * 40
        around = from_string(padded[40 + low - margin : 40 + high + margin])
        found = changed_window(around, margin, low, tss, strand, start, end, from_string(allele))
        assert to_string(found) == expected, (letters, strand, tss, first, stop, start, end, allele)
