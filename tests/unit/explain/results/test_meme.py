"""MEME files: what is written is read again, and what is wrong is named."""

import numpy as np
import pytest

from raygenex.data.simulate.motifs import MOTIFS
from raygenex.errors import DataError
from raygenex.explain.results.meme import read_meme, write_meme

HEAD = "MEME version 4\n\nALPHABET= ACGT\n\n"
MATRIX = "letter-probability matrix: alength= 4 w= 2 nsites= 20 E= 0\n"


def test_round_trip(tmp_path):
    motifs = {one.name: one.weights() for one in MOTIFS}
    write_meme(tmp_path / "m.meme", motifs, dict.fromkeys(motifs, 12))
    again = read_meme(tmp_path / "m.meme")
    assert list(again) == list(motifs)
    for name, frequency in motifs.items():
        np.testing.assert_allclose(again[name], frequency, atol=2e-6)


def test_memelite_reads_what_is_written(tmp_path):
    io = pytest.importorskip("memelite.io")
    motifs = {one.name: one.weights() for one in MOTIFS}
    write_meme(tmp_path / "m.meme", motifs, dict.fromkeys(motifs, 12))
    for name, frequency in io.read_meme(tmp_path / "m.meme").items():
        np.testing.assert_allclose(frequency.T, motifs[name], atol=2e-6)


def test_files_of_others(tmp_path):
    path = tmp_path / "m.meme"
    path.write_text(
        f"{HEAD}MOTIF MA0004.1\tArnt\n\n{MATRIX} 0.2 0.8 0 0\n 0\t1.0 0 0\nURL http://a.b\n"
        f"MOTIF two\n{MATRIX}0.333 0.333 0.333 0\n0 0 0 1"
    )
    found = read_meme(path)
    assert list(found) == ["MA0004.1 Arnt", "two"]
    np.testing.assert_allclose(found["MA0004.1 Arnt"], [[0.2, 0.8, 0, 0], [0, 1, 0, 0]])
    np.testing.assert_allclose(found["two"].sum(axis=1), 1)


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "no line that starts with MOTIF"),
        ("MEME version 4\nALPHABET= ACDEFGHIKLMNPQRSTVWY\n", "line 2: the alphabet is not ACGT"),
        (f"{HEAD}MOTIF a\n", "the motif a has no letter-probability matrix"),
        (f"{HEAD}MOTIF a\n{MATRIX}0.5 0.5 0\n", "line 7: 3 columns"),
        (f"{HEAD}MOTIF a\n{MATRIX}0.5 0.5 x 0\n", "line 7: 4 columns, of which 3 are numbers"),
        (f"{HEAD}MOTIF a\n{MATRIX}0.5 0.5 0.5 0\n", "line 7: .* sum to 1.5"),
        (f"{HEAD}MOTIF a\n{MATRIX}1.5 -0.5 0 0\n", "line 7: "),
        (f"{HEAD}MOTIF a\n{MATRIX}1 0 0 0\nMOTIF a\n{MATRIX}1 0 0 0\n", "line 8: a motif has no name"),
        (f"{HEAD}MOTIF\n{MATRIX}1 0 0 0\n", "line 5: a motif has no name"),
    ],
)
def test_malformed_files(tmp_path, text, sentence):
    path = tmp_path / "m.meme"
    path.write_text(text)
    with pytest.raises(DataError, match=sentence):
        read_meme(path)


def test_files_that_cannot_be_read(tmp_path):
    with pytest.raises(DataError, match="cannot be read"):
        read_meme(tmp_path / "none.meme")
    (tmp_path / "b.meme").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(DataError, match="not a text file"):
        read_meme(tmp_path / "b.meme")
