"""What side targets add to a label: high or low expression learned alone, and beside measured quantities.

``python benchmarks/side_targets.py DATA [--beside expression sure] [--seeds 0 1 2] [-o section.key=value ...]``. DATA
holds core60 and human_targets. A tenth of core60/train.h5, drawn by chance, chooses the epoch; core60/valid.h5 is read
once, by finished models. Settings are those of jobs/human_targets.yaml. Printed are the AUROC of `label` of each seed
and of the mean of the seeds, with intervals, and DeLong's test between the two means.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

import numpy as np
from human_targets import JOB, write
from measure import print_table

from raygenex.cluster.connect import open_cluster
from raygenex.config.load import load_config
from raygenex.config.services import ClusterConfig
from raygenex.data.hdf5.read import inspect, read_rows
from raygenex.predict.predictor import Predictor
from raygenex.stats.compare import delong
from raygenex.stats.metrics import auroc
from raygenex.train.run import train


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path, help="folder of core60 and human_targets")
    parser.add_argument("--beside", nargs="+", default=["expression", "sure"], help="columns of the table")
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("-o", "--override", action="append", default=[], help="section.key=value")
    given = parser.parse_args()
    path = str(given.data / "core60" / "train.h5")
    genes, held = (
        read_rows(inspect(str(file)), 0, inspect(str(file)).rows) for file in (path, given.data / "core60" / "valid.h5")
    )
    table = given.data / "human_targets" / "targets.tsv.gz"
    beside = ", ".join(f"{{name: {name}, table: '{table}'}}" for name in given.beside)
    sides = {"label alone": "[label]", f"beside {', '.join(given.beside)}": f"[label, {beside}]"}
    scores: dict[str, list[np.ndarray]] = {side: [] for side in sides}
    chooses = np.random.default_rng(0).random(len(genes["gene_id"])) < 0.1
    with tempfile.TemporaryDirectory() as name, open_cluster(ClusterConfig(), 3.0):
        folder = Path(name)
        write(path, folder / "train.h5", genes, ~chooses)
        write(path, folder / "valid.h5", genes, chooses)
        for number, (side, targets) in enumerate(sides.items()):
            for seed in given.seeds:
                changes = [f"data.{split}={folder / split}.h5" for split in ("train", "valid")]
                changes += [f"targets={targets}", f"seed={seed}", f"name=side{number}-{seed}", f"output={folder}/runs"]
                changes += ["train.monitor=label_auroc", "check.max_leaked=1.0"]
                config = load_config(JOB, [*changes, *given.override])
                train(config)
                model = Predictor(config.checkpoint, batch_size=512)
                scores[side].append(model.predict_arrays(held["sequence"], held["halflife"])["label_probability"])
                print(f"{side}, seed {seed}: {auroc(held['label'], scores[side][-1]):.4f}", flush=True)
    means = {side: np.mean(found, axis=0) for side, found in scores.items()}
    rows = []
    for side, found in scores.items():
        each = [auroc(held["label"], probability) for probability in found]
        spread = f"{min(each):.4f} to {max(each):.4f}"
        rows.append([side, f"{statistics.mean(each):.4f}", spread, f"{auroc(held['label'], means[side]):.4f}"])
    print_table(["learned", "AUROC, mean of seeds", "range", "AUROC of the mean"], rows)
    alone, together = means.values()
    told = delong(held["label"], together, alone)
    print(f"difference of the means {told.difference:+.4f} ({told.low:+.4f} to {told.high:+.4f}), p {told.p_value:.3g}")


if __name__ == "__main__":
    main()
