"""Gene annotations: GTF and GFF3 files of Ensembl, GENCODE and RefSeq, streamed into transcripts."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from raygenex.data.build.annotation_graph import Gff3Graph, Graph, GtfGraph, Resolved
from raygenex.data.build.chosen import is_chosen
from raygenex.data.build.gff import FeatureFile
from raygenex.errors import DataError

_LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Annotation(Resolved):
    """What a GTF or GFF3 file says about genes."""

    path: str
    genome_build: str | None
    """As the header names it."""
    not_chosen: dict[str, str]
    """Biotypes of the genes that lie on other chromosomes than the chosen ones alone, by gene id."""
    chromosomes: tuple[str, ...]
    """All chromosomes that a line of a gene, a transcript or its parts names, in the order of the file."""


def read_annotation(
    path: str, on_progress: Callable[[int, int], None] | None = None, chromosomes: Sequence[str] = ()
) -> Annotation:
    """Read the transcripts of a GTF or GFF3 file, plain or gzip.

    Which of the two it is, is told from its lines. A transcript is what has exons or coding pieces. Where these
    hang directly below a gene, as on RefSeq's mitochondria, the gene is its own transcript. Coding pieces without
    exons are taken for the exons, the outer ones reaching to the ends of the transcript.

    Parameters
    ----------
    path, on_progress
        As of `raygenex.files.lines.read_lines`.
    chromosomes
        Names or globs of the chromosomes whose genes are wanted; empty: all. What lies on others is left out first:
        copies of a gene there, under one id, do not matter.

    Returns
    -------
    The transcripts. Ids lose the prefixes of Ensembl's and RefSeq's GFF3 (``gene:``, ``gene-``, ``transcript:``,
    ``rna-``) and keep their versions.

    Raises
    ------
    DataError
        If the file cannot be read or is neither format, an exon lies outside its transcript or a coding piece
        outside the exons, a coding transcript has no strand, a gene lies on two chromosomes that are wanted, or
        there is no transcript.
    """
    file = FeatureFile(path, on_progress)
    kind = GtfGraph if file.is_gtf else Gff3Graph
    graph, aside = kind(path), kind(path, False)
    of: dict[str, Graph] = {}
    for number, feature in file.features(graph.wants):
        if (chosen := of.get(feature.chrom)) is None:
            chosen = of[feature.chrom] = graph if is_chosen(feature.chrom, chromosomes) else aside
        chosen.take(feature, number)
    found = graph.resolve()
    known = found.transcripts.keys() | found.genes_without_transcripts.keys()
    not_chosen = {gene_id: biotype for gene_id, biotype in aside.genes().items() if gene_id not in known}
    if not (graph.has_parts or aside.has_parts):
        raise DataError(f"{path} has no transcripts: no gene has exon or CDS lines; use a complete annotation")
    if left_out := found.left_out:
        what = "of both strands, of no strand or with overlapping exons"
        _LOG.warning("%s: %d transcripts %s are left out, such as %s", path, len(left_out), what, left_out[0])
    return Annotation(
        **vars(found), path=path, genome_build=file.genome_build, not_chosen=not_chosen, chromosomes=tuple(of)
    )
