"""Score random variants of budding yeast; print seconds, variants a minute and the memory of the process.

Run ``python benchmarks/variants_speed.py YEAST [VARIANTS [WORKERS [MODEL]]]``. YEAST is a folder with genome.fa.gz and
genes.gtf.gz; VARIANTS of them (default 20000) are drawn over the genome, nine SNVs for every indel of up to ten bases.
WORKERS 0 (the default) scores in this process, another number on so many Ray actors. MODEL is ``onehot`` (the default:
the network of jobs/yeast.yaml, which reads 600 bases) or ``hyenadna`` (the same behind a HyenaDNA of 2 layers, width
128). The weights are random: the speed does not depend on them.

The other side is a plain loop over some of the effects of single bases: it cuts the two windows of each out of the
genome and passes them through the network together. Both give the same changes of the logit.
"""

import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from measure import print_ratio
from untrained import save_untrained

from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.data.genome import GenomeReader, open_genome
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import save_backbone, weights_sha256
from raygenex.predict.predictor import Predictor
from raygenex.sequence import ALPHABET, to_string
from raygenex.train.checkpoint import BACKBONE, InputInfo
from raygenex.variants.genes import open_genes
from raygenex.variants.run import variants

WINDOW, BIN, WIDTH = 600, 8, 128
INDELS = 0.1
PLAIN = 500
"""Effects that the plain loop scores."""


def write_vcf(path: Path, fasta: str, count: int) -> None:
    """Write variants that fit the genome, in its order."""
    rng = np.random.default_rng(0)
    genome = open_genome(fasta)
    share = np.array(list(genome.lengths.values())) / sum(genome.lengths.values())
    with path.open("w", encoding="utf-8") as file, GenomeReader(genome) as reader:
        file.write("##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n")
        for (chrom, length), wanted in zip(genome.lengths.items(), rng.multinomial(count, share), strict=True):
            text = to_string(reader.fetch(chrom, 0, length))
            for pos in np.sort(rng.integers(0, length - 20, wanted)):
                ref, alt = text[pos], "ACGT"[("ACGT".find(text[pos]) + int(rng.integers(1, 4))) % 4]
                if rng.random() < INDELS:
                    more = int(rng.integers(1, 11))
                    ref, alt = text[pos : pos + 1 + more], text[pos]
                    if rng.random() < 0.5:
                        ref, alt = text[pos], text[pos] + "".join(rng.choice(list("ACGT"), more))
                file.write(f"chr{chrom}\t{pos + 1}\t.\t{ref}\t{alt}\t.\tPASS\t.\n")


def save_model(folder: Path, kind: str) -> None:
    """Write the network of jobs/yeast.yaml with random weights."""
    model = {"width": 64, "channels": [64, 32, 16], "pool": 4, "dense": [64], "join": "dense"}
    values = {"model": model, "halflife": {"channels": [16, 32, 16]}}
    inputs = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW, halflife_scale="log10")
    digest = None
    folder.mkdir()
    if kind == "hyenadna":
        backbone = random_hyenadna(WIDTH, 2, WINDOW + 2, seed=0).eval()
        digest = weights_sha256(backbone)
        save_backbone(backbone, folder / BACKBONE)
        inputs = inputs.model_copy(update={"kind": "embedding", "length": WINDOW // BIN, "channels": WIDTH})
        values["embed"] = {"bin_size": BIN, "batch_size": 16}
    save_untrained(folder, values, inputs, digest)


def settings(yeast: str, output: Path, workers: int) -> RunConfig:
    """Return the genes of jobs/yeast.yaml, taken from the annotation."""
    options = {"genome": f"{yeast}/genome.fa.gz", "annotation": f"{yeast}/genes.gtf.gz", "window_first": -WINDOW // 2}
    amount = {"workers": workers, "in_process": 0} if workers else {"in_process": 10**12}
    return parse_config({"output": str(output), "variants": options | amount}, "the benchmark")


def plain_seconds(config: RunConfig, model: Path, table: Path) -> float:
    """Score some effects of single bases again, window by window; return the seconds of one."""
    effects = pd.read_parquet(table)
    effects = effects[(effects["kind"] == "snv") & effects["ref_match"]].head(PLAIN)
    predictor, genome = Predictor(model), open_genome(config.variants.genome)
    genes = open_genes(config, predictor.info, genome)
    places = {gene: row for row, gene in enumerate(genes.gene_id)}
    found = []
    started = time.perf_counter()
    with GenomeReader(genome) as reader:
        for effect in effects.itertuples():
            gene = places[effect.gene_id]
            window = reader.window(
                genes.chrom[gene], genes.tss[gene] + 1, genes.strand[gene], genes.first, genes.first + WINDOW
            )
            base = ALPHABET.index(effect.alt)
            both = np.stack([window, window])
            both[1, effect.position - genes.first] = base if effect.strand == "+" else 3 - base
            before, after = predictor.logits(both, genes.halflife[[gene, gene]])
            found.append(after - before)
    seconds = time.perf_counter() - started
    np.testing.assert_allclose(found, effects["delta_logit"], atol=1e-5)
    return seconds / len(found)


def main() -> None:
    """Print the table."""
    given = sys.argv[1:]
    yeast, count, workers, kind = (*given, *(None, "20000", "0", "onehot")[len(given) :])
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        save_model(work / "model", kind)
        config = settings(yeast, work / "runs", int(workers))
        write_vcf(work / "few.vcf", config.variants.genome, 10)
        write_vcf(work / "many.vcf", config.variants.genome, int(count))
        seconds, processor = {}, {}
        # The first run imports and compiles: taken off the last one, it would make that look too fast.
        for name in ("few", "few", "many"):
            started, spent_before = time.monotonic(), time.process_time()
            path, output = str(work / f"{name}.vcf"), str(work / f"{name}.parquet")
            result = variants(config, path, str(work / "model"), output, force=True)
            seconds[name], processor[name] = time.monotonic() - started, time.process_time() - spent_before
        print(result.text())
        plain = plain_seconds(config, work / "model", work / "many.parquet")
    where = f"{workers} Ray actors" if int(workers) else f"this process, {torch.get_num_threads()} threads"
    spent = seconds["many"] - seconds["few"]
    print(f"{kind}, {WINDOW} bases, {where}")
    print(f"{'10 variants (reads genes, loads all)':<40}{seconds['few']:>10.1f} s")
    print(f"{f'{int(count):,} variants':<40}{seconds['many']:>10.1f} s")
    print(f"{'variants a minute, beyond the start':<40}{60 * int(count) / spent:>10,.0f}")
    busy = processor["many"] - processor["few"]
    print(f"{'the same of processor time':<40}{60 * int(count) / busy:>10,.0f}")
    print(f"{'effects a minute, beyond the start':<40}{60 * result.effects / spent:>10,.0f}")
    print(f"{'most memory of this process':<40}{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:>10,.0f} MB")
    print_ratio(f"variants_{kind}", plain * result.effects / spent)


if __name__ == "__main__":
    main()
