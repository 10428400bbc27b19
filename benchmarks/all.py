"""All ratios of the benchmarks in one table, with what is asked of each and what was recorded last.

    python benchmarks/all.py [--data FOLDER] [--only NAME ...] [--record]

Every script runs in a process of its own, one after another, at sizes meant for some 15 minutes in all on two quiet
cores. What a ratio is of, its script says: more is better, unless what is asked is less or at most a number.
FOLDER holds yeast, core60 and arabidopsis_chr1; without it what needs them is left out.
"""

import argparse
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from measure import machine, print_table, read_ratios

HERE = Path(__file__).parent
RECORDED = HERE / "recorded.json"
LIMIT_S = 600
"""Of one script; their sum is far above what they take."""

HOT = (
    *("one-hot_to_base_indices", "half-life_pretraining", "k-mer_features"),
    *("bootstrap", "mutagenesis", "sketches_of_promoters"),
)


@dataclass(frozen=True)
class Script:
    """A benchmark, and what is asked of the ratios that it prints: ``>= 2``, ``<= 1.1``, less, or nothing."""

    command: str
    """Its file and arguments; ``{data}`` is the folder of real data."""
    ratios: dict[str, str]

    @property
    def name(self) -> str:
        """Of the file."""
        return Path(self.command.split()[0]).stem

    def run(self, data: Path | None, limit_s: float = LIMIT_S) -> tuple[dict[str, float], str]:
        """Run it; return its ratios, and in words why there are none."""
        if data is None and "{data}" in self.command:
            return {}, "needs --data"
        command = [sys.executable, *(part.format(data=data) for part in self.command.split())]
        command[1] = str(HERE / command[1])
        environment = os.environ | ({} if data is None else {"RAYGENEX_SHARED_DATA": str(data)})
        started = time.monotonic()
        streams = dict.fromkeys(("stdout", "stderr"), subprocess.PIPE)
        process = subprocess.Popen(command, env=environment, text=True, start_new_session=True, **streams)
        try:
            output, errors = process.communicate(timeout=limit_s)
        except subprocess.TimeoutExpired:
            return {}, f"took over {limit_s} s"
        finally:
            # It leads a group: what it started ends with it, also when this is interrupted.
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
        print(f"{self.name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
        if process.returncode:
            print(errors[-2000:], file=sys.stderr, flush=True)
            return {}, f"failed: {(errors.strip().splitlines() or ['no message'])[-1][:80]}"
        return read_ratios(output), "not printed"


SCRIPTS = (
    Script(
        "hyenadna_speed.py --repeats 1",
        {
            **{"hyenadna_time_128x2": ">= 2", "hyenadna_memory_128x2": ">= 2"},
            **{"hyenadna_time_256x4": ">= 1.4", "hyenadna_memory_256x4": ">= 2"},
        },
    ),
    Script(
        "hdf5_reading.py --genes 128 --repeats 3",
        {"hdf5_in_order": ">= 4", "hdf5_shuffled": "", "hdf5_zlib_alone": ">= 1"},
    ),
    Script(
        "annotation_reading.py {data}/arabidopsis_chr1/AthaTAIR10_chr1.gff.gz --copies 3",
        {"annotation": "less", "annotation_copies": "less"},
    ),
    Script("variants_speed.py {data}/yeast 10000", {"variants_onehot": ""}),
    Script("hot_paths.py", dict.fromkeys((f"hot_{name}" for name in HOT), ">= 1")),
    Script("mutagenesis_speed.py --some 60 --repeats 1", {"mutagenesis": ">= 20"}),
    Script("mutagenesis_speed.py --backbone 128 2 --some 30 --repeats 1", {"mutagenesis_hyenadna": ">= 1.5"}),
    Script("leak_check.py --genes 100000 --repeats 1", {"leak_check_two_tasks": ">= 1.7"}),
    Script(
        "online_route.py --batch 1 --repeats 1",
        {"online_frozen": "less", "online_finetuned": "less", "online_memory": ""},
    ),
    Script("warm_workers.py --repeats 1 --warmups 0", {"warm_workers": ">= 1"}),
    Script("ray_cost.py core60 --epochs 4 --rounds 1", {"ray_cost_core60": ">= 0.98"}),
    Script("ray_cost.py embeddings --epochs 4 --rounds 1", {"ray_cost_embeddings": ">= 0.98"}),
    Script("streamed.py --epochs 4 --rounds 1", {"streamed_training": ">= 0.8"}),
    Script("ddp_scaling.py --epochs 4 --rounds 2", {"ddp_scaling": ">= 1.6", "ddp_share_of_machine": ">= 0.9"}),
    Script(
        "kept_memory.py --rounds 3",
        {"kept_memory_training": ">= 1", "kept_memory_scoring": ">= 1", "kept_memory_embedding": ""},
    ),
    Script(
        "flat_memory.py --genes 500 --window 1000",
        {f"memory_{verb}{rest}": "<= 1.1" for verb in ("embed", "train", "predict") for rest in ("", "_together")},
    ),
)


def judged(ratio: float, asked: str) -> str:
    """Return a ratio as it is shown, with a word where it is not what is asked."""
    sign, _, bound = asked.partition(" ")
    missed = bound and (ratio < float(bound) if sign == ">=" else ratio > float(bound))
    return f"{shown(ratio)}{', missed' if missed else ''}"


def shown(ratio: float) -> str:
    """Return a ratio with three digits, or as a whole number."""
    return f"{ratio:,.0f}" if ratio >= 1000 else f"{ratio:.3g}"


def main(scripts: tuple[Script, ...] = SCRIPTS) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, help="folder of real data")
    parser.add_argument("--only", nargs="+", metavar="NAME", help="scripts, or ratios, to run alone")
    parser.add_argument("--record", action="store_true", help=f"keep what was measured in {RECORDED.name}")
    given = parser.parse_args()
    # As an interrupt does, so that no script outlives this one.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    data = given.data.resolve() if given.data else None
    recorded = json.loads(RECORDED.read_text(encoding="utf-8")) if RECORDED.exists() else {}
    rows, today = [], datetime.now(UTC).date().isoformat()
    for script in scripts:
        if given.only and not {script.name, *script.ratios} & set(given.only):
            continue
        found, why_not = script.run(data)
        for name in script.ratios | found:
            asked, last = script.ratios.get(name, ""), recorded.get(name)
            now = judged(found[name], asked) if name in found else why_not
            rows.append((name, asked, now, f"{shown(last['ratio'])} ({last['date']})" if last else "", script.command))
            if name in found:
                measured = {"ratio": found[name], "date": today, "machine": machine(), "command": script.command}
                recorded[name] = measured
    print_table(("ratio", "asked", "now", "last recorded", "script"), rows)
    if given.record:
        RECORDED.write_text(json.dumps(recorded, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
