"""A training whose shard is streamed in every epoch, as data beyond ``train.memory_gib`` are, against one in memory.

``python benchmarks/streamed.py [--epochs 5] [--rounds 3]``. Both sides are ``raygenex train`` on the embeddings of
``ray_cost.py``, 4,000 genes of 157 bins and 128 channels, with one worker, in turns. Seconds are those between the ends
of epochs, from the second epoch on.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from measure import print_ratio, print_table
from ray_cost import embeddings, ray_seconds

SIDES = {"in memory": [], "streamed": ["train.memory_gib=0"]}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--epochs", type=int, default=5, help="epochs of each training, the first not counted")
    parser.add_argument("--rounds", type=int, default=3, help="turns")
    given = parser.parse_args()
    seconds: dict[str, list[float]] = {name: [] for name in SIDES}
    with tempfile.TemporaryDirectory() as folder:
        job, changed = embeddings(Path(folder))
        for _ in range(given.rounds):
            for name, more in SIDES.items():
                seconds[name] += ray_seconds(job, [*changed, *more], given.epochs)
    middle = {name: statistics.median(times) for name, times in seconds.items()}
    rows = [
        [name, f"{middle[name]:.2f} ({min(times):.2f} to {max(times):.2f})", f"{4000 / middle[name]:,.0f}"]
        for name, times in seconds.items()
    ]
    print_table(["shard", "s/epoch (range)", "genes/s"], rows)
    print_ratio("streamed_training", middle["in memory"] / middle["streamed"])


if __name__ == "__main__":
    main()
