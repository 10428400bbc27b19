"""What a measured mRNA half-life adds to the eight half-life features, which only hint at one: expression, out of fold.

``python benchmarks/measured_halflife.py DATA [--seeds 0 1 2]``. DATA holds human_targets and halflife17k.tsv.gz. No DNA
is read. The genes are those that have both an expression and a measured half-life (halflife_pc1). Four folds are
chromosomes by number mod 4 (X is 23); the epoch, and the number of trees, are chosen on the chromosomes of the others
whose number divides by 5. Networks have the settings of jobs/halflife17k.yaml. Printed are Pearson's r of the mean of
the seeds, with a 95 % bootstrap interval, and what `data check` says of being measured.
"""

import argparse
import csv
import gzip
import tempfile
from pathlib import Path

import numpy as np
from human_targets import chromosome_numbers, column, interval
from measure import print_table

from raygenex.cluster.connect import open_cluster
from raygenex.config.load import load_config
from raygenex.config.services import ClusterConfig
from raygenex.data.check.check import check_run
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.predict.predictor import Predictor
from raygenex.train.run import train

JOB = Path(__file__).parent.parent / "jobs" / "halflife17k.yaml"
FOLDS = 4
WITHOUT_BUILD = ("build=null", "split={rule: random}", "data.test=[]", "check.max_leaked=1.0")
EIGHT = "the eight"
INPUTS = {EIGHT: "[halflife]", "and the measured one": "[halflife, {{name: halflife_pc1, table: '{table}'}}]"}
TREES = "{trees: 600, depth: 4, learning_rate: 0.03, subsample: 0.7, colsample: 0.8, min_child_weight: 20}"
MODELS = {
    "cnn_halflife_only": [],
    "xgboost_kmer": ["model.kind=xgboost_kmer", f"model.trees={TREES}"],
    "logistic": ["model.kind=logistic", "model.l2=10"],
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of human_targets and halflife17k.tsv.gz")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2], help="one model each in every fold")
    given = parser.parse_args()
    source, table = given.data / "halflife17k.tsv.gz", given.data / "human_targets" / "targets.tsv.gz"
    with gzip.open(source, "rt", encoding="utf-8") as file:
        genes = list(csv.DictReader(file, delimiter="\t"))
    gene_id = np.array([gene["gene_id"] for gene in genes], dtype=object)
    names = [name if name in genes[0] else f"{name}_log10zscore" for name in HALFLIFE_FEATURES]
    halflife = np.array([[float(gene[name]) for name in names] for gene in genes], np.float32)
    number = chromosome_numbers(source)
    chromosome = np.array([number[gene] for gene in gene_id])
    truth, measured = (column(table, name, gene_id) for name in ("expression", "halflife_pc1"))
    target = f"targets=[{{name: expression, table: '{table}'}}]"
    both = ~np.isnan(truth) & ~np.isnan(measured)
    found = {}
    with tempfile.TemporaryDirectory() as name, open_cluster(ClusterConfig(), 3.0):
        folder = Path(name)
        write(folder / "all.h5", gene_id, halflife, np.ones(len(gene_id), dtype=bool))
        for line in warnings_of(folder, table, target):
            print(line, flush=True)
        for fold in range(FOLDS):
            held, chooses = chromosome % FOLDS == fold, chromosome % 5 == 0
            write(folder / f"train{fold}.h5", gene_id, halflife, both & ~held & ~chooses)
            write(folder / f"valid{fold}.h5", gene_id, halflife, both & ~held & chooses)
        for kind, changes in MODELS.items():
            for inputs, features in INPUTS.items():
                scores = np.zeros(len(gene_id))
                for fold in range(FOLDS):
                    held = both & (chromosome % FOLDS == fold)
                    for seed in given.seeds if kind != "logistic" else given.seeds[:1]:
                        changed = [f"data.train={folder}/train{fold}.h5", f"data.valid={folder}/valid{fold}.h5"]
                        changed += [f"output={folder}/runs", f"name={kind}{len(features)}-{fold}-{seed}"]
                        changed += [f"data.features={features}".format(table=table), f"seed={seed}", "train.workers=1"]
                        config = load_config(JOB, [*WITHOUT_BUILD, target, *changed, *changes])
                        train(config)
                        beside = halflife if inputs == EIGHT else np.c_[halflife, measured.astype(np.float32)]
                        model = Predictor(config.checkpoint, batch_size=1024)
                        scores[held] += model.predict_arrays(None, beside[held])["expression"]
                found[kind, inputs] = interval(truth[both], scores[both])
                print(kind, inputs, found[kind, inputs], flush=True)
    rows = []
    for kind in MODELS:
        cells = [found[kind, inputs] for inputs in INPUTS]
        rows.append([kind, *(f"{cell.value:.4f} ({cell.low:.4f} to {cell.high:.4f})" for cell in cells)])
    print_table(["model", *INPUTS], rows)
    print(f"{both.sum():,} genes, seeds {', '.join(map(str, given.seeds))}")


def warnings_of(folder: Path, table: Path, target: str) -> list[str]:
    """Return what `data check` warns of when the measured half-life is read and expression learned."""
    features = f"data.features={INPUTS['and the measured one']}".format(table=table)
    config = load_config(JOB, [*WITHOUT_BUILD, target, features, f"data.train={folder}/all.h5", "data.valid=[]"])
    return [line for line in check_run(config, lambda done, total: None).warnings if "was measured predicts" in line]


def write(path: Path, gene_id: np.ndarray, halflife: np.ndarray, chosen: np.ndarray) -> None:
    """Write some genes as a file without promoters and labels."""
    with PromoterWriter(path, 0) as writer:
        writer.append(gene_id[chosen], np.empty((int(chosen.sum()), 0), np.uint8), halflife[chosen], None)


if __name__ == "__main__":
    main()
