"""Genes, transcripts and their parts: a graph that grows with the lines of an annotation."""

import re
import sys
from dataclasses import dataclass, field
from itertools import pairwise

from raygenex.data.build.gff import Feature
from raygenex.data.build.transcripts import Transcript, union, with_stops
from raygenex.errors import DataError

_PARTS = {"exon": "exons", "pseudogenic_exon": "exons", "CDS": "cds", "stop_codon": "stops"}
_GTF_TYPES = {"gene", "transcript", "exon", "CDS", "stop_codon"}
_GFF3_TYPES = ("gene", "gene_segment", "RNA", "transcript")
_BIOTYPE_KEYS = ("gene_biotype", "gene_type", "transcript_biotype", "transcript_type", "biotype")
_NAME_KEYS = ("gene_name", "Name", "gene")
_TAGS = {"Ensembl_canonical", "MANE_Select", "basic"}


@dataclass(frozen=True)
class Resolved:
    """What a graph comes to."""

    transcripts: dict[str, list[Transcript]]
    """By gene id; genes and transcripts in the order of the file."""
    genes_without_transcripts: dict[str, str]
    """Biotypes of the genes that have a line of their own, but no transcript with exons or coding pieces."""
    left_out: tuple[str, ...]
    """Transcripts that are not a stretch of one strand: trans-spliced, with overlapping exons, or of no strand."""


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
    coding_start: int | None = None
    """Where the coding piece at the 5' end starts: its first base, or the negative of its last on the other strand."""
    phase: int = 0
    """Of that piece."""


class Graph:
    """Genes, transcripts and their parts while a file is read, in whatever order its lines come.

    A graph that is not resolved need not be ``whole``: a gene may then lie on several chromosomes.
    """

    def __init__(self, path: str, whole: bool = True) -> None:
        self._path = path
        self._whole = whole
        self._nodes: dict[str, _Node] = {}
        self._parts: dict[str, _TranscriptLines] = {}
        # Transcripts of a gene share most of their exons: equal pairs and tag sets are kept once.
        self._pairs: dict[tuple[int, int], tuple[int, int]] = {}
        self._chrom = ""
        self._tag_sets: dict[frozenset[str], frozenset[str]] = {}

    def wants(self, kind: str, attributes: str) -> bool:
        """Whether a line of this type, with these attributes, says something about genes."""
        raise NotImplementedError

    def take(self, feature: Feature, number: int) -> None:
        """Add a wanted line, the ``number``-th; a `DataError` if it lacks an id, or its gene is on two chromosomes."""
        raise NotImplementedError

    def _add_node(self, key: str, node: _Node) -> None:
        known = self._nodes.setdefault(key, node)
        if known is node:
            return
        self._check_chromosome(node.gene_id, known.chrom, node.chrom)
        if not known.start:
            self._nodes[key] = node
        elif node.start:
            known.start, known.end = min(known.start, node.start), max(known.end, node.end)
            known.strand = known.strand if known.strand == node.strand else "?"

    def _add_part(self, key: str, feature: Feature) -> None:
        if (parts := self._parts.get(key)) is None:
            parts = self._parts[key] = _TranscriptLines()
        place = (feature.chrom, feature.strand)
        if place not in parts.places:
            parts.places.append((sys.intern(feature.chrom), sys.intern(feature.strand)))
        if feature.chrom != self._chrom:
            self._chrom = feature.chrom
            self._pairs.clear()
        pair = (feature.start, feature.end)
        getattr(parts, _PARTS[feature.kind]).append(self._pairs.setdefault(pair, pair))
        if feature.kind == "CDS":
            start = -feature.end if feature.strand == "-" else feature.start
            if parts.coding_start is None or start < parts.coding_start:
                parts.coding_start, parts.phase = start, feature.phase

    def _make_node(
        self, feature: Feature, parent: str | None, gene_id: str, transcript_id: str, has_line: bool = True
    ) -> _Node:
        is_gene = parent is None and feature.kind.endswith("gene")
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
        tags = ",".join(feature.values("tag")).replace(" ", "_").split(",")
        found = frozenset(sys.intern(tag) for tag in tags if tag in _TAGS or tag.startswith("appris_"))
        return self._tag_sets.setdefault(found, found)

    def _check_chromosome(self, gene_id: str, first: str, second: str) -> None:
        if self._whole and first != second:
            raise DataError(
                f"{self._path}: gene {gene_id} lies on both {first} and {second}; name the chromosomes you want in "
                "build.chromosomes, or give the copies different ids"
            )

    def genes(self) -> dict[str, str]:
        """Return the biotypes of all genes, and of what has parts below it without one, by gene id."""
        found: dict[str, str] = {}
        for key, node in self._nodes.items():
            if node.is_gene or key in self._parts:
                gene = node if node.parent is None else self._nodes.get(node.parent, node)
                found.setdefault(gene.gene_id, gene.biotype or node.biotype)
        return found

    def resolve(self) -> Resolved:
        """Join nodes and parts.

        Raises
        ------
        DataError
            If parts do not fit their transcript, a coding transcript has no strand, or a gene lies on two chromosomes.
        """
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
        without = {
            node.gene_id: node.biotype
            for node in self._nodes.values()
            if node.is_gene and node.start and not found[node.gene_id]
        }
        full = {gene_id: transcripts for gene_id, transcripts in found.items() if transcripts}
        return Resolved(full, without, tuple(left_out))

    @property
    def has_parts(self) -> bool:
        """Whether there is any exon or coding piece."""
        return bool(self._parts)

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
            phase=parts.phase,
        )


class GtfGraph(Graph):
    """Every line names its gene and its transcript; lines of their own for these are welcome, not needed."""

    def wants(self, kind: str, attributes: str) -> bool:
        """As `Graph.wants`."""
        return kind in _GTF_TYPES

    def take(self, feature: Feature, number: int) -> None:
        """As `Graph.take`."""
        gene_id, transcript_id = feature.first("gene_id"), feature.first("transcript_id")
        kind = feature.kind
        missing = "gene_id" if not gene_id else "transcript_id" if kind != "gene" and not transcript_id else None
        if missing:
            raise DataError(f"{self._path}: line {number} ({kind}) has no {missing}; correct or remove the line")
        if kind == "gene":
            self._add_node(gene_id, self._make_node(feature, None, gene_id, gene_id))
            return
        # RefSeq's GTF uses some transcript ids, such as unknown_transcript_1, in many genes.
        key = f"{gene_id}\t{transcript_id}"
        if gene_id not in self._nodes:
            self._add_node(gene_id, self._make_node(feature, None, gene_id, gene_id, False))
        if kind == "transcript" or key not in self._nodes:
            self._add_node(key, self._make_node(feature, gene_id, gene_id, transcript_id, kind == "transcript"))
        if kind in _PARTS:
            self._add_part(key, feature)


class Gff3Graph(Graph):
    """A graph of ID and Parent; the coding pieces hold the stop codon, so its own lines are not looked at."""

    def wants(self, kind: str, attributes: str) -> bool:
        """As `Graph.wants`."""
        if kind in _PARTS:
            return kind != "stop_codon"
        # Not what merely has gene in its name, such as a mobile_genetic_element or an intergenic_region.
        return "ID=" in attributes and ("Parent=" in attributes or kind.endswith(_GFF3_TYPES))

    def take(self, feature: Feature, number: int) -> None:
        """As `Graph.take`."""
        parents = feature.values("Parent")
        if feature.kind in _PARTS:
            for transcript in parents:
                self._add_part(transcript, feature)
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
        self._add_node(key, self._make_node(feature, parent, gene_id, transcript_id))


def _bare(key: str) -> str:
    """Return an ID without the prefix that Ensembl or RefSeq puts before the gene's or transcript's own."""
    return re.sub(r"^(gene:|transcript:|gene-|rna-)", "", key)


def _prefer(own: str, named: str) -> str:
    # In some releases of GENCODE's GFF3 the ID alone tells the copy of a gene on chromosome Y.
    return own if not named or own.endswith("_PAR_Y") else named
