"""raygenex beside its peers: the same data, and the same network where there is one, in one run.

    python benchmarks/peers.py [--small] [--rows NAME ...] [--environment FOLDER]

The peers are installed from the package index into virtual environments in FOLDER, above the packages of this
interpreter, which they do not touch. Rows run one after another, each in a process of its own. Both sides take turns,
and what they compute is compared; a peer that does not install, or refuses, is a row that says why.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from measure import print_table
from peers.environment import make
from peers.rows import Row

HERE = Path(__file__).parent
MARK = "row: "


@dataclass(frozen=True)
class Work:
    """A kind of work that is compared."""

    module: str
    """Of the folder peers, with a generator ``compare(small)``; empty if there is nothing to run."""
    packages: tuple[str, ...]
    """What is installed for it."""
    own: str = ""
    """The environment, if it is not that of most: of packages that ask for other versions than raygenex."""


WORK = {
    "attribution": Work("attribution", ("captum", "tangermeme")),
    "variants": Work("variants", ("tangermeme",)),
    "training": Work("training", ("lightning",)),
    "hdf5": Work("reading", ()),
    "seqdata": Work("", ("seqdata",), "seqdata"),
    "windows": Work("windows", ("pyfaidx", "bioframe", "tangermeme")),
    "genvarloader": Work("genvarloader", ("genvarloader",), "genvarloader"),
    "kmers": Work("kmers", ("scikit-learn",)),
    "paper": Work("paper", ()),
    "tune": Work("tune", ("optuna", "plotly")),
}


def rows_of(name: str, small: bool, environments: Path) -> list[Row]:
    """Make the environment of a kind of work, compare in it, and return the rows."""
    work = WORK[name]
    python, why_not = make(environments / (work.own or "peers"), work.packages, not work.own)
    rows = [Row(name, package, same=f"does not install: {why}") for package, why in why_not.items()]
    if not work.module or (work.own and why_not):
        return rows
    command = [python, str(HERE / "peers.py"), "--work", name, *(["--small"] if small else [])]
    paths = [str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    lines = [line.removeprefix(MARK) for line in done.stdout.splitlines() if line.startswith(MARK)]
    rows += [Row(*json.loads(line)) for line in lines]
    if done.returncode:
        print(done.stderr[-3000:], file=sys.stderr)
        reason = (done.stderr.strip().splitlines() or ["no message"])[-1]
        rows.append(Row(name, "", same=f"failed: {reason[:120]}"))
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--environment", type=Path, default=Path("~/.cache/raygenex-peers"), metavar="FOLDER")
    parser.add_argument("--rows", nargs="+", choices=WORK, default=list(WORK), metavar="NAME", help=", ".join(WORK))
    parser.add_argument("--small", action="store_true", help="sizes at which nothing is measured, to see that all runs")
    parser.add_argument("--work", choices=WORK, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.work:
        for row in importlib.import_module(f"peers.{WORK[given.work].module}").compare(given.small):
            print(MARK + json.dumps(row), flush=True)
        return
    rows = []
    for name in given.rows:
        found = rows_of(name, given.small, given.environment.expanduser().absolute())
        print(*(" | ".join(row) for row in found), sep="\n", file=sys.stderr, flush=True)
        rows += found
    print_table(("what", "peer", "raygenex", "peer's", "times as fast", "both sides"), rows)


if __name__ == "__main__":
    main()
