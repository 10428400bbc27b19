"""Gene annotations: GTF and GFF3 files of Ensembl, GENCODE and RefSeq, streamed into transcripts."""

import logging
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise

from raygenex.data.build.gff import Feature, FeatureFile
from raygenex.data.build.transcripts import Transcript, union, with_stops
from raygenex.errors import DataError

_LOG = logging.getLogger(__name__)

_PARTS = {"exon": "exons", "pseudogenic_exon": "exons", "CDS": "cds", "stop_codon": "stops"}
_GTF_TYPES = {"gene", "transcript", "exon", "CDS", "stop_codon"}
_BIOTYPE_KEYS = ("gene_biotype", "gene_type", "transcript_biotype", "transcript_type", "biotype")
_NAME_KEYS = ("gene_name", "Name", "gene")
_ATTRIBUTES = (*_BIOTYPE_KEYS, *_NAME_KEYS, "ID", "Parent", "gene_id", "geneID", "transcript_id", "tag")
_TAGS = {"Ensembl_canonical", "MANE_Select", "basic"}


@dataclass(frozen=True)
class Annotation:
    """What a GTF or GFF3 file says about genes."""

    path: str
    transcripts: dict[str, list[Transcript]]
    """By gene id; genes and transcripts in the order of the file."""
    genome_build: str | None
    """As the header names it."""
    genes_without_transcripts: tuple[str, ...]
    """Genes that have a line of their own, but no transcript with exons or coding pieces."""
    left_out: tuple[str, ...]
    """Transcripts that are not a stretch of one strand: trans-spliced, with overlapping exons, or of no strand."""


def read_annotation(path: str, on_progress: Callable[[int, int], None] | None = None) -> Annotation:
    """Read the transcripts of a GTF or GFF3 file, plain or gzip.

    Which of the two it is, is told from its lines. A transcript is what has exons or coding pieces. Where these
    hang directly below a gene, as on RefSeq's mitochondria, the gene is its own transcript. Coding pieces without
    exons are taken for the exons, the outer ones reaching to the ends of the transcript.

    Parameters
    ----------
    path
        A local path or an fsspec URL.
    on_progress
        Called now and then with the bytes of the file that are read, and all its bytes.

    Returns
    -------
    The transcripts. Ids lose the prefixes of Ensembl's and RefSeq's GFF3 (``gene:``, ``gene-``, ``transcript:``,
    ``rna-``) and keep their versions.

    Raises
    ------
    DataError
        If the file cannot be read or is neither format, an exon lies outside its transcript or a coding piece
        outside the exons, a coding transcript has no strand, a gene lies on two chromosomes, or there is no
        transcript.
    """
    file = FeatureFile(path, _ATTRIBUTES, on_progress)
    graph = _Gtf(path) if file.is_gtf else _Gff3(path)
    for number, feature in file.features(graph.wants):
        graph.take(feature, number)
    annotation = graph.resolve(file.genome_build)
    if not annotation.transcripts:
        raise DataError(f"{path} has no transcripts: no gene has exon or CDS lines; use a complete annotation")
    if left_out := annotation.left_out:
        what = "of both strands, of no strand or with overlapping exons"
        _LOG.warning("%s: %d transcripts %s are left out, such as %s", path, len(left_out), what, left_out[0])
    return annotation


@dataclass(slots=True)
class _Node:
    """A gene or a transcript as its line describes it; ``start`` is 0 if it has no line of its own."""

    parent: str | None
    chrom: str
    strand: str
    start: int
    end: int
    gene_id: str
    transcript_id: str
    gene_name: str
    biotype: str
    tags: frozenset[str]
    is_gene: bool


@dataclass(slots=True)
class _TranscriptLines:
    """The lines below a transcript; ``places`` are their chromosomes and strands."""

    places: list[tuple[str, str]] = field(default_factory=list)
    exons: list[tuple[int, int]] = field(default_factory=list)
    cds: list[tuple[int, int]] = field(default_factory=list)
    stops: list[tuple[int, int]] = field(default_factory=list)


class _Graph:
    """Genes, transcripts and their parts while a file is read, in whatever order its lines come."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._nodes: dict[str, _Node] = {}
        self._parts: dict[str, _TranscriptLines] = {}
        # Transcripts of a gene share most of their exons: equal pairs and tag sets are kept once.
        self._pairs: dict[tuple[int, int], tuple[int, int]] = {}
        self._chrom = ""
        self._tag_sets: dict[frozenset[str], frozenset[str]] = {}

    def add_node(self, key: str, node: _Node) -> None:
        known = self._nodes.setdefault(key, node)
        if known is node:
            return
        self._check_chromosome(node.gene_id, known.chrom, node.chrom)
        if not known.start:
            self._nodes[key] = node
        elif node.start:
            known.start, known.end = min(known.start, node.start), max(known.end, node.end)
            known.strand = known.strand if known.strand == node.strand else "?"

    def add_part(self, key: str, feature: Feature) -> None:
        parts = self._parts.setdefault(key, _TranscriptLines())
        place = (sys.intern(feature.chrom), sys.intern(feature.strand))
        if place not in parts.places:
            parts.places.append(place)
        if place[0] != self._chrom:
            self._chrom = place[0]
            self._pairs.clear()
        pair = (feature.start, feature.end)
        getattr(parts, _PARTS[feature.kind]).append(self._pairs.setdefault(pair, pair))

    def make_node(
        self, feature: Feature, parent: str | None, gene_id: str, transcript_id: str, has_line: bool = True
    ) -> _Node:
        is_gene = parent is None and "gene" in feature.kind
        # The Name of a transcript is its own.
        name_keys = [key for key in _NAME_KEYS if is_gene or key != "Name"]
        return _Node(
            parent=parent,
            chrom=sys.intern(feature.chrom),
            strand=sys.intern(feature.strand),
            start=feature.start if has_line else 0,
            end=feature.end if has_line else 0,
            gene_id=gene_id,
            transcript_id=transcript_id,
            gene_name=feature.first(*name_keys),
            biotype=sys.intern(feature.first(*_BIOTYPE_KEYS)),
            tags=self._tags(feature),
            is_gene=is_gene and has_line,
        )

    def _tags(self, feature: Feature) -> frozenset[str]:
        # RefSeq writes MANE Select with a space.
        tags = ",".join(feature.attributes.get("tag", ())).replace(" ", "_").split(",")
        found = frozenset(sys.intern(tag) for tag in tags if tag in _TAGS or tag.startswith("appris_"))
        return self._tag_sets.setdefault(found, found)

    def _check_chromosome(self, gene_id: str, first: str, second: str) -> None:
        if first != second:
            raise DataError(
                f"{self._path}: gene {gene_id} lies on both {first} and {second}; give the copies different ids, "
                "or remove one"
            )

    def resolve(self, genome_build: str | None) -> Annotation:
        """Join nodes and parts."""
        found: dict[str, list[Transcript]] = {}
        left_out = []
        parents = {node.parent for key, node in self._nodes.items() if key in self._parts}
        for key, node in self._nodes.items():
            if node.parent is None:
                found.setdefault(node.gene_id, [])
            gene = self._nodes.get(node.parent, node) if node.parent is not None else node
            # What lies below a transcript, such as a mature miRNA, is a piece of one, not another.
            if gene is not node and gene.parent is not None:
                continue
            # Coding pieces of a gene that has transcripts belong to none of them.
            parts = self._parts.get(key) if gene is not node or key not in parents else None
            if parts is None or not (parts.exons or parts.cds):
                continue
            transcript = self._transcript(node, gene, parts)
            if transcript is None:
                left_out.append(node.transcript_id)
                continue
            siblings = found.setdefault(transcript.gene_id, [])
            if siblings:
                self._check_chromosome(transcript.gene_id, siblings[0].chrom, transcript.chrom)
            siblings.append(transcript)
        without = tuple(n.gene_id for n in self._nodes.values() if n.is_gene and n.start and not found[n.gene_id])
        full = {gene_id: transcripts for gene_id, transcripts in found.items() if transcripts}
        return Annotation(self._path, full, genome_build, without, tuple(left_out))

    def _transcript(self, node: _Node, gene: _Node, parts: _TranscriptLines) -> Transcript | None:
        """Return the transcript of a node; None if it is not a stretch of one strand."""
        what = f"{self._path}: transcript {node.transcript_id} of gene {gene.gene_id}"
        for chrom, _ in (*parts.places, (node.chrom, "")):
            self._check_chromosome(gene.gene_id, gene.chrom, chrom)
        strands = {strand for _, strand in parts.places} | {node.strand}
        if parts.cds and strands <= {".", "?"}:
            raise DataError(f"{what} has a coding sequence but the strand {node.strand!r}; write + or -")
        exons, cds = sorted(parts.exons), with_stops(parts.cds, parts.stops)
        if not exons:
            exons = union(cds)
            if node.start:
                exons[0] = (min(node.start, exons[0][0]), exons[0][1])
                exons[-1] = (exons[-1][0], max(node.end, exons[-1][1]))
        if len(strands) > 1 or not strands <= {"+", "-"}:
            return None
        if any(before[1] >= after[0] for before, after in pairwise(exons)):
            return None
        start, end = exons[0][0], exons[-1][1]
        if node.start and (start < node.start or end > node.end):
            piece = exons[0] if start < node.start else exons[-1]
            raise DataError(
                f"{what} spans {node.start}-{node.end}, but its exon {piece[0]}-{piece[1]} lies outside; "
                "correct the annotation"
            )
        for low, high in cds:
            if not any(first <= low and high <= last for first, last in exons):
                raise DataError(f"{what} has coding bases {low}-{high} outside its exons; correct the annotation")
        return Transcript(
            transcript_id=node.transcript_id,
            gene_id=gene.gene_id,
            gene_name=gene.gene_name or node.gene_name,
            biotype=gene.biotype or node.biotype,
            chrom=node.chrom,
            strand=node.strand,
            start=start,
            end=end,
            exons=tuple(exons),
            cds=tuple(cds),
            tags=node.tags,
        )


class _Gtf(_Graph):
    """Every line names its gene and its transcript; lines of their own for these are welcome, not needed."""

    def wants(self, kind: str, line: str) -> bool:
        return kind in _GTF_TYPES

    def take(self, feature: Feature, number: int) -> None:
        gene_id, transcript_id = feature.first("gene_id"), feature.first("transcript_id")
        kind = feature.kind
        missing = "gene_id" if not gene_id else "transcript_id" if kind != "gene" and not transcript_id else None
        if missing:
            raise DataError(f"{self._path}: line {number} ({kind}) has no {missing}; correct or remove the line")
        if kind == "gene":
            self.add_node(gene_id, self.make_node(feature, None, gene_id, gene_id))
            return
        # RefSeq's GTF uses some transcript ids, such as unknown_transcript_1, in many genes.
        key = f"{gene_id}\t{transcript_id}"
        if gene_id not in self._nodes:
            self.add_node(gene_id, self.make_node(feature, None, gene_id, gene_id, False))
        if kind == "transcript" or key not in self._nodes:
            self.add_node(key, self.make_node(feature, gene_id, gene_id, transcript_id, kind == "transcript"))
        if kind in _PARTS:
            self.add_part(key, feature)


class _Gff3(_Graph):
    """A graph of ID and Parent; the coding pieces hold the stop codon, so its own lines are not looked at."""

    def wants(self, kind: str, line: str) -> bool:
        # Most lines do not matter, and parsing attributes is slow.
        if kind in _PARTS:
            return kind != "stop_codon"
        return "ID=" in line and ("gene" in kind or "Parent=" in line or kind.endswith(("RNA", "transcript")))

    def take(self, feature: Feature, number: int) -> None:
        parents = feature.attributes.get("Parent", [])
        if feature.kind in _PARTS:
            for transcript in parents:
                self.add_part(transcript, feature)
            return
        key = feature.first("ID")
        if not key:
            return
        own = _bare(key)
        parent = parents[0] if parents else None
        if parent is None:
            gene_id = _prefer(own, feature.first("gene_id", "geneID"))
        else:
            gene_id = feature.first("gene_id") or _bare(parent)
        transcript_id = _prefer(own, feature.first("transcript_id"))
        self.add_node(key, self.make_node(feature, parent, gene_id, transcript_id))


def _bare(key: str) -> str:
    """Return an ID without the prefix that Ensembl or RefSeq puts before the gene's or transcript's own."""
    return re.sub(r"^(gene:|transcript:|gene-|rna-)", "", key)


def _prefer(own: str, named: str) -> str:
    # In some releases of GENCODE's GFF3 the ID alone tells the copy of a gene on chromosome Y.
    return own if not named or own.endswith("_PAR_Y") else named
