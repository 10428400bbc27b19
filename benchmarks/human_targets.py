"""Quantities of human genes, out of fold: each gene predicted by a network that never saw its chromosome.

``python benchmarks/human_targets.py DATA [--targets expression ...] [--label] [--alone] [--seeds 0 ...]
[-o section.key=value ...]``. DATA holds core60, human_targets and halflife17k.tsv.gz, which says the chromosomes. Four
folds are chromosomes by number mod 4 (X is 23) of core60/train.h5; genes of core60/valid.h5 that are on none of the
held chromosomes choose the epoch. Settings are those of jobs/human_targets.yaml. The targets are learned together, with
``--label`` beside high or low expression, and with ``--alone`` each by itself too. With ``--trees`` xgboost_kmer, with
its own settings, predicts each as well, and the mean of both is measured. Printed are Pearson's r over all
genes of train.h5 that have a value, by target, the mean and the range of the seeds, and r of the mean of the seeds with
a 95 % bootstrap interval; with ``--alone`` also how much more that is than alone, by Steiger's test.
"""

import argparse
import csv
import gzip
import statistics
import tempfile
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
from raygenex.stats.quantities import quantity_intervals, quantity_metrics, steiger
from raygenex.train.run import train

JOB = Path(__file__).parent.parent / "jobs" / "human_targets.yaml"
FOLDS = 4
TOGETHER, TREES = "together", "trees"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of core60, human_targets and halflife17k.tsv.gz")
    parser.add_argument("--targets", nargs="+", default=["expression"], help="columns of the table, learned together")
    parser.add_argument("--label", action="store_true", help="learn the label beside them")
    parser.add_argument("--alone", action="store_true", help="learn each by itself too")
    parser.add_argument("--trees", action="store_true", help="predict by boosted trees too, and by the mean of both")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="one network each in every fold")
    parser.add_argument("-o", "--override", action="append", default=[], help="section.key=value")
    given = parser.parse_args()
    path, other = (str(given.data / "core60" / f"{split}.h5") for split in ("train", "valid"))
    genes, more = (read_rows(inspect(file), 0, inspect(file).rows) for file in (path, other))
    number = chromosome_numbers(given.data / "halflife17k.tsv.gz")
    # A few genes of valid.h5 are not in the table, and choose nothing.
    chromosome, chosen = (np.array([number.get(gene, -1) for gene in part["gene_id"]]) for part in (genes, more))
    table = given.data / "human_targets" / "targets.tsv.gz"
    truth = {name: column(table, name, genes["gene_id"]) for name in given.targets}
    sides = {TOGETHER: given.targets} | ({name: [name] for name in given.targets} if given.alone else {})
    # Trees of each target are their own, whatever they learn beside it.
    sides |= {TREES: given.targets} if given.trees else {}
    predicted = {side: {name: [] for name in names} for side, names in sides.items()}
    with tempfile.TemporaryDirectory() as name, open_cluster(ClusterConfig(), 3.0):
        for fold in range(FOLDS):
            write(path, Path(name, f"train{fold}.h5"), genes, chromosome % FOLDS != fold)
            write(other, Path(name, f"valid{fold}.h5"), more, (chosen % FOLDS != fold) & (chosen >= 0))
        for side, names in sides.items():
            for seed in given.seeds if side != TREES else given.seeds[:1]:
                found = {target: np.full(len(chromosome), np.nan) for target in names}
                for fold in range(FOLDS):
                    targets = [f"{{name: {target}, table: '{table}'}}" for target in names]
                    targets += ["label"] if given.label and side != TREES else []
                    changes = [f"data.{split}={name}/{split}{fold}.h5" for split in ("train", "valid")]
                    changes += [f"targets=[{', '.join(targets)}]", f"seed={seed}", f"output={name}/runs"]
                    monitor = "null" if side == TREES else f"{names[0]}_pearson"
                    changes += [f"name={side}-{seed}-{fold}", f"train.monitor={monitor}"]
                    changes += ["model.kind=xgboost_kmer"] if side == TREES else given.override
                    config = load_config(JOB, [*changes, "check.max_leaked=1.0", "train.workers=1"])
                    train(config)
                    held = chromosome % FOLDS == fold
                    model = Predictor(config.checkpoint, batch_size=512)
                    scored = model.predict_arrays(genes["sequence"][held], genes["halflife"][held])
                    for target in names:
                        found[target][held] = scored[target]
                for target in names:
                    predicted[side][target].append(found[target])
                print(
                    side,
                    f"seed {seed}",
                    {target: pearson(truth[target], found[target]) for target in names},
                    flush=True,
                )
    rows = []
    for side, names in sides.items():
        for target in names:
            known = ~np.isnan(truth[target])
            scores = predicted[side][target]
            each = [pearson(truth[target], one) for one in scores]
            mean = np.mean(scores, axis=0)
            row = [target, "alone" if side == target else side, f"{known.sum():,}", f"{statistics.mean(each):.4f}"]
            row += [f"{min(each):.4f} to {max(each):.4f}", told(truth[target], mean), ""]
            if given.alone and side == TOGETHER:
                alone = np.mean(predicted[target][target], axis=0)
                test = steiger(truth[target][known], mean[known], alone[known])
                row[-1] = f"{test.difference:+.4f} ({test.low:+.4f} to {test.high:+.4f})"
            rows.append(row)
            if side == TREES:
                both = (mean + np.mean(predicted[TOGETHER][target], axis=0)) / 2
                rows.append([target, "mean of both", row[2], "", "", told(truth[target], both), ""])
    head = ["target", "learned", "genes", "r, mean of seeds", "range", "r of the mean prediction (95 %)"]
    print_table(
        [*head, "more than alone"] if given.alone else head, rows if given.alone else [row[:-1] for row in rows]
    )


def told(truth: np.ndarray, scores: np.ndarray) -> str:
    """Return Pearson's r over the genes that have a value, with its interval."""
    known = ~np.isnan(truth)
    found = interval(truth[known], scores[known])
    return f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


def pearson(truth: np.ndarray, scores: np.ndarray) -> float:
    """Return Pearson's r over the genes that have a value."""
    known = ~np.isnan(truth)
    return round(quantity_metrics(truth[known], scores[known])["pearson"], 4)


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
