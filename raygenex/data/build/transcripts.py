"""Transcripts: their pieces, and which one stands for a gene."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

# From the best on, as APPRIS ranks them; the plain appris_principal is that of releases before the numbers, up to
# GENCODE 19 of hg19.
_APPRIS = (
    ("appris_principal_1", "appris_principal"),
    ("appris_principal_2",),
    ("appris_principal_3",),
    ("appris_principal_4",),
    ("appris_principal_5",),
    ("appris_alternative_1",),
    ("appris_alternative_2",),
)


@dataclass(frozen=True, slots=True)
class Transcript:
    """A transcript; all positions are 1-based and inclusive, pieces in genomic order whatever the strand."""

    transcript_id: str
    gene_id: str
    gene_name: str
    """Empty if the annotation has none."""
    biotype: str
    """Of the gene, or the transcript's own if the gene has none; empty if neither has one."""
    chrom: str
    strand: str
    start: int
    end: int
    exons: tuple[tuple[int, int], ...]
    cds: tuple[tuple[int, int], ...]
    """Coding pieces, the stop codon included, in GTF too; empty if it codes for nothing."""
    tags: frozenset[str]
    """Only those that choose among transcripts: Ensembl_canonical, MANE_Select, appris_..., basic."""
    phase: int = 0
    """Coding bases before the first whole codon, 0 to 2; above 0 if the coding sequence lacks its beginning."""

    @property
    def tss(self) -> int:
        """The first transcribed base, 1-based."""
        return self.start if self.strand == "+" else self.end


def choose_transcript(transcripts: Sequence[Transcript], order: tuple[str, ...]) -> tuple[Transcript, str]:
    """Choose the transcript that stands for a gene.

    Each rule in turn keeps its best transcripts, or all if it favours none; the next one chooses among these:

    - ``canonical``: those tagged Ensembl_canonical,
    - ``mane``: those tagged MANE_Select,
    - ``appris``: those with the best APPRIS tag, principal_1 to principal_5, then alternative_1 and alternative_2,
    - ``longest_cds``: those with the most coding bases; never one that codes for nothing while another codes.

    Parameters
    ----------
    transcripts
        All of one gene, at least one.
    order
        Rules, the first that can decide decides.

    Returns
    -------
    The transcript, and what chose it: a rule; ``only`` if the gene has no other; or ``tie`` if several are left
    after all rules, of which the one with the most exonic bases is taken, and among equals the first by id.
    """
    assert transcripts
    left = list(transcripts)
    if len(left) == 1:
        return left[0], "only"
    for rule in order:
        scores = [_RULES[rule](transcript) for transcript in left]
        best = max(scores)
        if best > 0:
            left = [transcript for transcript, score in zip(left, scores, strict=True) if score == best]
        if len(left) == 1:
            return left[0], rule
    return min(left, key=lambda transcript: (-_bases(transcript.exons), transcript.transcript_id)), "tie"


def _appris(transcript: Transcript) -> int:
    for rank, tags in enumerate(_APPRIS):
        if transcript.tags.intersection(tags):
            return len(_APPRIS) - rank
    return 0


def _bases(pieces: Sequence[tuple[int, int]]) -> int:
    return sum(stop - start + 1 for start, stop in pieces)


# The higher the better; 0 where a rule has nothing to say for a transcript.
_RULES: dict[str, Callable[[Transcript], int]] = {
    "canonical": lambda transcript: int("Ensembl_canonical" in transcript.tags),
    "mane": lambda transcript: int("MANE_Select" in transcript.tags),
    "appris": _appris,
    "longest_cds": lambda transcript: _bases(transcript.cds),
}


def with_stops(cds: Sequence[tuple[int, int]], stops: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Add GTF's stop codons to the coding pieces; the part behind an intron becomes a piece of its own."""
    pieces = list(cds)
    for start, end in stops if cds else ():
        for index, (low, high) in enumerate(pieces):
            if start <= high + 1 and end >= low - 1:
                pieces[index] = (min(low, start), max(high, end))
                break
        else:
            pieces.append((start, end))
    return sorted(pieces)


def union(pieces: Sequence[tuple[int, int]]) -> list[tuple[int, int]]:
    """Join sorted pieces that overlap, as the coding pieces of a frameshift do."""
    joined = [pieces[0]]
    for low, high in pieces[1:]:
        if low <= joined[-1][1]:
            joined[-1] = (joined[-1][0], max(high, joined[-1][1]))
        else:
            joined.append((low, high))
    return joined
