"""Effects of single-base variants on the genes around them, from a VCF to a Parquet file, against tangermeme."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from untrained import save_untrained

from peers.attribution import MODEL, OnChannels
from peers.genome import Genes, write_genome
from peers.rows import Row, beside, close
from peers.windows import ours as windows_of
from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.data.genome import GenomeReader, open_genome
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.explain.methods.logit import LogitFunction
from raygenex.predict.predictor import Predictor
from raygenex.sequence import to_string
from raygenex.train.checkpoint import InputInfo
from raygenex.variants.run import variants

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\tFORMAT\n"
KEYS = ["chrom", "pos", "gene_id"]


def compare(small: bool) -> Iterator[Row]:
    """Yield the row: the same genome, variants, genes and network on both sides."""
    count, size, repeats = (200, (1, 100_000, 50, 512), 2) if small else (20_000, (2, 5_000_000, 2000, 2048), 3)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        # On one strand, since tangermeme reads the forward one.
        genes = write_genome(folder, *size, both=False)
        write_genes(folder / "genes.h5", genes)
        write_vcf(folder / "variants.vcf", genes, count)
        inputs = InputInfo(kind="bases", length=genes.window, channels=4, window=genes.window, halflife_scale="log10")
        (folder / "model").mkdir()
        save_untrained(folder / "model", {"model": MODEL}, inputs)
        options = {"genome": genes.fasta, "genes": [str(folder / "genes.h5")], "in_process": 10**12}
        config = parse_config({"output": str(folder / "runs"), "variants": options}, "the benchmark")

        def ours() -> pd.DataFrame:
            output = str(folder / "ours.parquet")
            variants(config, str(folder / "variants.vcf"), str(folder / "model"), output, force=True)
            return pd.read_parquet(output)

        yield from beside(
            f"effects of {count:,} single-base variants, windows of {genes.window:,} bases",
            ours,
            {"tangermeme": lambda: with_tangermeme(config, genes, folder)},
            agree,
            repeats,
        )


def agree(ours: pd.DataFrame, theirs: pd.DataFrame) -> str:
    """Assert that both have the same effects on the same genes."""
    ours, theirs = ours.sort_values(KEYS), theirs.sort_values(KEYS)
    for key in KEYS:
        assert ours[key].tolist() == theirs[key].tolist(), key
    said = close(1e-3)(ours["delta_logit"], theirs["delta_logit"])
    return f"{len(ours):,} effects, {said}; raygenex also checks REF, lists what it skips and draws a plot"


def write_genes(path: Path, genes: Genes) -> None:
    """Write the genes as `data build` does."""
    names = [f"G{gene}" for gene in range(len(genes.tss))]
    places = {"chrom": genes.chrom, "tss": genes.tss, "strand": genes.strand}
    attributes = {"halflife_scale": "log10", "window_first": -(genes.window // 2)}
    with PromoterWriter(path, genes.window, attrs=attributes) as writer:
        writer.append(names, windows_of(genes), np.zeros((len(names), 8), np.float32), None, places)


def write_vcf(path: Path, genes: Genes, count: int) -> None:
    """Write variants within the windows, each place once, in the order of the genome."""
    rng = np.random.default_rng(1)
    drawn = rng.integers(0, len(genes.tss), 2 * count)
    places = genes.low[drawn] + rng.integers(0, genes.window, 2 * count)
    table = pd.DataFrame({"chrom": genes.chrom[drawn], "start": places}).drop_duplicates().head(count)
    with path.open("w", encoding="utf-8") as file, GenomeReader(open_genome(genes.fasta)) as reader:
        file.write(HEADER)
        for chrom, start in table.sort_values(["chrom", "start"]).itertuples(index=False):
            ref = to_string(reader.fetch(chrom, start, start + 1))
            if ref != "N":
                alt = "ACGT"[("ACGT".index(ref) + int(rng.integers(1, 4))) % 4]
                file.write(f"{chrom}\t{start + 1}\t.\t{ref}\t{alt}\t.\tPASS\t.\tGT\n")


def with_tangermeme(config: RunConfig, genes: Genes, folder: Path) -> Callable[[], Any]:
    from tangermeme.io import extract_loci, read_vcf
    from tangermeme.variant_effect import substitution_effect

    function = LogitFunction(Predictor(folder / "model"))
    model = OnChannels(function.model).eval().requires_grad_(False)

    def call() -> pd.DataFrame:
        vcf = read_vcf(str(folder / "variants.vcf"))
        low = genes.low
        pairs = []
        for chrom, found in vcf.groupby("CHROM"):
            rows = np.flatnonzero(genes.chrom == chrom)
            start = found["POS"].to_numpy() - 1
            # Windows of one length, in the order of their first bases.
            first = np.searchsorted(low[rows], start - genes.window, side="right")
            stop = np.searchsorted(low[rows], start, side="right")
            pairs += [
                (record, rows[place])
                for record, begin, end in zip(found.index, first, stop, strict=True)
                for place in range(begin, end)
            ]
        record, gene = np.array(pairs).T
        effects = vcf.loc[record].reset_index(drop=True)
        loci = pd.DataFrame({"chrom": effects["CHROM"], "start": low[gene], "end": low[gene] + genes.window})
        one_hot = extract_loci(loci, genes.fasta, in_window=genes.window)
        place = effects["POS"].to_numpy() - 1 - low[gene]
        base = effects["ALT"].map("ACGT".index).to_numpy()
        substitutions = torch.from_numpy(np.stack([np.arange(len(effects)), place, base], axis=1))
        options = {"batch_size": config.variants.batch_size, "device": "cpu"}
        before, after = substitution_effect(model, one_hot, substitutions, **options)
        table = pd.DataFrame({"chrom": effects["CHROM"], "pos": effects["POS"], "gene_id": [f"G{row}" for row in gene]})
        table["logit_ref"], table["logit_alt"] = before[:, 0].numpy(), after[:, 0].numpy()
        table["delta_logit"] = table["logit_alt"].astype(float) - table["logit_ref"].astype(float)
        table.to_parquet(folder / "theirs.parquet")
        return table

    return call
