"""Levels of yeast genes on chromosomes that no model saw: a network of the promoter, and a ridge of k-mers and codons.

``python benchmarks/yeast_levels.py YEAST [--seeds 0 1 2] [-o section.key=value ...]``. YEAST is a folder as
jobs/yeast_levels.yaml takes it. The network has the settings of that job: the promoter and eight half-life features. A
second one reads the frequencies of the 61 sense codons besides, by data.features. The ridge reads the counts of k-mers
up to 5 in the same promoter, the eight features and the codons; its penalty is chosen on valid. Printed is Pearson's r
of log2(1 + FPKM) on test, by seed and of the mean of the seeds, with a 95 % bootstrap interval.
"""

import argparse
import itertools
import os
import statistics
import tempfile
from functools import partial
from pathlib import Path

import numpy as np
from measure import print_table

from raygenex.cluster.connect import open_cluster
from raygenex.config.load import load_config
from raygenex.config.model import XgboostKmer
from raygenex.config.run import RunConfig
from raygenex.config.services import ClusterConfig
from raygenex.data.build.annotation import read_annotation
from raygenex.data.build.candidates import find_candidates
from raygenex.data.build.halflife import halflife_features
from raygenex.data.genome import GenomeReader, open_genome
from raygenex.data.hdf5.read import inspect, read_rows, read_targets
from raygenex.data.make import build_data
from raygenex.evaluate import evaluate
from raygenex.models.kmers import kmer_features
from raygenex.predict.predictor import Predictor
from raygenex.sequence import from_string
from raygenex.stats.quantities import quantity_intervals
from raygenex.train.run import train

JOB = Path(__file__).parent.parent / "jobs" / "yeast_levels.yaml"
STOPS = {"TAA", "TAG", "TGA"}
CODONS = [word for word in map("".join, itertools.product("ACGT", repeat=3)) if word not in STOPS]
PENALTIES = np.logspace(1, 6, 21)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("yeast", type=Path)
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("-o", "--override", action="append", default=[], help="section.key=value")
    given = parser.parse_args()
    os.environ["YEAST"] = str(given.yeast.absolute())
    rows = []
    with tempfile.TemporaryDirectory() as folder, open_cluster(ClusterConfig(), 3.0):
        codons = Path(folder, "codons.tsv")
        features = ", ".join(f"{{name: codon_{word}, table: '{codons}'}}" for word in CODONS)
        sides = {"promoter, eight features": [], "and codons": [f"data.features=[halflife, {features}]"]}
        for number, (side, changes) in enumerate(sides.items()):
            each, scores = [], []
            for seed in given.seeds:
                changed = [f"data.{split}={folder}/data/{split}.h5" for split in ("train", "valid", "test")]
                changed += [f"output={folder}/runs", f"name=side{number}-{seed}", f"seed={seed}", *changes]
                config = load_config(JOB, [*changed, *given.override])
                build_data(config, force=False)
                if not codons.exists():
                    write_codons(config, codons)
                train(config)
                each.append(evaluate(config, "test").metrics["level_pearson"].value)
                scores.append(predicted(config, codons if changes else None))
                print(f"{side}, seed {seed}: {each[-1]:.4f}", flush=True)
            truth = levels(config, "test")
            rows.append([f"network: {side}", f"{statistics.mean(each):.4f}", text(truth, np.mean(scores, axis=0))])
        known = {split: (table(config, split, codons), levels(config, split)) for split in ("train", "valid", "test")}
        rows.append(["ridge: k-mers, eight features, codons", "", text(known["test"][1], ridge(known))])
    print_table(["on test", "r, mean of seeds", "r of the mean prediction (95 %)"], rows)


def write_codons(config: RunConfig, path: Path) -> None:
    """Write the share of each sense codon among those of a gene's coding sequence, one row per gene."""
    assert config.build is not None, "the job builds its data"
    assert config.build.annotation is not None, "from an annotation"
    assert config.build.genome is not None, "and a genome"
    genome = open_genome(config.build.genome)
    found, _ = find_candidates(read_annotation(config.build.annotation), genome, config.build)
    place = {word: number for number, word in enumerate(CODONS)}
    code = {tuple(from_string(word).tolist()): word for word in CODONS}
    lines = ["\t".join(["gene_id", *(f"codon_{word}" for word in CODONS)])]
    with GenomeReader(genome) as reader:
        for gene in found:
            assert gene.transcript is not None, "genes of an annotation have one"
            cds = halflife_features(gene.transcript, partial(reader.fetch, gene.chrom))[1]
            counts = np.zeros(len(CODONS))
            for triplet in cds[: len(cds) // 3 * 3].reshape(-1, 3).tolist():
                if (word := code.get(tuple(triplet))) is not None:
                    counts[place[word]] += 1
            lines.append("\t".join([gene.gene_id, *(f"{share:.6g}" for share in counts / max(1.0, counts.sum()))]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")


def genes_of(config: RunConfig, split: str) -> dict[str, np.ndarray]:
    """Return the columns of a split, bases cut to the window of the job."""
    file = inspect(config.data.split(split)[0])
    return read_rows(file, 0, file.rows, config.data.window)


def levels(config: RunConfig, split: str) -> np.ndarray:
    """Return log2(1 + FPKM) of a split."""
    return np.log2(1 + read_targets(inspect(config.data.split(split)[0]), "level").astype(float))


def codon_shares(genes: dict[str, np.ndarray], codons: Path) -> np.ndarray:
    """Return the table of codons for genes, ``(N, 61)``."""
    rows = [line.split("\t") for line in codons.read_text(encoding="utf-8").splitlines()[1:]]
    shares = {row[0]: np.array(row[1:], dtype=float) for row in rows}
    return np.stack([shares[gene] for gene in genes["gene_id"]])


def predicted(config: RunConfig, codons: Path | None) -> np.ndarray:
    """Return the predicted log2(1 + FPKM) of test."""
    genes = genes_of(config, "test")
    beside = genes["halflife"] if codons is None else np.c_[genes["halflife"], codon_shares(genes, codons)]
    level = Predictor(config.checkpoint, batch_size=512).predict_arrays(genes["sequence"], beside)["level"]
    return np.log2(1 + level)


def table(config: RunConfig, split: str, codons: Path) -> np.ndarray:
    """Return what the ridge reads of a split."""
    genes = genes_of(config, split)
    settings = XgboostKmer(k=(1, 2, 3, 4, 5), regions=1, onehot_bases=0)
    counts = kmer_features(genes["sequence"], genes["halflife"], settings)
    return np.c_[counts, codon_shares(genes, codons)].astype(float)


def ridge(known: dict[str, tuple[np.ndarray, np.ndarray]]) -> np.ndarray:
    """Return the predictions of test by the ridge that predicts valid best; columns are standardised in train."""
    features, values = known["train"]
    has = ~np.isnan(values)
    mean, spread = features[has].mean(axis=0), features[has].std(axis=0)
    scaled = {split: (part - mean) / np.where(spread > 0, spread, 1) for split, (part, _) in known.items()}
    middle = values[has].mean()
    left, singular, right = np.linalg.svd(scaled["train"][has], full_matrices=False)
    turned = left.T @ (values[has] - middle)
    best, chosen = -np.inf, np.empty(0)
    for penalty in PENALTIES:
        weights = right.T @ (singular / (singular**2 + penalty) * turned)
        truth = known["valid"][1]
        measured = ~np.isnan(truth)
        r = np.corrcoef(truth[measured], (scaled["valid"] @ weights)[measured])[0, 1]
        if r > best:
            best, chosen = r, scaled["test"] @ weights + middle
    return chosen


def text(truth: np.ndarray, scores: np.ndarray) -> str:
    """Return Pearson's r with its interval."""
    has = ~np.isnan(truth)
    found = quantity_intervals(truth[has], scores[has], 1000, 0.95, 0)["pearson"]
    return f"{found.value:.4f} ({found.low:.4f} to {found.high:.4f})"


if __name__ == "__main__":
    main()
