"""Time and memory of embedding full-size promoters (20,000 bp) with a randomly initialised HyenaDNA on CPUs.

    python benchmarks/embed_full_size.py PROMOTERS.h5 [--d-model 128] [--n-layer 2]

Memory is the largest resident set that Linux saw of the actor's process (VmHWM), Python, torch and Ray included.
"""

import tempfile
import threading
import time
from pathlib import Path

import psutil
from measure import network_arguments, resident_mb

from raygenex.config.load import parse_config
from raygenex.embed.run import embed
from raygenex.embed.store import open_store, read_manifest


def main() -> None:
    options = network_arguments(__doc__, batch_size=4).parse_args()
    peaks: dict[int, float] = {}
    stop = threading.Event()
    watcher = threading.Thread(target=watch, args=(peaks, stop))
    watcher.start()
    with tempfile.TemporaryDirectory() as folder:
        config = parse_config(
            {
                "output": folder,
                "data": {"train": options.promoters},
                "backbone": {"kind": "hyenadna", "d_model": options.d_model, "n_layer": options.n_layer},
                "embed": {"bin_size": 128, "batch_size": options.batch_size, "rows_per_file": 16, "max_actors": 1},
            },
            "the benchmark",
        )
        result = embed(config)
        stop.set()
        watcher.join()
        manifest = read_manifest(config.store)
        assert manifest is not None
        rows = open_store(config.store, "train")
        one = rows.pieces(0, 1, 1)[0].read()["sequence"]
        size = sum(path.stat().st_size for path in Path(config.store).rglob("*.parquet"))
    print(f"{'genes':<28}{result.rows['train']}")
    print(f"{'rows in the store':<28}{rows.count}")
    print(f"{'shape of a gene':<28}{one.shape[1:]} {one.dtype}")
    print(f"{'manifest complete':<28}{manifest.complete}")
    print(f"{'store, MB':<28}{size / 1e6:.1f}")
    print(f"{'whole job, s':<28}{result.seconds:.1f}")
    print(f"{'peak memory of an actor, MB':<28}{max(peaks.values()):.0f}")


def watch(peaks: dict[int, float], stop: threading.Event) -> None:
    """Keep the largest VmHWM of every actor process below this one."""
    while not stop.is_set():
        for child in psutil.Process().children(recursive=True):
            try:
                if "MapWorker" in " ".join(child.cmdline()):
                    peaks[child.pid] = resident_mb(pid=child.pid)
            except (psutil.Error, FileNotFoundError, ProcessLookupError):
                continue
        time.sleep(0.1)


if __name__ == "__main__":
    main()
