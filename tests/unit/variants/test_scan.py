"""Which alleles change which windows, against a search that tries every gene."""

import numpy as np
import pytest

from raygenex.data.genome import GenomeReader, open_genome
from raygenex.data.rows import Piece
from raygenex.sequence import to_string
from raygenex.variants import scoring
from raygenex.variants.effects import effect_columns
from raygenex.variants.genes import ChromosomeNames, ScoredGenes
from raygenex.variants.records import VariantRecord
from raygenex.variants.scan import Scanner
from raygenex.variants.scoring import WindowScorer
from raygenex.variants.spool import REFERENCE, Spool, part_table, read_edits


@pytest.mark.parametrize(
    ("known", "name", "found"),
    [
        (["chr1", "chrM"], "1", "chr1"),
        (["1", "MT"], "chr1", "1"),
        (["1", "MT"], "1", "1"),
        (["chr1", "chrM"], "MT", "chrM"),
        (["1", "MT"], "chrM", "MT"),
        (["1", "Mito"], "M", "Mito"),
        # Both are there: each is itself.
        (["1", "chr1"], "chr1", "chr1"),
        (["chr1"], "2", None),
        (["chr1"], "chrM", None),
    ],
)
def test_names(known, name, found):
    names = ChromosomeNames(known)
    assert names.find(name) == found
    assert names.resolved is (found is not None)
    assert names.unknown == ([] if found else [name])


def test_effects_are_alt_minus_ref():
    found = effect_columns(np.array([0.0, 2.0, 0.0]), np.array([-np.log(3), np.log(3), np.nan]), 0.5)
    np.testing.assert_allclose(found["probability_alt"][:2], [0.25, 0.75])
    np.testing.assert_allclose(found["delta_probability"][0], -0.25)
    np.testing.assert_allclose(found["delta_logit"][:2], [-np.log(3), np.log(3) - 2])
    assert found["prediction_ref"].tolist() == [1, 1, 1]
    assert found["prediction_alt"].tolist() == [0, 1, -1]


def test_the_spool_puts_a_reference_before_the_first_effect_on_its_gene(tmp_path):
    spool = Spool(tmp_path, 2)
    for number, gene in enumerate((5, 3, 5)):
        spool.add(gene, 10 + number, 11 + number, "A", True, "v", "1", 1, "C", "A", 0, "snv", True, "")
    parts = spool.close()
    assert [(part.first, part.rows) for part in parts] == [(0, 2), (2, 2), (4, 1)]
    edits = [read_edits(part.path, part.first, part.rows) for part in parts]
    assert [edit["gene"].tolist() for edit in edits] == [[5, 5], [3, 3], [5]]
    assert [edit["start"].tolist() for edit in edits] == [[REFERENCE, 10], [REFERENCE, 11], [12]]
    assert np.concatenate([edit["row"] for edit in edits]).tolist() == [0, 1, 2, 3, 4]
    assert part_table(parts[2].path).to_pydict()["kind"] == ["snv"]
    piece = parts[1].piece(1)
    assert isinstance(piece, Piece)
    assert piece.read()["start"].tolist() == [REFERENCE]
    assert Spool(tmp_path, 2).close() == []


class Fake:
    """A model whose logit is the number of the window among those it has seen, kept as letters."""

    batch_size = 7
    model = None
    targets = ()

    def __init__(self):
        self.seen = []

    def logits(self, sequence, halflife):
        self.seen += [to_string(window) for window in sequence]
        return np.arange(len(self.seen) - len(sequence), len(self.seen), dtype=float)


@pytest.mark.parametrize("seed", range(4))
def test_windows_of_random_variants_are_those_of_the_rebuilt_chromosome(tmp_path, monkeypatch, seed):
    """Apply every variant to the whole chromosome and cut the window around the TSS that was numbered before."""
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    rng = np.random.default_rng(seed)
    chroms = {name: "".join(rng.choice(list("ACGT"), 300, p=[0.4, 0.1, 0.1, 0.4])) for name in ("a", "b")}
    fasta = tmp_path / "g.fa"
    fasta.write_text("".join(f">{name}\n{text}\n" for name, text in chroms.items()))
    n, first, window = 12, -15, 25
    genes = ScoredGenes(
        gene_id=np.array([f"G{i}" for i in range(n)]),
        chrom=rng.choice(["a", "b"], n),
        tss=rng.integers(0, 300, n),
        strand=rng.choice(["+", "-"], n),
        halflife=rng.normal(size=(n, 8)).astype(np.float32),
        first=first,
        window=window,
    )
    records = []
    for line in range(150):
        chrom, pos = str(rng.choice(["a", "b"])), int(rng.integers(0, 290))
        ref = chroms[chrom][pos : pos + int(rng.integers(1, 9))]
        alt = "".join(rng.choice(list("ACGT"), int(rng.integers(1, 9))))
        # Half of them with padding, as indels have it.
        alt = ref[0] + alt[1:] if rng.random() < 0.5 else alt
        if alt != ref:
            records.append(VariantRecord(line, f"chr{chrom}", pos + 1, f"v{line}", ref, (alt,)))
    genome = open_genome(str(fasta))
    genes.save(tmp_path)
    spool = Spool(tmp_path, 10)
    with GenomeReader(genome) as reader:
        scanner = Scanner(genome, reader, genes, 50, spool, tmp_path / "skipped")
        scanner.scan(records, "here")
    parts = spool.close()
    model = Fake()
    monkeypatch.setattr(scoring, "Predictor", lambda *arguments: model)
    scorer = WindowScorer(str(tmp_path), str(fasta), "", "cpu", 7, None)
    found = {}
    for part in parts:
        rows, scores = part_table(part.path).to_pydict(), scorer(part.piece().read())
        for name, gene, logit in zip(rows["variant_id"], rows["gene"], scores["logit"], strict=True):
            found[name, gene] = model.seen[int(logit)]
    expected, maybe = {}, set()
    for gene in range(n):
        chrom = str(genes.chrom[gene])
        expected["", gene] = cut(
            chroms[chrom], list(range(300)), int(genes.tss[gene]), genes.strand[gene], first, window
        )
    for record in records:
        chrom, start, stop = record.chrom[3:], record.pos - 1, record.pos - 1 + len(record.ref)
        letters = chroms[chrom][:start] + record.alts[0] + chroms[chrom][stop:]
        numbers = [*range(start), *[None] * len(record.alts[0]), *range(stop, 300)]
        for gene in np.flatnonzero(genes.chrom == chrom):
            tss = int(genes.tss[gene])
            if start <= tss < stop:
                # Which base then is the TSS depends on the alleles' common ends: the other test has that rule.
                maybe.add((record.name, gene))
                continue
            after = cut(letters, numbers, tss, genes.strand[gene], first, window)
            if after != expected["", gene]:
                expected[record.name, gene] = after
            else:
                maybe.add((record.name, gene))
    touched = {gene for _, gene in found}
    for key, after in expected.items():
        assert key in found or (key[0] == "" and key[1] not in touched), key
        if key in found:
            same = key in found and found[key] == after
            assert same or moved_over_tss(key, records, genes, chroms), key
    # What was found beside them changes nothing, or replaces the TSS.
    assert set(found) - set(expected) <= maybe
    assert len(expected) > 60
    assert scanner.counts.mismatched == 0


def moved_over_tss(key, records, genes, chroms):
    """Whether left-alignment takes an indel from the right of the TSS onto it or over it, which holds another base."""
    record = next(record for record in records if record.name == key[0])
    text, start, alt = chroms[record.chrom[3:]], record.pos - 1, record.alts[0]
    changed = text[:start] + alt + text[start + len(record.ref) :]
    shorter, longer = sorted((text, changed), key=len)
    size = len(longer) - len(shorter)
    # All places at which bases of the longer one can be left out to give the shorter one.
    places = [at for at in range(len(shorter) + 1) if size and longer[:at] + longer[at + size :] == shorter]
    return bool(places) and places[0] <= genes.tss[key[1]] <= places[-1] + size


def cut(letters, numbers, tss, strand, first, window):
    """Return the window around the base with the number of the TSS, on the gene's strand, N beyond the ends."""
    at = numbers.index(tss)
    low = at + first if strand == "+" else at - first - window + 1
    text = "".join(letters[place] if 0 <= place < len(letters) else "N" for place in range(low, low + window))
    return text if strand == "+" else text[::-1].translate(str.maketrans("ACGTN", "TGCAN"))


def test_one_variant_written_in_many_ways_is_one_row(tmp_path, monkeypatch):
    """GATATATC: the deletion of one unit, with any padding, at any of its places."""
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    fasta = tmp_path / "g.fa"
    fasta.write_text(">1\nCCCCGATATATCGGGG\n")
    genome = open_genome(str(fasta))
    genes = ScoredGenes(
        *(np.array(["X", "Y"]), np.array(["1", "1"]), np.array([8, 9]), np.array(["+", "-"])),
        halflife=np.zeros((2, 8), np.float32),
        first=-4,
        window=8,
    )
    ways = [("GAT", "G", 5), ("GATA", "GA", 5), ("TAT", "T", 7), ("ATATC", "ATC", 8), ("GATATATC", "GATATC", 5)]
    spool = Spool(tmp_path, 100)
    records = [VariantRecord(i, "1", pos, f"v{i}", ref, (alt,)) for i, (ref, alt, pos) in enumerate(ways)]
    with GenomeReader(genome) as reader:
        Scanner(genome, reader, genes, 50, spool, tmp_path / "skipped").scan(records, "here")
    found = part_table(spool.close()[-1].path).to_pydict()
    effects = [number for number, start in enumerate(found["start"]) if start != REFERENCE]
    rows = {name: [values[number] for number in effects] for name, values in found.items()}
    assert rows["variant_id"] == [f"v{i}" for i in range(5) for _ in range(2)]
    assert set(zip(rows["start"], rows["stop"], rows["position"], rows["kind"], strict=True)) == {
        (5, 7, -3, "deletion"),
        (5, 7, 3, "deletion"),
    }
