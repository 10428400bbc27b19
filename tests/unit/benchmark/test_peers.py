"""Rows of benchmarks/peers.py: peers that agree, differ, or cannot be had."""

import importlib
import importlib.util
import sys
from pathlib import Path

import numpy as np
import pytest

BENCHMARKS = Path(__file__).parents[3] / "benchmarks"


@pytest.fixture
def module(monkeypatch):
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    return importlib.import_module


def absent():
    raise ModuleNotFoundError("No module named 'nothing'")


def test_a_row_for_each_peer(module):
    rows = module("peers.rows")
    makers = {
        "numpy": lambda: lambda: np.array([1.0, 2.0]),
        "numpy of old": lambda: lambda: np.array([1.0, 2.001]),
        "elsewhere": lambda: lambda: np.array([1.0, 3.0]),
        "nothing": absent,
    }
    found = {row.peer: row for row in rows.beside("adding", lambda: [1.0, 2.0], makers, rows.close(1e-2), 1)}
    near = found[f"numpy {np.__version__}"]
    assert near.what == "adding"
    assert near.same == "equal"
    assert float(near.ratio) > 0
    assert near.raygenex.endswith(")")
    assert found[f"numpy {np.__version__} of old"].same == "within 5e-04 of the largest value"
    assert found["elsewhere"].same == "AssertionError: they differ by 1 of 2"
    assert found["nothing"].same == "ModuleNotFoundError: No module named 'nothing'"
    assert {found[name].ratio for name in ("elsewhere", "nothing")} == {""}


def test_windows_of_a_genome_agree_with_pysam(module, tmp_path, monkeypatch):
    pysam = pytest.importorskip("pysam")
    genome, windows = module("peers.genome"), module("peers.windows")
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path))
    genes = genome.write_genome(tmp_path, 2, 3000, 20, 100)
    texts = []
    with pysam.FastaFile(genes.fasta) as fasta:
        for chrom, low, strand in zip(genes.chrom, genes.low, genes.strand, strict=True):
            text = fasta.fetch(chrom, low, low + 100)
            texts.append(text if strand == "+" else text.translate(genome.COMPLEMENT)[::-1])
    np.testing.assert_array_equal(windows.ours(genes), genome.encode(texts))
    assert set(genes.strand) == {"+", "-"}


def test_every_kind_of_work_has_its_module(module, monkeypatch):
    path = BENCHMARKS / "peers.py"
    spec = importlib.util.spec_from_file_location("peers_script", path)
    script = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "peers_script", script)
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    spec.loader.exec_module(script)
    for work in script.WORK.values():
        assert not work.module or callable(module(f"peers.{work.module}").compare)
        assert work.module or work.own
