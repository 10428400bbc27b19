"""Annotations, genomes and variants that other programs wrote, through the verbs that meet them: right or one sentence.

The genomes of most of them are far away. They are stood in for by files of unknown bases as long as needed, with every
REF of the variants where it belongs.
"""

import gzip
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from toy_variants import save_toy_model

from raygenex.config.load import parse_config
from raygenex.data.build.candidates import count_reasons
from raygenex.data.build.extract import ExtractionBatch, extract_batch
from raygenex.data.build.genes import Origin, read_origin
from raygenex.data.genome import open_genome
from raygenex.errors import DataError
from raygenex.variants.run import plan_variants, variants

NOT_CODING = "no coding sequence"
WITHOUT = "no usable transcript"

ANNOTATIONS = {
    "ensembl_arabidopsis_partial.gtf": (4, "TAIR10", {}),
    "ensembl_vep_test.gff.gz": (234, None, {NOT_CODING: 601}),
    "ensembl_vep_test.gtf.gz": (8, None, {NOT_CODING: 34}),
    "flybase_dm3_chr2L_5M.gff.gz": (607, None, {NOT_CODING: 24, WITHOUT: 5}),
    "gencode.vM22.small.gff3": (1, None, {NOT_CODING: 15}),
    "gencode_human_pyranges.gtf.gz": (37, "GRCh38", {NOT_CODING: 82}),
    "gffread_annotation.gff": (3, None, {NOT_CODING: 1}),
    "igenomes_ucsc_hg19_chr20.gtf": (523, None, {NOT_CODING: 128}),
    "refseq_dm6_chr4.gff.gz": (80, "Release 6 plus ISO1 MT", {NOT_CODING: 34}),
    "refseq_dm6_chr4.gtf.gz": (80, "Release 6 plus ISO1 MT", {NOT_CODING: 27, WITHOUT: 7}),
    "refseq_sacCer_chrI.gff.gz": (94, "R64", {NOT_CODING: 7}),
    "refseq_sacCer_chrI.gtf.gz": (94, "R64", {NOT_CODING: 7}),
    "refseq_vep.gff.gz": (9, "GRCh38.p7", {NOT_CODING: 22, WITHOUT: 7}),
    "ucsc_gencode_small.gtf": (1, None, {NOT_CODING: 6}),
}
"""Genes that code, the genome build, and why others stay out, without a choice of biotypes."""

REFUSED = {
    "pybedtools_hg19.gff": "has no transcripts: no gene has exon or CDS lines; use a complete annotation",
    # It ends between the last coding piece and its exon.
    "ucsc_refseq_small.gtf": "transcript NM_001276352 of gene NM_001276352 has coding bases 67127166-67127240 outside",
}
WITHOUT_BIOTYPES = ("flybase_dm3_chr2L_5M.gff.gz", "igenomes_ucsc_hg19_chr20.gtf", "ucsc_gencode_small.gtf")

PAIRS = {"refseq_dm6": "ncbi_dm6_chr4.fna.gz", "refseq_sac": "ncbi_sacCer_chrI.fna.gz", "gffread": "gffread_genome.fa"}

GENOMES = (
    "ensembl_region_header.fa",
    "gffread_genome.fa",
    "htsjdk_hg18_trimmed.fasta.gz",
    "ncbi_dm6_chr4.fna.gz",
    "ncbi_sacCer_chrI.fna.gz",
)

LONGEST = 52_000_000
"""Bases of a genome that stands in; records beyond it are skipped."""
UPSTREAM, WINDOW = 100, 200

VARIANTS = (
    "1000G_YRI_indel_sites.vcf.gz",
    "1000G_phase1_chr22.vcf.gz",
    "clinvar_b38_750.vcf",
    "gatk_YRI_chr20.g.vcf",
    "gatk_hapmap_exome_chr22.g.vcf.gz",
    "gatk_mutect_NA12878.vcf",
    "kipoiseq_chr22.vcf.gz",
    "snpeff_chr22.vcf",
)


@pytest.fixture(autouse=True)
def _cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setattr("raygenex.variants.figures.write_effects", lambda *arguments: None)


@pytest.fixture(scope="module")
def real(shared_data: Path) -> Path:
    return shared_data / "realfiles"


def lines(path: Path) -> Iterator[list[str]]:
    """Yield the columns of lines that are no comments."""
    with gzip.open(path, "rt") if path.suffix == ".gz" else path.open() as stream:
        for line in stream:
            if line.startswith(("##FASTA", ">")):
                return
            if not line.startswith("#") and line.strip():
                yield line.rstrip("\n").split("\t")


def write_genome(path: Path, chromosomes: dict[str, bytearray]) -> str:
    path.write_bytes(b"".join(b">%s\n%s\n" % (name.encode(), bytes(text)) for name, text in chromosomes.items()))
    return str(path)


# Annotations and genomes


def origin_of(real: Path, name: str, folder: Path, **settings: object) -> Origin:
    """Choose the genes of an annotation as `data build` does; every gene has an expression."""
    path = real / name
    # Those that are refused need none of their own.
    pairs = PAIRS | dict.fromkeys(REFUSED, "gffread_genome.fa")
    fasta = next((str(real / genome) for start, genome in pairs.items() if name.startswith(start)), None)
    ends: dict[str, int] = {}
    ids = set()
    for columns in lines(path):
        ends[columns[0]] = max(ends.get(columns[0], 0), int(columns[4]))
        for found in re.findall(r'(?:gene_id "|ID=(?:gene[:-])?|gene_id=)([^";,]+)', columns[8]):
            ids.add(found)
    if fasta is None:
        texts = {chrom: bytearray(b"N" * (end + 100)) for chrom, end in ends.items()}
        fasta = write_genome(folder / "genome.fa", texts)
    table = folder / "expression.tsv"
    table.write_text("gene_id\tvalue\n" + "".join(f"{gene}\t{number}\n" for number, gene in enumerate(sorted(ids))))
    values = {"genome": fasta, "annotation": str(path), "label": {"table": str(table)}, "window": [-50, 50], **settings}
    config = parse_config({"build": values}, "test").build
    assert config is not None
    return read_origin(config)


@pytest.mark.parametrize("name", ANNOTATIONS)
def test_annotations(real: Path, tmp_path: Path, name: str) -> None:
    coding, build, dropped = ANNOTATIONS[name]
    origin = origin_of(real, name, tmp_path, biotypes=[])
    assert (len(origin.genes), origin.genome_build) == (coding, build)
    assert count_reasons(origin.dropped) == dropped
    if name in WITHOUT_BIOTYPES:
        with pytest.raises(DataError, match=r"says its biotype.*set build\.biotypes to \[\]"):
            origin_of(real, name, tmp_path)
    if name.startswith(tuple(PAIRS)):
        assert origin.genome is not None
        found = extract_batch(
            origin.genome.path, ExtractionBatch(0, tuple(origin.genes)), str(tmp_path), (False, False)
        )
        # All but those that the annotation says lack their beginning.
        whole = [gene.transcript is not None and gene.transcript.phase == 0 for gene in origin.genes]
        assert found.starts[whole].mean() > 0.97


@pytest.mark.parametrize("name", REFUSED)
def test_annotations_that_are_refused(real: Path, tmp_path: Path, name: str) -> None:
    with pytest.raises(DataError) as info:
        origin_of(real, name, tmp_path, biotypes=[])
    assert REFUSED[name] in str(info.value)
    assert "\n" not in str(info.value)


def test_both_formats_of_one_release_say_the_same(real: Path, tmp_path: Path) -> None:
    for start in ("refseq_dm6_chr4", "refseq_sacCer_chrI"):
        gff, gtf = (origin_of(real, f"{start}.{kind}.gz", tmp_path, biotypes=[]) for kind in ("gff", "gtf"))
        assert len(gff.dropped) == len(gtf.dropped)
        for one, other in zip(gff.genes, gtf.genes, strict=True):
            assert (one.chrom, one.tss, one.strand) == (other.chrom, other.tss, other.strand)
            assert one.transcript is not None
            assert other.transcript is not None
            assert one.transcript.exons == other.transcript.exons
            assert one.transcript.cds == other.transcript.cds
            assert one.transcript.phase == other.transcript.phase


@pytest.mark.parametrize("name", GENOMES)
def test_genomes(real: Path, name: str) -> None:
    expected: dict[str, int] = {}
    chrom = ""
    with gzip.open(real / name, "rt") if name.endswith("gz") else (real / name).open() as stream:
        for line in stream:
            if line.startswith(">"):
                chrom = line[1:].split()[0]
                expected[chrom] = 0
            else:
                expected[chrom] += len(line.strip())
    assert open_genome(str(real / name)).lengths == expected


# Variants


def run(tmp_path: Path, path: Path, fasta: str, genes: dict[str, list[int]], plan: bool = False) -> Any:
    """Score variants against genes of one exon that start at the given places."""
    gtf = tmp_path / "genes.gtf"
    rows = [(chrom, tss) for chrom, places in genes.items() for tss in places]
    gtf.write_text(
        "".join(
            f'{chrom}\tx\t{kind}\t{tss}\t{tss + 8}\t.\t+\t0\tgene_id "{chrom}_{tss}"; transcript_id "{chrom}_{tss}";\n'
            for chrom, tss in rows
            for kind in ("exon", "CDS")
        )
    )
    build = {"genome": fasta, "annotation": str(gtf), "label": {"table": "none.tsv"}, "window": [-100, 100]}
    options = {"annotation": str(gtf), "rows_per_task": 20_000, "batch_size": 1024}
    values = {"output": str(tmp_path / "runs"), "variants": options, "build": build | {"biotypes": []}}
    model = tmp_path / "model"
    checkpoint = str(model) if model.exists() else save_toy_model(model, window=WINDOW)
    output = str(tmp_path / "out.parquet")
    return (plan_variants if plan else variants)(parse_config(values, "test"), str(path), checkpoint, output, True)


def stand_in(path: Path) -> tuple[dict[str, bytearray], list[tuple[str, int, str, list[str]]]]:
    """Return a genome with every REF of two chromosomes where it belongs, and all records."""
    records = [(c[0], int(c[1]), c[3].upper(), c[4].upper().split(",")) for c in lines(path)]
    frequent = [chrom for chrom, _ in Counter(chrom for chrom, *_ in records).most_common(2)]
    texts = {}
    for chrom in frequent:
        end = max(pos + len(ref) for name, pos, ref, _ in records if name == chrom)
        text = texts[chrom] = bytearray(b"N" * min(end + 1000, LONGEST))
        for name, pos, ref, _ in records:
            if name == chrom and pos - 1 + len(ref) <= len(text):
                text[pos - 1 : pos - 1 + len(ref)] = ref.encode()
    return texts, records


@pytest.mark.parametrize("name", VARIANTS)
def test_variants(real: Path, tmp_path: Path, name: str) -> None:
    texts, records = stand_in(real / name)
    inside = [record for record in records if record[0] in texts and record[1] + WINDOW < len(texts[record[0]])]
    genes: dict[str, list[int]] = {}
    for chrom, pos, *_ in inside[:: max(1, len(inside) // 25)]:
        genes.setdefault(chrom, []).append(pos + 3)
    fasta = write_genome(tmp_path / "genome.fa", texts)
    result = run(tmp_path, real / name, fasta, {chrom: sorted(set(places)) for chrom, places in genes.items()})
    alleles = [(chrom, pos, ref, alt) for chrom, pos, ref, alts in records for alt in alts]
    assert (result.records, result.alleles) == (len(records), len(alleles))
    assert result.mismatched == 0
    usable = [
        (chrom, pos, ref, alt)
        for chrom, pos, ref, alt in alleles
        if chrom in texts and pos - 1 + len(ref) <= len(texts[chrom]) and re.fullmatch("[ACGTN]+", alt) and alt != ref
    ]
    # Long ones are told from the others only where there is a gene.
    too_long = result.skipped.pop("longer than 1000 bases", 0)
    assert too_long <= sum(max(len(ref), len(alt)) > 1000 for _, _, ref, alt in usable)
    assert result.alleles - sum(result.skipped.values()) == len(usable)
    # Single bases, by brute force: gene, place, letters.
    expected = {
        (f"{chrom}_{tss}", pos, ref, alt, pos - tss)
        for chrom, pos, ref, alt in usable
        if len(ref) == len(alt) == 1
        for tss in set(genes.get(chrom, ()))
        if -UPSTREAM <= pos - tss < WINDOW - UPSTREAM
    }
    table = pd.read_parquet(result.output)
    single = table[(table.ref.str.len() == 1) & (table.alt.str.len() == 1)]
    found = zip(
        single.gene_id, single.pos, single.ref.str.upper(), single.alt.str.upper(), single.position, strict=True
    )
    assert set(found) == expected
    assert len(table) > 0
    assert table.ref_match.all()


def test_symbols_are_skipped(real: Path, tmp_path: Path) -> None:
    texts, records = stand_in(real / "vcf_structural_spec.vcf")
    genes = {chrom: [len(text) - 500] for chrom, text in texts.items()}
    fasta = write_genome(tmp_path / "genome.fa", texts)
    result = run(tmp_path, real / "vcf_structural_spec.vcf", fasta, genes)
    assert result.records == len(records) == 7
    # The other record is a deletion in letters.
    assert result.skipped == {"symbolic ALT": 3, "chromosome not in the genome": 3}
    assert (result.alleles, result.outside) == (7, 1)


@pytest.mark.parametrize("name", ["kipoiseq_chr22.vcf.gz", "snpeff_chr22.vcf", "1000G_phase1_chr22.vcf.gz"])
@pytest.mark.parametrize("plan", [True, False])
def test_a_region_under_the_name_of_its_chromosome_is_refused(
    real: Path, tmp_path: Path, name: str, plan: bool
) -> None:
    count = sum(len(columns[4].split(",")) for columns in lines(real / name))
    with pytest.raises(DataError) as info:
        run(tmp_path, real / name, str(real / "ensembl_region_header.fa"), {"chr22": [1000]}, plan)
    said = str(info.value)
    assert f"none of its {count} alleles can be scored" in said
    assert f"({count} beyond the end of the chromosome)" in said
    assert said.endswith("use variants and a genome of one build")
    assert not (tmp_path / "out.parquet").exists()
