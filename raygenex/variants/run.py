"""Scoring the variants of a file: find the windows they change, score these, write what changes."""

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from raygenex.config.run import RunConfig
from raygenex.data.genome import Genome, GenomeReader, open_genome
from raygenex.errors import ConfigError, DataError
from raygenex.files.locate import check_folder_of, is_url, short_path, written_path
from raygenex.files.whole import aside_folder, sync, sync_tree
from raygenex.predict.predictor import Predictor
from raygenex.terminal.progress import steps
from raygenex.variants.counts import Counts, in_words
from raygenex.variants.effects import Effects, shown_target
from raygenex.variants.genes import ScoredGenes, open_genes
from raygenex.variants.records import read_variants
from raygenex.variants.scan import Scanner
from raygenex.variants.scoring import scored
from raygenex.variants.spool import Spool, SpooledPart
from raygenex.variants.table import SUFFIXES, TableWriter, columns_for


@dataclass(frozen=True)
class VariantsResult:
    """Where the effects are, and what became of every allele."""

    model: str
    """Kind of the model, and the run that it is of."""
    output: str
    figure: str | None
    """The plot as SVG, a PNG of the same name next to it; None if there is nothing to draw."""
    skipped_file: str | None
    """A TSV of the alleles that were skipped; None if there are none."""
    records: int
    alleles: int
    effects: int
    """Rows of the output: pairs of an allele and a gene."""
    genes: int
    """Genes with a variant in their window."""
    known_genes: int
    """Genes that were looked at."""
    outside: int
    """Alleles that change no gene's window."""
    mismatched: int
    """Alleles in a window whose REF is not the genome's: rows without effect."""
    skipped: dict[str, int]
    """Alleles that cannot be scored, by reason."""
    changed_calls: int | None
    """Rows whose prediction changes; None if ``target`` is a quantity."""
    window: int
    """Bases that the model reads of every gene."""
    window_first: int
    """The first of them, from the TSS on the gene's strand."""
    window_first_assumed: bool
    """Whether the window was taken as centred because nothing says where it starts."""
    threshold: float | None
    """Probability from which a gene is called high; None if ``target`` is a quantity."""
    seconds: float
    targets: tuple[str, ...] = ()
    """Those of a model of targets; empty of the label."""
    target: str | None = None
    """The one of them that the plot, ``changed_calls`` and ``threshold`` are of."""

    def text(self) -> str:
        """Say how many effects were written, what they change, and what became of all other alleles."""
        effects = f"variants: {self.effects} effects on {self.genes} of {self.known_genes} genes in "
        effects += short_path(self.output)
        if self.changed_calls is not None:
            which = "the prediction" if self.target is None else f"the prediction of {self.target}"
            effects += f", {self.changed_calls} change {which} (threshold {self.threshold:.4f})"
        lines = [
            effects,
            f"model: {self.model}",
            f"windows: {window_text(self.window_first, self.window, self.window_first_assumed)}",
            *([f"targets: {', '.join(self.targets)}"] if self.targets else []),
            *_read_lines(
                self, "" if self.skipped_file is None else f", each listed in {short_path(self.skipped_file)}"
            ),
        ]
        if self.figure is not None:
            what = "" if self.target is None else f", of {self.target}"
            lines.append(f"plot: {short_path(self.figure)}{what}")
        return "\n".join(lines)


def _read_lines(counts: VariantsResult | Counts, listing: str = "") -> list[str]:
    """Say in lines what became of all records."""
    lines = [f"read: {counts.records} records, {counts.alleles} alleles, {counts.outside} of them outside every window"]
    if counts.mismatched:
        lines.append(f"without effect: {counts.mismatched} alleles whose REF is not in the genome (ref_match false)")
    if counts.skipped:
        lines.append(f"skipped: {sum(counts.skipped.values())} alleles ({in_words(counts.skipped)}){listing}")
    return lines


@dataclass(frozen=True)
class Opened:
    """What `variants` needs, checked."""

    predictor: Predictor
    genome: Genome
    genes: ScoredGenes


def variants(config: RunConfig, path: str, checkpoint: str, output: str, force: bool = False) -> VariantsResult:
    """Score every variant of a file in every gene whose window it changes.

    Parameters
    ----------
    config
        Its sections variants, data, build and cluster.
    path
        VCF, BCF or table: see `raygenex.variants.records.read_variants`.
    checkpoint
        Folder of a trained model that reads DNA.
    output
        A ``.parquet``, ``.csv`` or ``.tsv`` file.
    force
        Whether existing outputs may be replaced.

    Raises
    ------
    ConfigError, DataError, CheckpointError
        If the output, the variants, the genome, the genes or the checkpoint cannot be used; nothing is written then.
    ClusterError
        If the cluster cannot hold the work.
    """
    started = time.monotonic()
    target = written_path(output, "--output").absolute()
    opened = open_variants(config, path, checkpoint, target, force)
    with aside_folder(target) as aside, _spool(Path(config.output_root), target) as spool:
        counts, parts = _scan(config, opened, path, spool, aside / _outputs(target)[3].name)
        info = opened.predictor.info
        effects = Effects(opened.genes, info.threshold, parts, info.targets)
        with TableWriter(aside / target.name, target.suffix, columns_for(info.targets)) as table:
            for part, logit in scored(config, parts, spool, opened.genome.path, checkpoint, opened.genes.window):
                effects.take(part, logit, table)
        if counts.effects != effects.rows:
            raise DataError(f"scoring variants returned {effects.rows} of {counts.effects} effects: run it again")
        if effects.known:
            effects.draw(aside / target.with_suffix(".svg").name)
        stale = [old for old in _outputs(target) if not (aside / old.name).exists()]
        sync_tree(aside)
        for new in sorted(aside.iterdir()):
            new.replace(target.parent / new.name)
        # Only now: what fails before leaves all that was there.
        for old in stale:
            old.unlink(missing_ok=True)
        sync(target.parent)
    _, figure, _, skipped = _outputs(target)
    shown = shown_target(info.targets)
    return VariantsResult(
        model=_model_text(opened),
        output=str(target),
        figure=str(figure) if figure.exists() else None,
        skipped_file=str(skipped) if counts.skipped else None,
        records=counts.records,
        alleles=counts.alleles,
        effects=counts.effects,
        genes=len(counts.genes),
        known_genes=len(opened.genes.gene_id),
        outside=counts.outside,
        mismatched=counts.mismatched,
        skipped=dict(counts.skipped.most_common()),
        changed_calls=effects.changed_calls,
        window=opened.genes.window,
        window_first=opened.genes.first,
        window_first_assumed=opened.genes.assumed,
        threshold=info.threshold if shown is None else shown.threshold,
        seconds=time.monotonic() - started,
        targets=tuple(one.name for one in info.targets),
        target=None if shown is None else shown.name,
    )


def open_variants(config: RunConfig, path: str, checkpoint: str, target: Path, force: bool) -> Opened:
    """Check everything that `variants` needs, the first variant among it, and return it."""
    if target.suffix not in SUFFIXES:
        raise ConfigError(f"output {target} must end in {', '.join(SUFFIXES[:-1])} or {SUFFIXES[-1]}")
    if not is_url(path) and target.resolve() == Path(path).resolve():
        raise ConfigError(f"output {target} is the file of variants itself: name another one")
    if folder := next((old for old in _outputs(target) if old.is_dir()), None):
        raise ConfigError(f"{folder} is a folder where a file of output {target} goes: name another output")
    if not force and (old := next((old for old in _outputs(target) if old.exists()), None)):
        raise ConfigError(f"output {old} exists: pass --force to replace it")
    check_folder_of(target, f"output {target}")
    fasta = config.variants.genome or (config.build.genome if config.build is not None else None)
    if fasta is None:
        raise ConfigError("variants.genome is not set: name the FASTA that the variants refer to")
    # Loaded here as well, so that what is wrong with it is said before a cluster is started.
    predictor = Predictor(checkpoint, batch_size=config.variants.batch_size)
    columns_for(predictor.targets)
    if not predictor.info.reads_dna:
        raise ConfigError(f"the model of {checkpoint} reads no DNA, so no variant changes its score: use another model")
    if predictor.info.inputs.kind == "embedding":
        predictor.load_backbone()
    next(read_variants(path), None)
    genome = open_genome(fasta)
    return Opened(predictor, genome, open_genes(config, predictor.info, genome))


def plan_variants(config: RunConfig, path: str, checkpoint: str, output: str, force: bool) -> str:
    """Read all variants, and say how many effects on how many genes would be scored."""
    opened = open_variants(config, path, checkpoint, written_path(output, "--output").absolute(), force)
    genes = opened.genes
    with GenomeReader(opened.genome) as reader, steps("reading variants") as on_progress:
        scanner = Scanner(opened.genome, reader, genes, config.variants.max_length)
        scanner.scan(read_variants(path, on_progress), path)
    counts = scanner.counts
    plan = (
        f"variants: {short_path(path)} against {len(genes.gene_id)} genes, by {_model_text(opened)}, "
        f"{window_text(genes.first, genes.window, genes.assumed)}, in {short_path(opened.genome.path)}, into {output}"
    )
    effects = f"effects: {counts.effects}, on {len(counts.genes)} genes"
    return "\n".join([plan, *_read_lines(counts), effects])


def _model_text(opened: Opened) -> str:
    config = opened.predictor.info.run_config
    return f"{config.model.kind} of run {config.name}"


def _outputs(target: Path) -> tuple[Path, Path, Path, Path]:
    """Return the table, the plot as SVG and as PNG, and the list of skipped alleles."""
    skipped = target.with_name(f"{target.stem}.skipped.tsv")
    return target, target.with_suffix(".svg"), target.with_suffix(".png"), skipped


@contextlib.contextmanager
def _spool(parent: Path, target: Path) -> Iterator[Path]:
    """Make a folder that goes again, with those above it that were made for it; its name is that of one output."""
    made = [folder for folder in (parent, *parent.parents) if not folder.exists()]
    try:
        with aside_folder(parent / f"variants-{hashlib.sha256(os.fsencode(target)).hexdigest()[:16]}") as folder:
            yield folder
    finally:
        for empty in made:
            # Another run may have made its own there meanwhile.
            with contextlib.suppress(OSError):
                empty.rmdir()


def _scan(
    config: RunConfig, opened: Opened, path: str, spool_folder: Path, skipped: Path
) -> tuple[Counts, list[SpooledPart]]:
    """Put all effects on the disk; return what became of the alleles, and the files."""
    options, genes = config.variants, opened.genes
    genes.save(spool_folder)
    spool = Spool(spool_folder, options.rows_per_task)
    with GenomeReader(opened.genome) as reader, steps("reading variants") as on_progress:
        scanner = Scanner(opened.genome, reader, genes, options.max_length, spool, skipped)
        scanner.scan(read_variants(path, on_progress), path)
    return scanner.counts, spool.close()


def window_text(first: int, window: int, assumed: bool) -> str:
    """Say which bases are read: ``window`` of them from ``first``, both counted from the TSS."""
    note = " (assumed to be centred: set variants.window_first)" if assumed else ""
    return f"bases {first:+,} to {first + window - 1:+,} from the TSS{note}"
