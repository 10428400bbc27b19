"""What a comparison and a search do on Ray, done in this process."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from raygenex.benchmark.jobs import run_job
from raygenex.config.run import RunConfig
from raygenex.data.rows import Rows
from raygenex.predict.predictor import Predictor


def score_outputs(rows: Rows, checkpoint: str, config: RunConfig, what: str) -> dict[str, np.ndarray]:
    """Score a table of genes by a model of targets, as `raygenex.predict.scoring.score_rows` does."""
    (piece,) = rows.pieces(0, rows.count, 4096)
    part = piece.read()
    return part | {"outputs": Predictor(checkpoint).logits(part["sequence"], part["halflife"])}


def run_jobs_here(
    config: RunConfig, jobs: Sequence[Any], done: Any, parent: str | None, force: bool
) -> Iterator[tuple[int, Any]]:
    """Run trainings one after another, as `raygenex.benchmark.jobs.run_jobs` does side by side."""
    for number, job in enumerate(jobs):
        yield number, run_job(job.config.dump(), config.benchmark.split, parent, force)
