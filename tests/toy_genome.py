"""A genome of two chromosomes and three genes, small enough to work everything out by hand."""

from pathlib import Path

_FILL = "ACGT" * 60
_COMPLEMENT = str.maketrans("ACGTN", "TGCAN")

# Gene P, +: exons 21-40 and 51-80.
P_UTR5, P_CDS1, P_INTRON, P_CDS2, P_UTR3 = (
    "GGGGGCCAAT",
    "ATGGCCAAAC",
    "GTAAGTACAG",
    "CCGGTTTACATTTGCATTAA",
    "AAATTTGCTA",
)
# Gene M, -: exons 131-150 and 161-190, here as they read on its own strand.
M_UTR5, M_CDS1, M_INTRON, M_CDS2, M_UTR3 = (
    "CCCCGGGGAAAATTTT",
    "ATGAAACCCGGGTT",
    "GTATGTTTAG",
    "TGCATGCTAG",
    "GNNAAAAAAA",
)
# Gene S, + on the other chromosome: one exon, 31-60, all of it coding.
S_CDS = "ATG" + "C" * 24 + "TAA"


def other_strand(text: str) -> str:
    """Return the reverse complement of letters."""
    return text.translate(_COMPLEMENT)[::-1]


CHROM_I = (
    _FILL[:20]
    + (P_UTR5 + P_CDS1 + P_INTRON + P_CDS2 + P_UTR3)
    + _FILL[:50]
    + other_strand(M_UTR5 + M_CDS1 + M_INTRON + M_CDS2 + M_UTR3)
    + _FILL[:30]
)
CHROM_II = _FILL[:30] + S_CDS + _FILL[:40]
LENGTHS = {"I": 220, "II": 100}
assert {"I": len(CHROM_I), "II": len(CHROM_II)} == LENGTHS


def _line(chrom: str, kind: str, start: int, stop: int, strand: str, attributes: str) -> str:
    return f"{chrom}\ttoy\t{kind}\t{start}\t{stop}\t.\t{strand}\t.\t{attributes}\n"


def _gene(gene: str, chrom: str, strand: str, parts: dict[str, list[tuple[int, int]]], biotype: str) -> str:
    attributes = f'gene_id "{gene}"; gene_biotype "{biotype}";'
    start, stop = parts["exon"][0][0], parts["exon"][-1][1]
    lines = _line(chrom, "gene", start, stop, strand, attributes)
    attributes += f' transcript_id "{gene}_t"; tag "Ensembl_canonical";'
    lines += _line(chrom, "transcript", start, stop, strand, attributes)
    for kind, pieces in parts.items():
        lines += "".join(_line(chrom, kind, *piece, strand, attributes) for piece in pieces)
    return lines


GTF = (
    "#!genome-build TOY1\n"
    + _gene(
        "P",
        "I",
        "+",
        {"exon": [(21, 40), (51, 80)], "CDS": [(31, 40), (51, 67)], "stop_codon": [(68, 70)]},
        "protein_coding",
    )
    + _gene(
        "M",
        "I",
        "-",
        {"exon": [(131, 150), (161, 190)], "CDS": [(144, 150), (161, 174)], "stop_codon": [(141, 143)]},
        "protein_coding",
    )
    + _gene("S", "II", "+", {"exon": [(31, 60)], "CDS": [(31, 57)], "stop_codon": [(58, 60)]}, "protein_coding")
    + _gene("R", "II", "-", {"exon": [(70, 90)]}, "tRNA")
)
EXPRESSION = "gene_id\tname\ta\tb\nP\tpp\t1\t3\nM\tmm\t10\t20\nS\tss\t5\t7\nR\trr\t9\t9\n"


def write_toy_genome(folder: Path) -> dict[str, str]:
    """Write genome.fa, genes.gtf and expression.tsv into a folder; return their paths by ``build`` key."""
    fasta = "".join(
        f">{name} toy\n" + "\n".join(text[i : i + 60] for i in range(0, len(text), 60)) + "\n"
        for name, text in (("I", CHROM_I), ("II", CHROM_II))
    )
    paths = {
        "genome": folder / "genome.fa",
        "annotation": folder / "genes.gtf",
        "expression": folder / "expression.tsv",
    }
    for path, text in zip(paths.values(), (fasta, GTF, EXPRESSION), strict=True):
        path.write_text(text, encoding="utf-8")
    return {name: str(path) for name, path in paths.items()}
