"""Which genes of an annotation go into a data set: one transcript each, its TSS, and why the others stay out."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from raygenex.config.data import BuildConfig
from raygenex.data.build.annotation import Annotation
from raygenex.data.build.bed import read_peaks
from raygenex.data.build.chosen import check_chosen
from raygenex.data.build.halflife import cut_regions
from raygenex.data.build.transcripts import Transcript, choose_transcript
from raygenex.data.gene_ids import strip_version
from raygenex.data.genome import Genome
from raygenex.data.repeats import first_repeat
from raygenex.data.tables import shown
from raygenex.data.windows import window_bounds
from raygenex.errors import DataError

# What the mitochondrial chromosome is called by those who write chr and by those who do not.
_MITOCHONDRIA = {"add_chr": {"MT": "chrM", "Mito": "chrM"}, "strip_chr": {"chrM": "MT"}}

NOT_CHOSEN = "chromosome not chosen"
_NO_TRANSCRIPT = "no usable transcript"
_OF_BIOTYPES = ("biotype ", "no biotype")
_ADVICE = {
    _NO_TRANSCRIPT: "use an annotation whose genes have exon or CDS lines, all of a transcript on one strand",
    "no expression": "name a table that has values of these genes in build.label.table",
    "no label": "give these genes a label in the table of features, or name one in build.label.table",
    "no split": "name these genes in split.file",
}
"""What to do if all genes stay out for a reason that no setting of build makes."""


@dataclass(frozen=True)
class Candidate:
    """A gene that may go into the data set."""

    gene_id: str
    chrom: str
    """Name of the genome."""
    tss: int
    """1-based."""
    strand: str
    transcript: Transcript | None
    """The chosen one; None if the features come from a table."""
    rule: str
    """What chose the transcript: a rule of ``build.transcript``, ``only`` or ``tie``."""
    first: int
    """Offset of the window's first base from the TSS."""
    stop: int
    """Offset of the base after the window's last."""


class Candidates(NamedTuple):
    """The genes that may go into the data set, and all others."""

    genes: list[Candidate]
    """In the order of the genome (chromosome, TSS, gene id), where they have windows."""
    dropped: dict[str, str]
    """Why a gene stays out, by its id."""


def find_candidates(annotation: Annotation, genome: Genome, config: BuildConfig) -> Candidates:
    """Choose the genes and their transcripts.

    Parameters
    ----------
    annotation
        Read with ``build.chromosomes``.
    genome
        What the windows are cut from.
    config
        Biotypes, chromosomes, the transcript rule, peaks, the window.

    Raises
    ------
    DataError
        If a chromosome of the annotation is not in the genome, a TSS lies beyond the end of its chromosome, or version
        suffixes are all that tells two genes apart.
    """
    _check_settings(annotation, config)
    chosen: list[tuple[Transcript, str, str]] = []
    dropped = {_named(gene, config): NOT_CHOSEN for gene in annotation.not_chosen}
    for gene, biotype in annotation.genes_without_transcripts.items():
        # Some annotations say biotypes with the transcripts alone.
        dropped[_named(gene, config)] = (_refused(biotype, config) if biotype else None) or _NO_TRANSCRIPT
    genes = list(annotation.transcripts)
    ids = [_named(gene, config) for gene in genes]
    if (repeat := first_repeat(lambda: [ids])) is not None:
        gene = genes[repeat.rows[1]]
        raise DataError(
            f"{annotation.path}: {gene.strip()} is there twice without "
            f"{'version suffixes' if config.strip_versions else 'blanks'}; keep one of them"
        )
    for gene_id, transcripts in zip(ids, annotation.transcripts.values(), strict=True):
        # A copy on a chromosome that is not chosen does not matter.
        dropped.pop(gene_id, None)
        if reason := _refused(transcripts[0].biotype, config):
            dropped[gene_id] = reason
            continue
        transcript, rule = choose_transcript(transcripts, config.transcript)
        chosen.append((transcript, rule, gene_id))
    names = {transcript.chrom: _rename(transcript.chrom, config) for transcript, *_ in chosen}
    _check_chromosomes(names, annotation, genome)
    check_window(config, genome)
    peaks = read_peaks(config.tss_peaks) if config.tss_peaks else None
    if peaks is not None and names and not {chrom for chrom, _ in peaks.peaks} & set(names.values()):
        raise DataError(
            f"{config.tss_peaks} has peaks on {shown(sorted({chrom for chrom, _ in peaks.peaks}))}, the genes lie on "
            f"{shown(list(names.values()))}: name the chromosomes as {genome.path} does"
        )
    first, stop = config.window
    found = []
    for transcript, rule, gene_id in chosen:
        chrom, tss = names[transcript.chrom], transcript.tss
        if transcript.end > genome.lengths[chrom]:
            raise DataError(
                f"{annotation.path}: gene {gene_id} reaches base {transcript.end} of {transcript.chrom}, but in "
                f"{genome.path} that has {genome.lengths[chrom]} bases: use the annotation and the genome of one build"
            )
        if peaks is not None:
            tss = peaks.peak_tss(chrom, tss, transcript.strand, config.tss_distance) or tss
        if tss > genome.lengths[chrom]:
            raise DataError(
                f"{config.tss_peaks}: the peak of gene {gene_id} is base {tss} of {chrom}, but in {genome.path} that "
                f"has {genome.lengths[chrom]} bases: use the peaks and the genome of one build"
            )
        low, high = window_bounds(tss, transcript.strand, first, stop)
        if config.out_of_bounds == "drop" and (low < 0 or high > genome.lengths[chrom]):
            dropped[gene_id] = "window leaves the chromosome"
        elif not transcript.cds:
            dropped[gene_id] = "no coding sequence"
        elif config.missing_utr == "drop" and not (cut_regions(transcript).utr5 and cut_regions(transcript).utr3):
            dropped[gene_id] = "no annotated UTR"
        else:
            found.append(Candidate(gene_id, chrom, tss, transcript.strand, transcript, rule, first, stop))
    order = {chrom: number for number, chrom in enumerate(genome.lengths)}
    found.sort(key=lambda gene: (order[gene.chrom], gene.tss, gene.gene_id))
    return Candidates(found, dropped)


def check_window(config: BuildConfig, genome: Genome) -> None:
    """Refuse, by a DataError, a window longer than every chromosome: it would be made of unknown bases."""
    first, stop = config.window
    if stop - first > (longest := max(genome.lengths.values())):
        raise DataError(
            f"build.window [{first}, {stop}] asks for {stop - first} bases, but the longest chromosome of "
            f"{genome.path} has {longest}: set a shorter one"
        )


def _check_settings(annotation: Annotation, config: BuildConfig) -> None:
    """Refuse chromosomes and biotypes that no gene has."""
    check_chosen(config.chromosomes, annotation.chromosomes, annotation.path)
    found = {transcripts[0].biotype for transcripts in annotation.transcripts.values()}
    found |= set(filter(None, annotation.genes_without_transcripts.values()))
    biotypes = sorted(found | set(annotation.not_chosen.values()))
    if config.biotypes and biotypes == [""]:
        raise DataError(
            f"build.biotypes: no gene of {annotation.path} says its biotype, so none can be chosen by it: set "
            "build.biotypes to [], which takes every gene that codes"
        )
    for biotype in config.biotypes:
        if biotype not in biotypes:
            raise DataError(
                f"build.biotypes: no gene of {annotation.path} has {biotype!r}; it has "
                f"{shown([name or '(none)' for name in biotypes])}: correct it, or set it to [] for all"
            )


def count_reasons(dropped: Mapping[str, str]) -> dict[str, int]:
    """Count the genes that stay out by reason, the most frequent first."""
    return dict(Counter(dropped.values()).most_common())


def none_left(where: str, dropped: Mapping[str, str]) -> DataError:
    """Return the error that says why no gene is left, first of those that the settings chose."""
    counts = count_reasons(dropped)
    reasons = sorted(counts, key=lambda reason: 2 * (reason == NOT_CHOSEN) + reason.startswith(_OF_BIOTYPES))
    advice = _ADVICE.get(next(iter(reasons), ""), "loosen the settings of build")
    return DataError(
        f"no gene of {where} is left ({', '.join(f'{counts[reason]} {reason}' for reason in reasons)}): {advice}"
    )


def _refused(biotype: str, config: BuildConfig) -> str | None:
    """Return the reason why a biotype keeps its genes out, None if it does not."""
    if not config.biotypes or biotype in config.biotypes:
        return None
    return f"biotype {biotype}" if biotype else "no biotype"


def _named(gene: str, config: BuildConfig) -> str:
    return strip_version(gene.strip()) if config.strip_versions else gene.strip()


def _rename(chrom: str, config: BuildConfig) -> str:
    if config.chromosome_names == "as_is":
        return chrom
    if special := _MITOCHONDRIA[config.chromosome_names].get(chrom):
        return special
    return f"chr{chrom}" if config.chromosome_names == "add_chr" else chrom.removeprefix("chr")


def _check_chromosomes(names: Mapping[str, str], annotation: Annotation, genome: Genome) -> None:
    """Refuse chromosomes that the genome does not have, with the fix that would make the names agree."""
    missing = sorted(chrom for chrom, name in names.items() if name not in genome.lengths)
    if not missing:
        return
    advice = "name those you want in build.chromosomes, or use the annotation and the genome of one source"
    bare = {name.removeprefix("chr") for name in genome.lengths}
    if all(chrom.removeprefix("chr") in bare | {"MT", "M", "Mito"} for chrom in missing):
        with_prefix = any(name.startswith("chr") for name in genome.lengths)
        advice = f"set build.chromosome_names to {'add_chr' if with_prefix else 'strip_chr'}"
    raise DataError(
        f"{annotation.path} has genes on {shown(missing)}, which {genome.path} does not have (it has "
        f"{shown(list(genome.lengths))}): {advice}"
    )
