"""A small table of half-life features without DNA, as published tables are: no strands, ids and labels inside."""

from pathlib import Path

import numpy as np

from raygenex.data.features import HALFLIFE_FEATURES

HEADER = (
    "gene_id",
    "chrom",
    "TSS",
    *(f"{f}_log10zscore" if f.endswith("LEN") else f for f in HALFLIFE_FEATURES),
    "label",
)


def toy_features(count: int = 24, chromosomes: int = 4, seed: int = 0) -> list[list[str]]:
    """Return the rows of a table; the label is the sign of the first feature, so it can be learned."""
    rng = np.random.default_rng(seed)
    rows = []
    for i in range(count):
        values = [*rng.normal(size=4), *rng.uniform(0.2, 0.8, 3), float(rng.integers(1, 9))]
        # Every chromosome has genes of either label.
        values[0] = abs(values[0]) * (1 if (i // chromosomes) % 2 else -1)
        numbers = [f"{value:.4f}" for value in values]
        rows.append([f"G{i}", str(1 + i % chromosomes), str(5000 * (i + 1)), *numbers, str(int(values[0] > 0))])
    return rows


def write_features(path: Path, rows: list[list[str]], header: tuple[str, ...] = HEADER) -> str:
    """Write a table and return its path."""
    path.write_text("\n".join("\t".join(row) for row in [list(header), *rows]) + "\n", encoding="utf-8")
    return str(path)
