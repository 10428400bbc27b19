"""From a genome, an annotation and an expression table to train, valid and test files, with nothing lost silently."""

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from raygenex import __version__
from raygenex.config.base import SPLITS
from raygenex.config.data import FileSplit, GroupSplit, SimilaritySplit
from raygenex.config.run import RunConfig
from raygenex.data.build.assemble import GeneRows, rule_counts, split_counts, write_genes, write_splits
from raygenex.data.build.candidates import count_reasons
from raygenex.data.build.extract import Extracted, extract
from raygenex.data.build.genes import Chosen, Origin, assign_filled, choose, describe_taken
from raygenex.data.splits.file import write_split
from raygenex.data.windows import GeneWindows
from raygenex.errors import DataError
from raygenex.files.dataset_folder import holds, made_in, put_in_place, refuse_own_input
from raygenex.files.fingerprint import fingerprint
from raygenex.files.json_file import load_json
from raygenex.files.locate import short_path
from raygenex.redact import redact, redact_values
from raygenex.terminal.progress import progress

MANIFEST = "build.json"
_FILES = {**{name: f"{name}.h5" for name in SPLITS}, "genes": "genes.tsv", "split": "split.tsv"}

MIN_CODING_GENES = 20
"""Fewer coding sequences than this say nothing about whether annotation and genome agree."""

MIN_START_CODONS = 0.5
"""Least share of coding sequences that start with ATG; by chance it is 1 in 64."""


@dataclass(frozen=True)
class BuildResult:
    """A built data set."""

    folder: str
    """Absolute path of the folder."""
    files: dict[str, str]
    """Absolute path of each split (HDF5), of ``genes`` (every gene of the annotation), ``split`` and ``manifest``."""
    rows: dict[str, int]
    """Genes of each split."""
    positives: dict[str, int]
    """Genes of label 1 (high) of each split."""
    dropped: dict[str, int]
    """Genes that stay out, by reason."""
    threshold: float | None
    """Expression above which a gene is high; None if the labels come from the table of features."""
    taken: tuple[str, ...]
    """What `describe_taken` says of the tables."""
    seconds: float
    reused: bool
    """Whether the folder held this data set already, and nothing was done."""

    def text(self) -> str:
        """Say what was built, from how many genes, and which stay out."""
        counts = ", ".join(
            f"{name} {count} ({100 * self.positives[name] / count:.0f} % high)" for name, count in self.rows.items()
        )
        verb = "reusing" if self.reused else "built"
        limit = "" if self.threshold is None else f"; high is above {self.threshold:g}"
        lines = [f"data: {verb} {counts} in {short_path(self.folder)}{limit}", *self.taken]
        if self.dropped:
            reasons = ", ".join(f"{count} {reason}" for reason, count in self.dropped.items())
            lines.append(f"left out: {sum(self.dropped.values())} genes ({reasons}), each listed in genes.tsv")
        return "\n".join(lines)


def build(config: RunConfig, folder: str | Path, overwrite: bool = False) -> BuildResult:
    """Write ``train.h5``, ``valid.h5``, ``test.h5``, ``genes.tsv``, ``split.tsv`` and ``build.json``.

    The rows of a file are in the order of the genome. The same inputs and settings give the same values, whatever the
    number of workers. ``genes.tsv`` has every gene of the annotation, those that stay out with the reason.

    Parameters
    ----------
    config
        Its sections build, split and cluster.
    folder
        Where to write; made if needed, and reached by every node of the cluster.
    overwrite
        Whether a data set made otherwise is replaced.

    Returns
    -------
    Paths and counts. A folder that holds this very data set is left as it is.

    Raises
    ------
    DataError
        If an input cannot be used, no gene is left, or the folder holds other data and ``overwrite`` is false.
    RaygenexError
        If another process makes a data set in the folder.
    ClusterError
        If the cluster cannot hold the work.
    """
    assert config.build is not None, "checked by the caller"
    started = time.monotonic()
    folder = Path(folder).absolute()
    if not overwrite and (found := find_build(config, folder)) is not None:
        return found
    # The small tables are read first: what is wrong with them is said before a genome is hashed.
    chosen = choose(config)
    inputs = _inputs(config)
    refuse_own_input([folder / name for name in (*_FILES.values(), MANIFEST)], _input_paths(config), "this build")
    with made_in(folder) as partial:
        # Another process may have made it since.
        if not overwrite and (found := find_build(config, folder)) is not None:
            return found
        record = _write(config, chosen, partial)
        record |= {"settings": _settings(config), "inputs": inputs, "seconds": time.monotonic() - started}
        put_in_place(partial, folder, _FILES.values(), MANIFEST, record)
    return _result(folder, record, reused=False)


def find_build(config: RunConfig, folder: Path) -> BuildResult | None:
    """Return the data set of these settings and inputs that a folder holds already; None if it holds none.

    Raises
    ------
    DataError
        If it holds other data, or an input is missing.
    """
    try:
        record = load_json(folder / MANIFEST)
    except (OSError, ValueError):
        record = None
    known = isinstance(record, dict) and record.get("settings") == _settings(config)
    if known and record.get("inputs") == _inputs(config):
        written = record["sha256"]
        if set(_FILES.values()) >= set(written) and holds(folder, written):
            return _result(folder, record, reused=True)
    if present := [name for name in (*_FILES.values(), MANIFEST) if (folder / name).exists()]:
        raise DataError(
            f"{folder} holds {present[0]} made from other inputs or settings, or changed since: give --force to "
            "replace it, or choose another folder"
        )
    return None


def _settings(config: RunConfig) -> dict[str, Any]:
    assert config.build is not None, "checked by the caller"
    values = config.build.model_dump(mode="json", exclude={"genes_per_task", "cpus_per_task"})
    # What older builds did not say has its default, and they stay the same builds.
    for name in ("promoters", "features_scale", "targets"):
        if getattr(config.build, name) == type(config.build).model_fields[name].default:
            del values[name]
    return redact_values({"build": values, "split": config.split.model_dump(mode="json")})


def _input_paths(config: RunConfig) -> list[str]:
    """Return every file that goes in, once."""
    options, split = config.build, config.split
    assert options is not None, "checked by the caller"
    paths = [options.genome, options.annotation, options.features, options.windows, options.tss_peaks]
    paths += [options.label.table, *(target.table for target in options.targets)]
    paths += [extra.table for extra in options.extra]
    paths += [split.file] if isinstance(split, FileSplit) else []
    paths += [split.table] if isinstance(split, GroupSplit) else []
    return list(dict.fromkeys(path for path in paths if path))


def _inputs(config: RunConfig) -> dict[str, str]:
    """Return the sha256 of every file that goes in."""
    found: dict[str, str] = {}
    for path in _input_paths(config):
        # Addresses that differ in what is left out of them are files of their own all the same.
        name, count = redact(path), 1
        while (key := name if count == 1 else f"{name} ({count})") in found:
            count += 1
        found[key] = fingerprint(path)
    return found


def _write(config: RunConfig, chosen: Chosen, folder: Path) -> dict[str, Any]:
    """Write everything but the manifest, and return what the manifest says of it."""
    options, origin = config.build, chosen.origin
    assert options is not None, "checked by the caller"
    similar = config.split if isinstance(config.split, SimilaritySplit) else None
    sketches = (similar is not None, similar is not None and similar.protein is not None and origin.table is None)
    batches: list[Extracted] = []
    if origin.genome is not None:
        batches = extract(origin.genome.path, origin.genes, folder, options, config.cluster, sketches)
    start_codons = _check_start_codons(origin, batches)
    rows = _rows(chosen, batches)
    table = chosen.split or assign_filled(_with_sketches(chosen.genes, batches), config)
    splits = table.split
    write_split(table, folder / "split.tsv", overwrite=True)
    first, stop = options.window
    attrs: dict[str, str | int | float] = {"halflife_scale": origin.halflife_scale}
    if batches:
        attrs["window_first"] = first
    if origin.genome_build:
        attrs["genome_build"] = origin.genome_build
    with progress("writing genes", len(rows.gene_id)) as advance:
        write_splits(folder, rows, splits, batches, attrs, advance)
    write_genes(folder / "genes.tsv", rows, splits, origin.dropped)
    targets = [asdict(target.target) | {"measured": target.count(rows.gene_id)} for target in chosen.targets]
    return ({"targets": targets} if targets else {}) | {
        "version": __version__,
        "genome_build": origin.genome_build,
        "window": {"first": first, "stop": stop, "bases": stop - first, "tss_index": -first} if batches else None,
        "halflife_scale": origin.halflife_scale,
        "features_scale": origin.features_scale,
        "genes": {
            "found": len(rows.gene_id) + len(origin.dropped),
            "kept": len(rows.gene_id),
            "dropped": count_reasons(origin.dropped),
        },
        "transcript_rules": rule_counts(rows),
        "moved_tss": sum(gene.transcript is not None and gene.tss != gene.transcript.tss for gene in origin.genes),
        "label": {
            "columns": list(origin.columns),
            "aggregate": options.label.aggregate,
            "rule": options.label.threshold if options.label.table else "the labels of the table",
            "threshold": chosen.threshold,
        },
        "splits": split_counts(rows, splits),
        "split": table.rule,
        "start_codons": start_codons,
        "unknown_bases": _unknown_bases(batches, stop - first) if batches else None,
        "sha256": {name: fingerprint(str(folder / name)) for name in _FILES.values() if (folder / name).exists()},
    }


def _rows(chosen: Chosen, batches: list[Extracted]) -> GeneRows:
    origin, genes = chosen.origin, chosen.origin.genes
    if origin.table is not None:
        row = {gene: i for i, gene in enumerate(origin.table.gene_id)}
        halflife = origin.table.halflife[[row[gene] for gene in origin.gene_id]]
    else:
        halflife = np.concatenate([batch.halflife for batch in batches])
    return GeneRows(
        gene_id=origin.gene_id,
        locations=origin.locations(),
        transcript_id=np.array(
            [gene.transcript.transcript_id if gene.transcript else "" for gene in genes], dtype=object
        ),
        rule=np.array([gene.rule for gene in genes], dtype=object),
        expression=chosen.expression,
        label=chosen.label,
        halflife=halflife,
        extra=chosen.columns,
        targets=chosen.targets,
    )


def _with_sketches(genes: GeneWindows, batches: list[Extracted]) -> GeneWindows:
    promoters = [batch.promoter_sketch for batch in batches if batch.promoter_sketch is not None]
    proteins = [batch.protein_sketch for batch in batches if batch.protein_sketch is not None]
    return replace(
        genes,
        promoter_sketch=np.concatenate(promoters) if promoters else None,
        protein_sketch=np.concatenate(proteins) if proteins else None,
    )


def _unknown_bases(batches: list[Extracted], window: int) -> dict[str, float]:
    unknown = np.concatenate([batch.unknown for batch in batches])
    return {"genes": int((unknown > 0).sum()), "share": float(unknown.sum() / unknown.size / window)}


def _check_start_codons(origin: Origin, batches: list[Extracted]) -> float | None:
    """Return the share of coding sequences that start with ATG; a small one means another genome than annotated."""
    if origin.table is not None:
        return None
    starts = np.concatenate([batch.starts for batch in batches])
    share = float(starts.mean())
    assert origin.genome is not None, "an annotation has a genome"
    if len(starts) >= MIN_CODING_GENES and share < MIN_START_CODONS:
        raise DataError(
            f"only {100 * share:.0f} % of the coding sequences of {origin.where} start with ATG in "
            f"{origin.genome.path}: use the annotation and the genome of one build"
        )
    return share


def _result(folder: Path, record: dict[str, Any], reused: bool) -> BuildResult:
    label = record["label"]
    return BuildResult(
        folder=str(folder),
        files={name: str(folder / file) for name, file in _FILES.items() if file in record["sha256"]}
        | {"manifest": str(folder / MANIFEST)},
        rows={name: counts["genes"] for name, counts in record["splits"].items()},
        positives={name: counts["high"] for name, counts in record["splits"].items()},
        dropped=record["genes"]["dropped"],
        threshold=label["threshold"],
        # Older builds do not say the scale that the table had.
        taken=describe_taken(label["columns"], label["aggregate"], label["threshold"], record.get("features_scale")),
        seconds=record["seconds"],
        reused=reused,
    )
