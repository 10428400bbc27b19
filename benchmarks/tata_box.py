"""How much of the attributions of core promoters lies in the TATA box, in genes that have one and in the others.

Run ``python benchmarks/tata_box.py runs/core60/explain/valid VALID.h5`` after ``raygenex explain jobs/core60.yaml``.
"""

import re
import sys
from pathlib import Path

import numpy as np

from raygenex.data.hdf5.read import inspect, read_rows
from raygenex.explain.parts import read_manifest, read_parts
from raygenex.sequence import to_string

SEARCHED, BOX = (-34, -20), (-32, -23)
"""Where TATAWA is looked for, and the stretch whose attributions are summed: first and stop, in bases from the TSS."""


def main() -> None:
    folder = Path(sys.argv[1])
    manifest = read_manifest(folder)
    assert manifest is not None, "explain first"
    file = inspect(sys.argv[2])
    genes = read_rows(file, 0, file.rows, manifest.window)
    searched, box = ([position - manifest.window_first for position in ends] for ends in (SEARCHED, BOX))
    has = np.array([bool(re.search("TATA[AT]A", to_string(row[slice(*searched)]))) for row in genes["sequence"]])
    low = 100 * (1 - genes["label"][has].mean())
    print(f"{has.sum()} of {len(has)} genes have TATAWA, {low:.0f} % of them labelled low")
    print(f"{'method':<22}{'share with':>12}{'without':>10}{'sum with':>10}{'without':>10}")
    for method in manifest.methods:
        if method in ("scores", "halflife"):
            continue
        found = read_parts(folder / method, names=("gene_id", "attribution"))
        assert list(found["gene_id"]) == list(genes["gene_id"]), "all genes of the file must be explained"
        inside = found["attribution"][:, slice(*box)]
        share = np.abs(inside).sum(axis=1) / np.abs(found["attribution"]).sum(axis=1)
        total = inside.sum(axis=1)
        numbers = (share[has].mean(), share[~has].mean(), total[has].mean(), total[~has].mean())
        print(f"{method:<22}{numbers[0]:>12.3f}{numbers[1]:>10.3f}{numbers[2]:>10.2f}{numbers[3]:>10.2f}")


if __name__ == "__main__":
    main()
