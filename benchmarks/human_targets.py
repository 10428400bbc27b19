"""Quantities of human genes, out of fold: each gene predicted by a network that never saw its chromosome.

``python benchmarks/human_targets.py DATA [--targets expression] [--seeds 0] [-o section.key=value ...]``. DATA holds
core60, human_targets and halflife17k.tsv.gz, which says the chromosomes. Four folds are chromosomes by number mod 4 (X
is 23); the epoch is chosen on the chromosomes of the others whose number divides by 5. Settings are those of
jobs/human_targets.yaml. Printed are Pearson's r over all genes of train.h5 that have a value, by target and seed, and
of the mean of the seeds, with a 95 % bootstrap interval. With several targets they are learned together.
"""

import argparse
import csv
import gzip
import statistics
import tempfile
import time
from pathlib import Path

import h5py
import numpy as np
from measure import print_table

from raygenex.cluster.connect import open_cluster
from raygenex.config.load import load_config
from raygenex.config.services import ClusterConfig
from raygenex.data.hdf5.read import inspect, read_rows
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.predict.predictor import Predictor
from raygenex.stats.quantities import quantity_intervals
from raygenex.train.run import train

JOB = Path(__file__).parent.parent / "jobs" / "human_targets.yaml"
FOLDS = 4


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of core60, human_targets and halflife17k.tsv.gz")
    parser.add_argument("--targets", nargs="+", default=["expression"], help="columns of the table, learned together")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="one network each in every fold")
    parser.add_argument("-o", "--override", action="append", default=[], help="section.key=value")
    given = parser.parse_args()
    started = time.monotonic()
    path = str(given.data / "core60" / "train.h5")
    genes = read_rows(inspect(path), 0, inspect(path).rows)
    number = chromosome_numbers(given.data / "halflife17k.tsv.gz")
    chromosome = np.array([number[gene] for gene in genes["gene_id"]])
    table = given.data / "human_targets" / "targets.tsv.gz"
    truth = {name: column(table, name, genes["gene_id"]) for name in given.targets}
    predicted = {seed: {name: np.full(len(chromosome), np.nan) for name in given.targets} for seed in given.seeds}
    with tempfile.TemporaryDirectory() as name, open_cluster(ClusterConfig(), 3.0):
        for fold in range(FOLDS):
            folder = Path(name, str(fold))
            held = chromosome % FOLDS == fold
            chooses = ~held & (chromosome % 5 == 0)
            write(path, folder / "train.h5", genes, ~held & ~chooses)
            write(path, folder / "valid.h5", genes, chooses)
            targets = ", ".join(f"{{name: {target}, table: '{table}'}}" for target in given.targets)
            for seed in given.seeds:
                changes = [f"data.{split}={folder / split}.h5" for split in ("train", "valid")]
                changes += [f"targets=[{targets}]", f"seed={seed}", f"name=seed{seed}", f"output={folder}/runs"]
                changes += [f"train.monitor={given.targets[0]}_pearson", "check.max_leaked=1.0"]
                config = load_config(JOB, [*changes, *given.override])
                train(config)
                scored = Predictor(config.checkpoint, batch_size=512).predict_arrays(
                    genes["sequence"][held], genes["halflife"][held]
                )
                for target in given.targets:
                    predicted[seed][target][held] = scored[target]
                print(f"fold {fold}, seed {seed}: {time.monotonic() - started:.0f} s", flush=True)
    rows = []
    for target, values in truth.items():
        known = ~np.isnan(values)
        each = [interval(values[known], predicted[seed][target][known]) for seed in given.seeds]
        mean = np.mean([predicted[seed][target][known] for seed in given.seeds], axis=0)
        together = interval(values[known], mean)
        single = statistics.mean(one.value for one in each)
        spread = f"{min(one.value for one in each):.4f} to {max(one.value for one in each):.4f}"
        interval_text = f"{together.value:.4f} ({together.low:.4f} to {together.high:.4f})"
        rows.append([target, f"{known.sum():,}", f"{single:.4f}", spread, interval_text])
    print_table(["target", "genes", "r, mean of seeds", "range", "r of the mean prediction (95 %)"], rows)


def chromosome_numbers(path: Path) -> dict[str, int]:
    """Return the number of each gene's chromosome, 23 of X and 24 of Y."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    letters = {"X": 23, "Y": 24}
    return {row["gene_id"]: letters.get(row["chrom"]) or int(row["chrom"]) for row in rows}


def column(path: Path, name: str, gene_id: np.ndarray) -> np.ndarray:
    """Return a column of a table for genes, NaN where there is no value."""
    with gzip.open(path, "rt", encoding="utf-8") as file:
        values = {row["gene_id"]: row[name] for row in csv.DictReader(file, delimiter="\t")}
    return np.array([float(values.get(gene) or "nan") for gene in gene_id])


def write(source: str, path: Path, genes: dict[str, np.ndarray], chosen: np.ndarray) -> None:
    """Write some genes as a promoter file, with the attributes of the file that they come from."""
    with h5py.File(source) as handle:
        attrs = dict(handle.attrs)
    parts = [genes[name][chosen] for name in ("gene_id", "sequence", "halflife", "label")]
    with PromoterWriter(path, genes["sequence"].shape[1], attrs=attrs) as writer:
        writer.append(*parts)


def interval(truth: np.ndarray, predicted: np.ndarray):
    """Return Pearson's r with its interval."""
    return quantity_intervals(truth, predicted, 1000, 0.95, 0)["pearson"]


if __name__ == "__main__":
    main()
