import gzip
import itertools

import pytest

from raygenex.data.build.bed import bed_lines, read_peaks
from raygenex.data.build.transcripts import Transcript, choose_transcript
from raygenex.errors import DataError

ORDER = ("canonical", "mane", "appris", "longest_cds")


def transcript(name, *tags, exons=((1, 100),), cds=()):
    return Transcript(name, "G", "", "", "I", "+", exons[0][0], exons[-1][1], exons, cds, frozenset(tags))


def choose(*transcripts, order=ORDER):
    """Choose among transcripts, in every order of theirs."""
    found = {
        (chosen.transcript_id, rule)
        for shuffled in itertools.permutations(transcripts)
        for chosen, rule in [choose_transcript(shuffled, order)]
    }
    assert len(found) == 1
    return found.pop()


def test_a_gene_with_one_transcript_needs_no_rule():
    assert choose(transcript("a", "Ensembl_canonical")) == ("a", "only")


def test_rules_decide_in_their_order():
    found = (
        transcript("a", "Ensembl_canonical"),
        transcript("b", "MANE_Select"),
        transcript("c", "appris_principal_1"),
        transcript("d", cds=((1, 9),)),
    )
    assert choose(*found) == ("a", "canonical")
    assert choose(*found, order=("mane", "canonical")) == ("b", "mane")
    assert choose(*found, order=("appris",)) == ("c", "appris")
    assert choose(*found, order=("longest_cds", "mane")) == ("d", "longest_cds")
    assert choose(*found[1:]) == ("b", "mane")
    assert choose(*found[2:]) == ("c", "appris")


def test_later_rules_choose_among_those_an_earlier_one_kept():
    found = (
        transcript("a", "appris_principal_1", cds=((1, 9),)),
        transcript("b", "appris_principal_1", cds=((1, 6), (10, 15))),
        transcript("c", cds=((1, 90),)),
    )
    assert choose(*found) == ("b", "longest_cds")


@pytest.mark.parametrize(
    ("better", "worse"),
    [
        ("principal_1", "principal_2"),
        ("principal", "principal_2"),
        ("principal_2", "principal_5"),
        ("principal_5", "alternative_1"),
        ("alternative_1", "alternative_2"),
        ("alternative_2", "candidate"),
    ],
)
def test_ranks_of_appris(better, worse):
    found = transcript("z", f"appris_{better}", cds=((1, 3),)), transcript("a", f"appris_{worse}", cds=((1, 9),))
    assert choose(*found) == ("z", "appris")


def test_what_codes_for_nothing_is_never_the_longest_cds():
    found = transcript("a", exons=((1, 900),)), transcript("b", cds=((1, 3),))
    assert choose(*found) == ("b", "longest_cds")


def test_ties():
    long = ((1, 20), (31, 60))
    assert choose(transcript("a", exons=((1, 40), (51, 60))), transcript("b", exons=((1, 49),))) == ("a", "tie")
    assert choose(transcript("b", exons=long), transcript("c", exons=long), transcript("a")) == ("a", "tie")
    assert choose(transcript("b", exons=long), transcript("c", exons=long)) == ("b", "tie")
    coding = transcript("b", cds=((1, 9),)), transcript("c", cds=((11, 19),)), transcript("a")
    assert choose(*coding) == ("b", "tie")


# Positions, 1-based: I + 11 (thick), 31 (middle of 21-40, lower: 30), 30 with the same score; I - 11; II + 6.
PEAKS = """track name=peaks
# comment

I\t5\t20\tp1\t7\t+\t10\t11\t0,0,0
I\t20\t40\tp2\t3\t+
I\t29\t34\tp3\t3.5\t+\t0\t0
I\t5\t20\tp4\t9\t-\t10\t11
II\t5\t6\tp5\t0\t+
"""


@pytest.fixture
def peaks(tmp_path):
    def make(text=PEAKS, pack=str.encode):
        path = tmp_path / "peaks.bed"
        path.write_bytes(pack(text))
        return read_peaks(str(path))

    return make


@pytest.mark.parametrize("pack", [str.encode, lambda text: gzip.compress(text.encode())])
def test_peaks_of_a_bed(peaks, pack):
    found = peaks(pack=pack)
    shown = {place: (list(positions), list(scores)) for place, (positions, scores) in found.peaks.items()}
    assert shown == {
        ("I", "+"): ([11, 30, 32], [7, 3, 3.5]),
        ("I", "-"): ([11], [9]),
        ("II", "+"): ([6], [0]),
    }


def test_peaks_between_spaces(peaks):
    assert peaks("I 4 5 p 1 +\n").peak_tss("I", 5, "+", 0) == 5


@pytest.mark.parametrize(
    ("chrom", "tss", "strand", "distance", "found"),
    [
        ("I", 11, "+", 0, 11),
        ("I", 12, "+", 0, None),
        ("I", 12, "+", 1, 11),
        ("I", 6, "+", 5, 11),
        ("I", 6, "+", 4, None),
        ("I", 31, "+", 1, 32),
        ("I", 30, "+", 1, 30),
        ("I", 21, "+", 10, 11),
        ("I", 22, "+", 10, 32),
        ("I", 22, "+", 11, 11),
        ("I", 12, "-", 1, 11),
        ("II", 12, "-", 99, None),
        ("II", 1, "+", 5, 6),
        ("III", 1, "+", 99, None),
    ],
)
def test_peak_tss(peaks, chrom, tss, strand, distance, found):
    assert peaks().peak_tss(chrom, tss, strand, distance) == found


def test_equal_scores_give_the_nearer_then_the_lower(peaks):
    found = peaks("".join(f"I\t{start}\t{start + 1}\t.\t5\t+\n" for start in (19, 9, 25, 13)))
    assert found.peak_tss("I", 13, "+", 20) == 14
    assert found.peak_tss("I", 12, "+", 20) == 10
    assert found.peak_tss("I", 17, "+", 20) == 14


def test_lines_of_a_bed(tmp_path):
    path = tmp_path / "a.bed"
    path.write_text("browser position I\ntrack\nI\t0\t9\ntracked\t5\t6\ta b\n")
    assert list(bed_lines(str(path))) == [(3, ["I", "0", "9"]), (4, ["tracked", "5", "6", "a b"])]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("I\t5", "has 2 columns"),
        ("I\t5\t9\tp\t3", "has 5 columns"),
        ("I\tfive\t9\tp\t3\t+", "'five'"),
        ("I\t-5\t9\tp\t3\t+", "'-5'"),
        ("I\t9\t9\tp\t3\t+", "ends at 9, not after its start 9"),
        ("I\t5\t9\tp\thigh\t+", "score 'high'"),
        ("I\t5\t9\tp\tnan\t+", "score 'nan'"),
        ("I\t5\t9\tp\t3\t.", "strand '.'"),
        ("I\t5\t9\tp\t3\t+\tx\t7", "'x'"),
    ],
)
def test_malformed_lines(peaks, tmp_path, sentence, line, words):
    with pytest.raises(DataError) as info:
        peaks(f"I\t5\t9\tp\t3\t+\n{line}\n")
    sentence(info, tmp_path / "peaks.bed", "line 2", words)


def test_no_peaks(peaks, tmp_path, sentence):
    with pytest.raises(DataError) as info:
        peaks("track name=x\n")
    sentence(info, tmp_path / "peaks.bed", "no peaks")


def test_missing_peaks(tmp_path, sentence):
    with pytest.raises(DataError) as info:
        read_peaks(str(tmp_path / "none.bed"))
    sentence(info, tmp_path / "none.bed", "does not exist")
