"""Twenty random kills over embed, train and tune, and whether the artefacts equal those of an undisturbed run.

Actors, workers, trials and drivers are killed, and whole nodes of a small cluster on this machine. The seed decides
which and when, and repeats them; without one it is drawn, and printed.
"""

import argparse
import os
import random
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))


def main() -> None:
    """Run the kills and print the table; exit 1 if anything differs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    seed = parser.parse_args().seed
    # Before Ray is imported: nodes on one machine need no token, nor a file of it in the home folder.
    os.environ.setdefault("RAY_AUTH_MODE", "disabled")
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from measure import print_table
    from toy_chaos import TWENTY, chaos

    print(f"seed {seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="chaos-") as folder:
        found = chaos(Path(folder), seed, TWENTY, lambda text: print(text, flush=True))
    print_table(("command", "what died", "times", "when (done/all)"), found.rows())
    print("", ", ".join(f"{name} {seconds:.0f} s" for name, seconds in found.seconds.items()), sep="\n")
    print(*(found.problems or ["all artefacts are those of the undisturbed run, and nothing is left"]), sep="\n")
    sys.exit(1 if found.problems else 0)


if __name__ == "__main__":
    main()
