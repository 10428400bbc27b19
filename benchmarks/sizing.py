"""What a configuration needs of a cluster, computed from its sizes alone: nothing is run and no data are read.

    python benchmarks/sizing.py CONFIG [--genes TRAIN VALID TEST] [--window BASES] [--d-model N --n-layer N]
        [--tflops 3] [--step-ms 5] [--start-min 10] [--price 0.80] [--gpus 1 8]

Disk, memory, CPUs and GPUs follow from the sizes. Hours and cost follow from four assumptions, which are options:
arithmetic that a GPU sustains, time of a training step, time until a GPU is up, and price of a GPU an hour.
`benchmarks/embed_full_size.py` measures the time of embedding.
"""

import argparse
import math
from dataclasses import dataclass

from raygenex.cluster.connect import SPARE_CPUS
from raygenex.config.embed import HyenaBackbone
from raygenex.config.load import load_config
from raygenex.config.run import RunConfig

BIN_SIZES = (1, 8, 32, 128, 512)
# Channels and layers of the published weights, from their config.json.
PUBLISHED = {
    "LongSafari/hyenadna-tiny-1k-seqlen-hf": (128, 2),
    "LongSafari/hyenadna-small-32k-seqlen-hf": (256, 4),
    "LongSafari/hyenadna-medium-160k-seqlen-hf": (256, 8),
}
# The paper's data set, for a configuration whose data are not described in it.
PAPER_GENES = (16215, 989, 990)
PAPER_WINDOW = 20_000
# Blocks of Ray Data that wait or are worked on beside each actor or worker; a rule of thumb.
BLOCKS_A_PROCESS = 4
# Blocks of training and prediction are about this large.
BLOCK_BYTES = 8 * 2**20
# Arrays of the backbone's activations at its peak; benchmarks/embed_full_size.py --d-model 256 --n-layer 4
# --batch-size 8 measured 1.83 GB for an actor on a CPU, of which Python, torch and Ray are about 0.6.
ACTIVATIONS = 8
# Id, half-life features and label of a gene.
OTHER_BYTES = 8 * 4 + 48


@dataclass(frozen=True)
class Sizes:
    """Genes a split, bases a gene, and the backbone's channels and layers (0: no backbone)."""

    genes: tuple[int, int, int]
    window: int
    d_model: int
    n_layer: int

    @property
    def total(self) -> int:
        """Genes of all splits."""
        return sum(self.genes)


def count_bins(window: int, bin_size: int) -> int:
    """Return the bins of a promoter; the last may be partial."""
    return math.ceil(window / bin_size)


def embedding_bytes(window: int, bin_size: int, d_model: int, itemsize: int = 2) -> int:
    """Return the bytes of a gene's embedding, in the store and in memory."""
    return count_bins(window, bin_size) * d_model * itemsize


def embedding_flop(window: int, d_model: int, n_layer: int) -> float:
    """Return the floating point operations that embed a gene.

    A layer's projections (d -> 3d, d -> d) and its MLP (d -> 4d -> d) are 12 d^2 multiply-adds a base, its short
    convolution 9 d; its long convolution is a real FFT of twice the window and its inverse, 2.5 N log2 N operations
    each, a channel (the filter's own transform is kept).
    """
    fft = 2 * 2.5 * 2 * math.log2(2 * window) * d_model
    return n_layer * window * (24 * d_model**2 + 18 * d_model + fft)


def activation_bytes(batch_size: int, sizes: Sizes) -> int:
    """Return the memory of the backbone's activations: arrays of batch x window x channels in fp32."""
    return ACTIVATIONS * batch_size * sizes.window * sizes.d_model * 4


def row_bytes(config: RunConfig, sizes: Sizes) -> int:
    """Return the bytes of a gene as training reads it."""
    if not config.reads_embeddings:
        return sizes.window + OTHER_BYTES
    itemsize = 2 if config.embed.dtype == "float16" else 4
    return embedding_bytes(sizes.window, config.embed.bin_size, sizes.d_model, itemsize) + OTHER_BYTES


def shard_bytes(config: RunConfig, sizes: Sizes) -> int:
    """Return the bytes of the largest training shard."""
    return math.ceil(sizes.genes[0] / config.train.workers) * row_bytes(config, sizes)


def training_steps(config: RunConfig, sizes: Sizes) -> int:
    """Return the steps of a training that uses all its epochs."""
    return config.train.epochs * math.ceil(sizes.genes[0] / config.train.global_batch_size)


def find_sizes(config: RunConfig, options: argparse.Namespace) -> Sizes:
    """Return the sizes of a configuration, or those that the options give."""
    simulate = config.simulate
    genes = tuple(options.genes) if options.genes else PAPER_GENES
    window = options.window or config.data.window or PAPER_WINDOW
    if simulate and not options.genes:
        genes = (simulate.train, simulate.valid, simulate.test)
    if simulate and not options.window:
        window = config.data.window or simulate.window
    d_model, n_layer = options.d_model, options.n_layer
    backbone = config.backbone
    if isinstance(backbone, HyenaBackbone) and not (d_model and n_layer):
        known = PUBLISHED.get(backbone.weights or "", (backbone.d_model, backbone.n_layer))
        if backbone.weights is not None and backbone.weights not in PUBLISHED:
            raise SystemExit(f"the sizes of {backbone.weights} are not known here: give --d-model and --n-layer")
        d_model, n_layer = known
    return Sizes(genes, window, d_model or 0, n_layer or 0)


def store_table(config: RunConfig, sizes: Sizes) -> list[str]:
    """Return the lines of the table of disk by bin size; the configured one is marked."""
    itemsize = 2 if config.embed.dtype == "float16" else 4
    lines = [f"{'bin size':>8}{'bins':>9}{'kB a gene':>13}{'GB in all':>13}"]
    for size in sorted({*BIN_SIZES, config.embed.bin_size}):
        gene = embedding_bytes(sizes.window, size, sizes.d_model, itemsize)
        mark = "  <- embed.bin_size" if size == config.embed.bin_size else ""
        bins = count_bins(sizes.window, size)
        lines.append(f"{size:>8}{bins:>9,}{gene / 1e3:>13,.1f}{gene * sizes.total / 1e9:>13,.2f}{mark}")
    return lines


def stage_table(config: RunConfig, sizes: Sizes) -> list[str]:
    """Return the lines of the table of stages; CPUs hold the one that stays free for reading."""
    train, score, actors = config.train, config.predict, config.embed
    per_worker = shard_bytes(config, sizes)
    kept = per_worker <= train.memory_gib * 2**30
    scoring = activation_bytes(score.batch_size, sizes) if config.reads_embeddings else 0
    rows = [
        ("train", train.workers, train.cpus_per_worker, float(train.use_gpu), per_worker if kept else 0, BLOCK_BYTES),
        ("predict", score.workers, score.cpus_per_worker, score.gpus_per_worker, scoring, BLOCK_BYTES),
    ]
    if config.reads_embeddings:
        block = actors.rows_per_file * (sizes.window + OTHER_BYTES)
        memory = activation_bytes(actors.batch_size, sizes)
        embed = ("embed", actors.min_actors, actors.cpus_per_actor, actors.gpus_per_actor, memory, block)
        rows.insert(0, embed)
    lines = [f"{'stage':<9}{'processes':>9}{'CPUs':>7}{'GPUs':>6}{'GB a process':>14}{'GB object store':>17}"]
    for name, count, cpus, gpus, memory, block in rows:
        needed = count * cpus + SPARE_CPUS
        store = count * BLOCKS_A_PROCESS * block
        lines.append(f"{name:<9}{count:>9}{needed:>7g}{count * gpus:>6g}{memory / 1e9:>14.2f}{store / 1e9:>17.2f}")
    how = "stays in the worker's memory" if kept else "is streamed every epoch: raise train.memory_gib to keep it"
    lines.append(f"a training shard is {per_worker / 1e9:.2f} GB and {how}")
    return lines


def cost_table(config: RunConfig, sizes: Sizes, options: argparse.Namespace) -> list[str]:
    """Return the lines of the estimate of hours and cost by number of GPUs."""
    flop = embedding_flop(sizes.window, sizes.d_model, sizes.n_layer) * sizes.total if sizes.d_model else 0.0
    # More workers share a step of the same size; they do not make fewer steps.
    training = training_steps(config, sizes) * options.step_ms / 1e3 / 60
    lines = [
        f"embedding: {flop / 1e15:.2f} PFLOP at {options.tflops:g} TFLOP/s a GPU; training: "
        f"{training_steps(config, sizes):,} steps of {options.step_ms:g} ms; {options.start_min:g} min to start",
        f"{'GPUs':>4}{'embed, min':>12}{'train, min':>12}{'in all, h':>12}{'GPU hours':>12}{'cost':>8}",
    ]
    for gpus in options.gpus:
        embedding = flop / (gpus * options.tflops * 1e12) / 60
        hours = (options.start_min + embedding + training) / 60
        lines.append(
            f"{gpus:>4}{embedding:>12.1f}{training:>12.1f}{hours:>12.2f}{gpus * hours:>12.2f}"
            f"{gpus * hours * options.price:>8.2f}"
        )
    return lines


def read_options(words: list[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("config")
    parser.add_argument("-o", "--override", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--genes", type=int, nargs=3, metavar=("TRAIN", "VALID", "TEST"))
    parser.add_argument("--window", type=int)
    parser.add_argument("--d-model", type=int)
    parser.add_argument("--n-layer", type=int)
    parser.add_argument("--tflops", type=float, default=3.0, help="what a GPU sustains; an L4's fp32 peak is 30")
    parser.add_argument("--step-ms", type=float, default=5.0)
    parser.add_argument("--start-min", type=float, default=10.0)
    parser.add_argument("--price", type=float, default=0.80, help="of a GPU an hour")
    parser.add_argument("--gpus", type=int, nargs="+", default=[1, 8])
    return parser.parse_args(words)


def main() -> None:
    options = read_options()
    config = load_config(options.config, options.override)
    sizes = find_sizes(config, options)
    backbone = f"{sizes.d_model} channels, {sizes.n_layer} layers" if sizes.d_model else "no backbone"
    train, valid, test = sizes.genes
    print(
        f"{config.name}: {train:,} + {valid:,} + {test:,} = {sizes.total:,} genes of {sizes.window:,} bases, {backbone}"
    )
    if config.reads_embeddings:
        print(f"\nthe embedding store, {config.embed.dtype}", *store_table(config, sizes), sep="\n")
    print(
        f"\nwhat runs at the same time; the CPUs hold {SPARE_CPUS:g} for reading", *stage_table(config, sizes), sep="\n"
    )
    print("\nan estimate, not measured", *cost_table(config, sizes, options), sep="\n")


if __name__ == "__main__":
    main()
