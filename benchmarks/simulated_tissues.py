"""How near a network comes to a perfect model of simulated tissues: all of a level, and what is the tissue's own.

``python benchmarks/simulated_tissues.py [--seeds 0] [-o section.key=value ...]``, on the data of
jobs/simulated_tissues.yaml with its settings. Printed are, on test, the mean over tissues of Pearson's r and the
specificity (the correlation of deviations from each gene's mean), those of the true levels, and their ratios.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from measure import print_table

from raygenex.cluster.connect import open_cluster
from raygenex.config.load import load_config
from raygenex.config.services import ClusterConfig
from raygenex.data.make import simulate_data
from raygenex.evaluate import evaluate
from raygenex.train.run import train

JOB = Path(__file__).parent.parent / "jobs" / "simulated_tissues.yaml"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0], help="one network each, on the same data")
    parser.add_argument("-o", "--override", action="append", default=[], help="section.key=value")
    given = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as name, open_cluster(ClusterConfig(), 3.0):
        for seed in given.seeds:
            changes = [f"data.{split}={name}/data/{split}.h5" for split in ("train", "valid", "test")]
            changes += [f"output={name}/runs", f"name=seed{seed}", f"seed={seed}"]
            config = load_config(JOB, [*changes, *given.override])
            ceilings = simulate_data(config, force=False)
            train(config)
            found = evaluate(config, "test")
            assert found.specificity is not None, "there are many tissues"
            reached = statistics.mean(
                interval.value for metric, interval in found.metrics.items() if metric.endswith("_pearson")
            )
            for what, value, best in (
                ("Pearson r, mean of tissues", reached, ceilings.target_pearson["test"]),
                ("specificity", found.specificity, ceilings.target_specificity["test"]),
            ):
                assert best is not None, "test has genes enough"
                rows.append([what, str(seed), f"{value:.4f}", f"{best:.4f}", f"{value / best:.1%}"])
    print_table(["on test", "seed", "network", "true level", "share"], rows)


if __name__ == "__main__":
    main()
