"""How long slow methods may take, judged by one pass of one gene, before they begin."""

import logging
import time

from raygenex.cluster.torch_process import threads
from raygenex.config.explain import ExplainConfig
from raygenex.data.rows import Columns
from raygenex.explain.methods.logit import LogitFunction
from raygenex.explain.methods.receptive_field import sees_little
from raygenex.predict.predictor import Predictor
from raygenex.terminal.progress import duration

logger = logging.getLogger(__name__)

# Seconds below which nothing is said.
_WORTH_SAYING = 120.0
# Passes that a pass with its gradient takes, by measurement: about two forward and one backward.
_GRADIENT = 3


def say_how_long(checkpoint: str, options: ExplainConfig, genes: dict[str, int], one: Columns) -> None:
    """Log an estimate, if it is of minutes; on GPUs, which this process may lack, none is made.

    Parameters
    ----------
    checkpoint
        Folder of the model.
    options
        The section ``explain``.
    genes
        How many each method has to do.
    one
        ``sequence`` and ``halflife`` of a gene.
    """
    slow = {name: count for name, count in genes.items() if name in ("mutagenesis", "integrated_gradients") and count}
    if not slow or options.gpus_per_worker:
        return
    function = LogitFunction(Predictor(checkpoint), options.batch_size, options.target)
    passes = {name: passes_of_gene(function, options, name) * count for name, count in slow.items()}
    if not any(passes.values()):
        return
    with threads(max(1, int(options.cpus_per_worker))):
        # The first pass makes what later ones use.
        function.logits_of_codes(one["sequence"], one["halflife"])
        started = time.monotonic()
        function.logits_of_codes(one["sequence"], one["halflife"])
        each = time.monotonic() - started
    seconds = {name: each * count / options.workers for name, count in passes.items()}
    if sum(seconds.values()) < _WORTH_SAYING:
        return
    parts = [f"{name} of {slow[name]} genes may take {duration(value)}" for name, value in seconds.items() if value]
    logger.warning(
        "%s, judged by one pass of %.2g s on %d workers: explain.genes, explain.region and explain.steps make it less",
        " and ".join(parts),
        each,
        options.workers,
    )


def passes_of_gene(function: LogitFunction, options: ExplainConfig, method: str) -> float:
    """Return how many whole passes of a gene a method takes; 0 if it takes far less than one a substitution."""
    if method == "integrated_gradients":
        return _GRADIENT * options.steps * (options.references if options.reference == "shuffled" else 1)
    if sees_little(function):
        return 0.0
    window = function.window
    places = window if options.region is None else options.region[1] - options.region[0]
    # Behind a HyenaDNA the rest of the sequence passes alone, half of it on average.
    return 3 * places * (0.5 if function.embeds else 1.0)
