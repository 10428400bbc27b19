"""Windows that are cut together, against those that are cut one by one."""

import numpy as np
import pytest
from toy_variants import reference_window

from raygenex.data.genome import GenomeReader, open_genome
from raygenex.sequence import from_string
from raygenex.variants import cutting
from raygenex.variants.cutting import Edits, cut_windows
from raygenex.variants.genes import ScoredGenes
from raygenex.variants.windows import changed_window

LENGTHS = {"b": 900, "a": 500, "c": 7}


@pytest.fixture
def genome(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(1)
    texts = {name: "".join(rng.choice(list("ACGTN"), length)) for name, length in LENGTHS.items()}
    path = tmp_path / "g.fa"
    path.write_text("".join(f">{name}\n{text}\n" for name, text in texts.items()))
    return open_genome(str(path))


def draw_genes(window=30, n=20):
    rng = np.random.default_rng(2)
    chrom = rng.choice(list(LENGTHS), n)
    return ScoredGenes(
        gene_id=np.array([f"G{number}" for number in range(n)]),
        chrom=chrom,
        tss=np.array([rng.integers(0, LENGTHS[name]) for name in chrom]),
        strand=rng.choice(["+", "-"], n),
        halflife=np.zeros((n, 8), np.float32),
        first=-12,
        window=window,
    )


@pytest.mark.parametrize("stretch", [1, 100, 2**18])
@pytest.mark.parametrize("longest", [0, 1, 6])
def test_windows_are_those_that_are_cut_alone(genome, monkeypatch, stretch, longest):
    monkeypatch.setattr(cutting, "_STRETCH", stretch)
    monkeypatch.setattr(cutting, "_GAP", 40)
    genes, rng = draw_genes(), np.random.default_rng(3)
    rows = rng.permutation(20)[:15]
    of = rng.integers(0, 15, 200)
    # Across both ends of the windows too; references among them.
    start = genes.low[rows[of]] + rng.integers(-5, 30, 200)
    size = rng.integers(0, longest + 1, 200)
    size = np.where(start + size > genes.low[rows[of]], size, 0)
    is_reference = (rng.random(200) < 0.2) | (size == 0)
    start[is_reference], size[is_reference] = -1, 0
    kept = rng.random(200) < 0.7
    bases = np.where(is_reference, 0, np.where(kept, size, rng.integers(0, longest + 1, 200)))
    allele = np.array(["".join(rng.choice(list("ACGTN"), number)) for number in bases], dtype=np.str_)
    with GenomeReader(genome) as reader:
        windows, changed = cut_windows(genes, rows, Edits(of, start, start + size, allele), reader, genome.lengths)
        assert windows.shape == (15, 30)
        assert changed.shape == (200, 30)
        for row in range(200):
            gene = rows[of[row]]
            low, strand = int(genes.low[gene]), str(genes.strand[gene])
            around = reader.window(str(genes.chrom[gene]), low - 6 + 1, "+", 0, 42)
            np.testing.assert_array_equal(windows[of[row]], reference_window(around, 6, strand))
            if is_reference[row]:
                np.testing.assert_array_equal(changed[row], windows[of[row]])
                continue
            edit = int(start[row]), int(start[row] + size[row]), from_string(str(allele[row]))
            wanted = changed_window(around, 6, low, int(genes.tss[gene]), strand, *edit)
            np.testing.assert_array_equal(changed[row], wanted)


def test_windows_side_by_side_are_read_together(genome, monkeypatch):
    genes = draw_genes()
    nothing = Edits(*np.zeros((3, 20), np.int64), np.full(20, "", np.str_))
    read = []
    with GenomeReader(genome) as reader:
        plain = reader.fetch
        monkeypatch.setattr(reader, "fetch", lambda *place: read.append(place) or plain(*place))
        cut_windows(genes, np.arange(20), nothing, reader, genome.lengths)
        assert [chrom for chrom, _, _ in read] == sorted(LENGTHS)
        read.clear()
        monkeypatch.setattr(cutting, "_STRETCH", 120)
        cut_windows(genes, np.arange(20), nothing, reader, genome.lengths)
        assert len(read) > 3
        assert max(stop - start for _, start, stop in read) <= 120
