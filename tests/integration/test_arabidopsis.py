"""A chromosome of Arabidopsis as NCBI gives it, against features worked out from the lines of its files alone."""

import csv
import gzip
import math
import re
from collections import defaultdict
from pathlib import Path
from random import Random
from statistics import median

import numpy as np
import pytest

from raygenex.config.load import parse_config
from raygenex.data.build.run import BuildResult, build
from raygenex.data.hdf5.read import inspect, read_locations, read_rows
from raygenex.sequence import to_string

pytestmark = pytest.mark.usefixtures("ray_cluster")

CHROMOSOME = "NC_003070.9"
UPSTREAM, DOWNSTREAM = 1000, 500
GENES = 200

Piece = tuple[int, int]


@pytest.fixture(scope="module")
def files(shared_data: Path) -> dict[str, Path]:
    """The files as they were published."""
    folder = shared_data / "arabidopsis_chr1"
    return {
        "genome": folder / "AthaTAIR10_chr1_GCF_000001735.4_TAIR10.1_genomic.fna.gz",
        "annotation": folder / "AthaTAIR10_chr1.gff.gz",
        "expression": folder / "leaf_fpkm_Zefeng2018.txt",
    }


@pytest.fixture(scope="module")
def built(ray_cluster: None, files: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> BuildResult:
    values = {
        "genome": str(files["genome"]),
        "annotation": str(files["annotation"]),
        "label": {"table": str(files["expression"])},
        "window": [-UPSTREAM, DOWNSTREAM],
    }
    config = parse_config({"build": values, "split": {"rule": "random", "fractions": [1.0, 0.0, 0.0]}}, "test")
    return build(config, tmp_path_factory.mktemp("arabidopsis"))


class Transcript:
    """The lines of one mRNA."""

    def __init__(self, name: str, start: int, end: int, strand: str) -> None:
        self.name, self.start, self.end, self.strand = name, start, end, strand
        self.exons: list[Piece] = []
        self.coding: list[Piece] = []

    @property
    def rank(self) -> tuple[int, int, str]:
        """Most coding bases first, then most exonic ones, then the name: no line of this file has a tag."""
        coding, exonic = (sum(end - start + 1 for start, end in pieces) for pieces in (self.coding, self.exons))
        return -coding, -exonic, self.name


@pytest.fixture(scope="module")
def transcripts(files: dict[str, Path]) -> dict[str, Transcript]:
    """The transcript of every protein-coding gene, by the gene's id."""
    genes: dict[str, str] = {}
    known: dict[str, Transcript] = {}
    of_gene: dict[str, list[Transcript]] = defaultdict(list)
    with gzip.open(files["annotation"], "rt") as stream:
        rows = [line.rstrip("\n").split("\t") for line in stream if not line.startswith("#")]
    for chrom, _, kind, start, end, _, strand, _, text in rows:
        assert chrom == CHROMOSOME
        about = dict(part.split("=", 1) for part in text.split(";"))
        if kind == "gene" and about["gene_biotype"] == "protein_coding":
            genes[about["ID"]] = about["locus_tag"]
        elif "Parent" in about and kind not in ("exon", "CDS"):
            name = about.get("transcript_id", about["ID"].removeprefix("rna-"))
            known[about["ID"]] = Transcript(name, int(start), int(end), strand)
            of_gene[about["Parent"]].append(known[about["ID"]])
    for *_, kind, start, end, _, _, _, text in rows:
        if kind in ("exon", "CDS"):
            parent = re.search(r"(?:^|;)Parent=([^;]+)", text)
            if parent is not None and parent[1] in known:
                transcript = known[parent[1]]
                (transcript.exons if kind == "exon" else transcript.coding).append((int(start), int(end)))
    found = {}
    for key, gene in genes.items():
        complete = [transcript for transcript in of_gene[key] if transcript.exons]
        if complete:
            found[gene] = min(complete, key=lambda transcript: transcript.rank)
    return found


def features(transcript: Transcript, chromosome: str) -> list[float]:
    """Return the eight features, by marking every base of the transcript."""
    first = min(start for start, _ in transcript.coding)
    last = max(end for _, end in transcript.coding)
    regions: dict[str, list[str]] = {"before": [], "coding": [], "after": []}
    for start, end in transcript.exons:
        for position in range(start, end + 1):
            where = "before" if position < first else "after" if position > last else "coding"
            regions[where].append(chromosome[position - 1].upper())
    five, three = ("before", "after") if transcript.strand == "+" else ("after", "before")
    introns = transcript.end - transcript.start + 1 - sum(map(len, regions.values()))
    coding_exons = sum(
        any(start <= coding_end and coding_start <= end for coding_start, coding_end in transcript.coding)
        for start, end in transcript.exons
    )

    def gc(region: str) -> float:
        bases = regions[region]
        known = sum(base in "ACGT" for base in bases)
        return sum(base in "GC" for base in bases) / known if known else 0.0

    lengths = [len(regions[five]), len(regions["coding"]), introns, len(regions[three])]
    return [
        *(math.log10(bases + 0.1) for bases in lengths),
        *(gc(region) for region in (five, "coding", three)),
        1000 * coding_exons / len(regions["coding"]),
    ]


def test_the_genes_are_those_of_the_files(
    built: BuildResult, files: dict[str, Path], transcripts: dict[str, Transcript]
) -> None:
    assert "train" in built.rows
    with open(files["expression"], encoding="utf-8", newline="") as stream:
        # The header names the three samples alone.
        measured = {gene for gene, *_ in list(csv.reader(stream, delimiter="\t"))[1:]}
    assert built.rows["train"] == len(transcripts.keys() & measured) > 6000
    assert built.dropped["no expression"] == len(transcripts.keys() - measured)


def test_features_windows_and_labels_are_those_worked_out_from_the_lines(
    built: BuildResult, files: dict[str, Path], transcripts: dict[str, Transcript]
) -> None:
    with gzip.open(files["genome"], "rt") as stream:
        header, *lines = stream.read().splitlines()
    assert header.startswith(f">{CHROMOSOME} ")
    chromosome = "".join(lines)
    with open(files["expression"], encoding="utf-8", newline="") as stream:
        table = {gene: median(map(float, samples)) for gene, *samples in list(csv.reader(stream, delimiter="\t"))[1:]}
    file = inspect(built.files["train"])
    rows, places = read_rows(file, 0, file.rows), read_locations(file)
    assert places is not None
    assert places.strand is not None
    limit = built.threshold
    assert limit is not None
    chosen = Random(0).sample(range(file.rows), GENES)
    assert {places.strand[row] for row in chosen} == {"+", "-"}
    for row in chosen:
        gene = str(rows["gene_id"][row])
        transcript = transcripts[gene]
        np.testing.assert_allclose(rows["halflife"][row], features(transcript, chromosome), rtol=1e-6, err_msg=gene)
        is_forward = transcript.strand == "+"
        tss = transcript.start if is_forward else transcript.end
        assert (places.chrom[row], places.tss[row], places.strand[row]) == (CHROMOSOME, tss, transcript.strand), gene
        low, high = (tss - 1 - UPSTREAM, tss - 1 + DOWNSTREAM) if is_forward else (tss - DOWNSTREAM, tss + UPSTREAM)
        window = chromosome[low:high].upper()
        window = window if is_forward else window[::-1].translate(str.maketrans("ACGT", "TGCA"))
        assert to_string(rows["sequence"][row]) == window, gene
        assert rows["label"][row] == (table[gene] > limit), gene
