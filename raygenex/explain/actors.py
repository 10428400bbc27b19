"""An actor of the explaining job: it holds the model, and writes the parts of the genes that it is given."""

import time
from pathlib import Path
from typing import Any

import numpy as np

from raygenex.cluster.torch_process import prepare_process
from raygenex.config.explain import ExplainConfig
from raygenex.data.rows import Columns
from raygenex.errors import CheckpointError
from raygenex.files.errors import disk_errors_told


class Explainer:
    """A model that turns blocks of genes into parts of methods.

    Parameters
    ----------
    checkpoint, checkpoint_sha256
        Folder of the model, and what it must hash to.
    folder
        The explanation.
    options
        The section ``explain`` as plain values.
    seed
        Of the shuffled references.
    window_first
        Where the window's first base lies, in bases from the TSS.
    halflife_reference
        Features that Shapley values compare with, one number of each.
    """

    def __init__(
        self,
        checkpoint: str,
        checkpoint_sha256: str,
        folder: str,
        options: dict[str, Any],
        seed: int,
        window_first: int,
        halflife_reference: list[float],
    ) -> None:
        from raygenex.explain.compute import Context
        from raygenex.explain.methods.logit import LogitFunction
        from raygenex.predict.predictor import Predictor
        from raygenex.train.checkpoint import checkpoint_sha256 as hash_of

        self.folder = Path(folder)
        section = ExplainConfig.model_validate(options)
        prepare_process(section.cpus_per_worker)
        if hash_of(checkpoint) != checkpoint_sha256:
            raise CheckpointError(f"checkpoint {checkpoint} changed while it was explained: explain it again")
        device = "cuda" if section.gpus_per_worker > 0 else "cpu"
        function = LogitFunction(Predictor(checkpoint, device), section.batch_size, section.target)
        reference = np.array(halflife_reference, dtype=np.float32)
        self.context = Context(function, section, seed, window_first, reference)

    def __call__(self, batch: Columns) -> Columns:
        """Compute and write one block by its methods; return how many genes each did, and in how many seconds."""
        from raygenex.explain.compute import compute
        from raygenex.explain.parts import write_part

        methods = str(batch["method"][0]).split(",")
        seconds = []
        began = time.monotonic()
        for method, columns in compute(self.context, methods, batch):
            kept = {"gene_id": batch["gene_id"], "row": batch["row"]}
            with disk_errors_told():
                write_part(self.folder / method, int(batch["number"][0]), kept | columns)
            seconds.append(time.monotonic() - began)
            began = time.monotonic()
        return {
            "method": np.array(methods),
            "genes": np.full(len(methods), len(batch["row"])),
            "seconds": np.array(seconds),
        }
