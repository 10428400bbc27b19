"""Discovery of a planted motif, its match with the right one, and what is said when nothing is there."""

import csv
import sys

import numpy as np
import pytest

from raygenex.data.simulate.motifs import MOTIFS
from raygenex.errors import ConfigError, DataError
from raygenex.explain.job import require_packages
from raygenex.explain.results import motifs
from raygenex.explain.results.meme import read_meme
from raygenex.explain.results.motifs import Match, Pattern

KNOWN = {one.name: one.weights() for one in MOTIFS}


def planted(genes, length, site="TTGACGTCAT", seed=0):
    """Return bases and hypothetical contributions: a site a gene that adds about 1 a base, and noise."""
    rng = np.random.default_rng(seed)
    bases = rng.integers(0, 4, (genes, length)).astype(np.uint8)
    hypothetical = rng.normal(0, 0.02, (genes, length, 4))
    letters = np.array(["ACGT".index(base) for base in site])
    for gene, start in enumerate(rng.integers(12, length - 24, genes)):
        stop = start + len(site)
        bases[gene, start:stop] = letters
        hypothetical[gene, start:stop] -= 0.3
        hypothetical[gene, np.arange(start, stop), letters] += 1.2 + rng.normal(0, 0.1, len(site))
    return bases, (hypothetical - hypothetical.mean(axis=-1, keepdims=True)).astype(np.float32)


def rows_of(path):
    with path.open(newline="", encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


@pytest.mark.slow
@pytest.mark.parametrize("length", [60, 400])
def test_a_planted_motif_is_found_and_named(length, tmp_path):
    bases, hypothetical = planted(300, length)
    hypothetical[:, :3] = np.nan
    patterns = motifs.discover(bases, hypothetical)
    best = patterns[0]
    assert best.name == "pos_0"
    assert "TGACGTCA" in best.consensus
    assert len(best.frequency) <= 14
    assert best.seqlets >= 100
    assert best.mean_contribution > 5
    matches = motifs.match(patterns[:1], KNOWN)
    assert (matches[0].pattern, matches[0].target) == ("pos_0", "CREB")
    assert matches[0].p_value < 1e-4
    assert matches[0].e_value == pytest.approx(matches[0].p_value * len(KNOWN))
    if length == 60:
        np.testing.assert_array_equal(motifs.discover(bases, hypothetical)[0].frequency, best.frequency)
    note = motifs.write_motifs(tmp_path / "motifs", patterns[:1], matches, len(KNOWN))
    assert "11 known motifs" in note
    (row,) = rows_of(tmp_path / "motifs" / "motifs.csv")
    assert (row["motif"], row["consensus"]) == ("pos_0", best.consensus)
    assert rows_of(tmp_path / "motifs" / "matches.csv")[0]["target"] == "CREB"
    np.testing.assert_allclose(read_meme(tmp_path / "motifs" / "motifs.meme")["pos_0"], best.frequency, atol=2e-6)


@pytest.mark.slow
def test_nothing_recurs_in_few_genes():
    rng = np.random.default_rng(0)
    bases = rng.integers(0, 4, (6, 60)).astype(np.uint8)
    assert motifs.discover(bases, rng.normal(size=(6, 60, 4))) == []


def test_windows_too_short():
    with pytest.raises(DataError, match=r"attributions of 48 bases are too few .* explain 49 or more"):
        motifs.discover(np.zeros((2, 48), dtype=np.uint8), np.zeros((2, 48, 4)))


def test_the_longest_stretch_that_all_genes_have():
    values = np.zeros((2, 9, 4))
    values[0, 0, 2] = values[1, 3, 0] = np.nan
    assert motifs.complete_stretch(values) == slice(4, 9)
    assert motifs.complete_stretch(np.full((1, 3, 4), np.nan)) == slice(0, 0)


def test_no_pattern_makes_an_empty_table_and_a_note(tmp_path):
    assert motifs.match([], KNOWN) == []
    note = motifs.write_motifs(tmp_path, [], [], len(KNOWN))
    assert note.startswith("no motif recurs")
    assert rows_of(tmp_path / "motifs.csv") == rows_of(tmp_path / "matches.csv") == []
    assert (tmp_path / "motifs.csv").read_text() == "motif,seqlets,consensus,mean_contribution\n"


def test_tables(tmp_path):
    frequency = np.array([[1.0, 0, 0, 0], [0.4, 0.3, 0.3, 0]])
    one = Pattern("neg_0", 21, frequency, frequency * -0.5)
    note = motifs.write_motifs(tmp_path, [one], [Match("neg_0", "SP1", 1e-3, 0.04, 2, "-")], 40)
    assert note is None
    assert rows_of(tmp_path / "motifs.csv") == [
        {"motif": "neg_0", "seqlets": "21", "consensus": "AN", "mean_contribution": "-1"}
    ]
    assert rows_of(tmp_path / "matches.csv") == [
        {"motif": "neg_0", "target": "SP1", "p_value": "0.001", "e_value": "0.04", "overlap": "2", "strand": "-"}
    ]
    assert motifs.write_motifs(tmp_path / "alone", [one], None) is None
    assert not (tmp_path / "alone" / "matches.csv").exists()


def test_no_file_of_known_motifs_is_no_error(tmp_path):
    assert motifs.known_motifs(None) is None
    with pytest.raises(DataError, match="cannot be read"):
        motifs.known_motifs(str(tmp_path / "none.meme"))


def test_a_missing_package_is_named(monkeypatch):
    sentence = r"needs {}, which cannot be imported .* install it by pip install 'raygenex\[motifs\]'"
    monkeypatch.setitem(sys.modules, "modiscolite.tfmodisco", None)
    monkeypatch.setitem(sys.modules, "memelite", None)
    bases, hypothetical = planted(2, 60)
    with pytest.raises(ConfigError, match=sentence.format("modisco-lite")):
        motifs.discover(bases, hypothetical)
    pattern = Pattern("pos_0", 1, np.full((3, 4), 0.25), np.ones((3, 4)))
    with pytest.raises(ConfigError, match=sentence.format("memelite")):
        motifs.match([pattern], KNOWN)


def test_packages_are_asked_for_before_anything_is_computed(monkeypatch):
    require_packages(motifs=True)
    monkeypatch.setattr("raygenex.extras.find_spec", lambda name: None if name == "modiscolite" else name)
    require_packages(motifs=False)
    with pytest.raises(ConfigError, match="modisco-lite"):
        require_packages(motifs=True)
