"""Simulated promoters and half-life features whose labels follow a known rule.

A gene may have a CpG island, has motifs at known places and eight half-life features. Two scores add up to the log-odds
of label 1 (see `raygenex.data.simulate.truth`), so that the best AUROC any model can reach is known, and so is every
base that matters.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from raygenex import __version__
from raygenex.config.base import SPLITS
from raygenex.config.data import SimulateConfig
from raygenex.data.hdf5.schema import TARGETS
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.data.simulate.background import Background
from raygenex.data.simulate.tissues import draw_tissues
from raygenex.data.simulate.truth import COLUMNS, SimulatedTruth, auroc, draw_truth
from raygenex.errors import DataError
from raygenex.files.dataset_folder import holds, made_in, put_in_place
from raygenex.files.fingerprint import fingerprint
from raygenex.files.json_file import load_json
from raygenex.files.locate import short_path

BLOCK_GENES = 512
"""Genes whose promoters are drawn together; the result is the same with any other number."""

ISLAND_SD = 400
"""Bases from the TSS at which a CpG island has lost 40 % of its strength (it is a Gaussian bell)."""

ISLAND_SHARE_OF_WINDOW = 1 / 3
"""Share of the window that takes the place of `ISLAND_SD` where it is less, so that an island fades within it."""

_FILES = {**{name: f"{name}.h5" for name in SPLITS}, "truth": "truth.tsv"}
_CEILINGS = ("bayes_auroc", "dna_auroc", "halflife_auroc")
_TARGET_CEILINGS = ("target_pearson", "target_specificity")


@dataclass(frozen=True)
class SimulationResult:
    """A simulated data set."""

    folder: str
    """Absolute path of the folder."""
    files: dict[str, str]
    """Absolute path of ``train``, ``valid``, ``test`` (HDF5) and ``truth`` (one line a gene)."""
    rows: dict[str, int]
    """Genes of each split."""
    bayes_auroc: dict[str, float | None]
    """AUROC of the true probability, by split: what a perfect model reaches; None if a split has one class only."""
    dna_auroc: dict[str, float | None]
    """AUROC of the DNA score: what a perfect model that does not see the half-life features reaches."""
    halflife_auroc: dict[str, float | None]
    """AUROC of the half-life score: what a perfect model that does not see the DNA reaches."""
    reused: bool
    """Whether the folder held this data set already, and nothing was done."""
    target_pearson: dict[str, float | None] = field(default_factory=dict)
    """With targets, the mean over them of Pearson's r of the true level, by split: what a perfect model reaches."""
    target_specificity: dict[str, float | None] = field(default_factory=dict)
    """With targets, how well the true level tells them apart (`raygenex.stats.quantities.specificity`)."""

    def text(self) -> str:
        """Say what was simulated, and the AUROC that no model can beat but by luck."""
        counts = ", ".join(f"{name} {count}" for name, count in self.rows.items())
        best = self.bayes_auroc["valid"]
        ceiling = f"{best:.4f}" if best is not None else "undefined"
        verb = "reusing" if self.reused else "simulated"
        told = f"data: {verb} {counts} genes in {short_path(self.folder)}; best possible valid AUROC {ceiling}"
        if not self.target_pearson:
            return told
        pearson, own = self.target_pearson["valid"], self.target_specificity["valid"]
        shown = ["undefined" if value is None else f"{value:.4f}" for value in (pearson, own)]
        return f"{told}, Pearson r {shown[0]}, the mean of targets, and specificity {shown[1]}"


def simulate(config: SimulateConfig, folder: str | Path, overwrite: bool = False) -> SimulationResult:
    """Write ``train.h5``, ``valid.h5``, ``test.h5``, ``truth.tsv`` and ``simulation.json``.

    The rule is that of `raygenex.data.simulate.truth.draw_truth`. The same configuration gives the same values.
    Promoters are made and written block by block.

    ``truth.tsv`` has one line a gene with the columns `raygenex.data.simulate.truth.COLUMNS`, and with targets one more
    for the true level of each. ``motifs`` is a list
    ``name:position:strand:strength;...`` in which a position is that of a site's leftmost base from the TSS, base
    ``window // 2``. ``island`` is the strength of the CpG island, 0 without one; ``flipped`` is 1 where label noise
    turned the label; ``probability`` has label noise in it.

    Parameters
    ----------
    config
        Sizes, background, effects, noise and seed.
    folder
        Where to write; made if needed.
    overwrite
        Whether a data set made otherwise is replaced.

    Returns
    -------
    Paths, counts and the best possible AUROCs. A folder that holds this very data set is left as it is.

    Raises
    ------
    DataError
        If the folder holds other data and ``overwrite`` is false, or cannot be written.
    RaygenexError
        If another process makes a data set in it.
    """
    folder = Path(folder).absolute()
    values = config.made_of()
    if not overwrite and (found := find_simulation(config, folder)) is not None:
        return found
    with made_in(folder) as partial:
        # Another process may have made it since.
        if not overwrite and (found := find_simulation(config, folder)) is not None:
            return found
        record = _write(config, values, partial)
        put_in_place(partial, folder, _FILES.values(), "simulation.json", record)
    return _result(folder, record, reused=False)


def find_simulation(config: SimulateConfig, folder: Path) -> SimulationResult | None:
    """Return the data set of this configuration that a folder holds already; None if it holds none.

    Raises
    ------
    DataError
        If it holds other data.
    """
    if (record := _reusable(folder, config.made_of())) is not None:
        return _result(folder, record, reused=True)
    if present := [name for name in (*_FILES.values(), "simulation.json") if (folder / name).exists()]:
        raise DataError(
            f"{folder} holds {present[0]} of another data set or configuration, or changed since: "
            "give --force to replace it, or choose another folder"
        )
    return None


def _write(config: SimulateConfig, values: dict[str, Any], folder: Path) -> dict[str, Any]:
    sizes = {name: getattr(config, name) for name in SPLITS}
    # Seeds of numpy's generators are not negative; any integer maps to one.
    truth_seed, background_seed, gene_seed, tissue_seed = np.random.SeedSequence(config.seed % 2**64).spawn(4)
    truth = draw_truth(config, sum(sizes.values()), np.random.default_rng(truth_seed))
    background = Background(
        config.background_order, config.gc, config.cpg_ratio, np.random.default_rng(background_seed)
    )
    tissues = draw_tissues(config, truth, np.random.default_rng(tissue_seed)) if config.targets else None
    genes = np.array([f"SIM{i + 1:08d}" for i in range(len(truth.label))], dtype=object)
    ceilings: dict[str, dict[str, float | None]] = {name: {} for name in _CEILINGS}
    with open(folder / _FILES["truth"], "w", encoding="utf-8") as stream:
        stream.write("\t".join((*COLUMNS, *(tissues.names if tissues else ()))) + "\n")
        start = 0
        for name, size in sizes.items():
            rows = slice(start, start + size)
            attrs = {"window_first": -(config.window // 2)}
            targets = tissues.targets if tissues else ()
            with PromoterWriter(folder / _FILES[name], config.window, attrs=attrs, targets=targets) as writer:
                for first, block in _promoters(config.window, truth, background, rows, gene_seed):
                    here = slice(first, first + len(block))
                    more = {TARGETS: tissues.measured[here]} if tissues else {}
                    writer.append(genes[here], block, truth.halflife[here], truth.label[here], more)
            for i in range(rows.start, rows.stop):
                levels = tissues.level[i] if tissues else ()
                stream.write("\t".join([truth.line(i, genes[i], name), *(f"{level:.6f}" for level in levels)]) + "\n")
            for ceiling, score in zip(
                _CEILINGS, (truth.probability, truth.dna_score, truth.halflife_score), strict=True
            ):
                ceilings[ceiling][name] = auroc(truth.label[rows], score[rows])
            for ceiling, value in tissues.ceilings(rows).items() if tissues else ():
                ceilings.setdefault(ceiling, {})[name] = value
            start += size
    return {
        "config": values,
        "version": __version__,
        "rows": sizes,
        **ceilings,
        "sha256": {name: fingerprint(str(folder / name)) for name in _FILES.values()},
    }


def _promoters(
    window: int, truth: SimulatedTruth, background: Background, rows: slice, seed: np.random.SeedSequence
) -> Iterator[tuple[int, NDArray[np.uint8]]]:
    """Yield the number of a block's first gene and its base indices, shape ``(n, window)``."""
    tss = window // 2
    distance = np.arange(window, dtype=np.float32) - tss
    shape = np.exp(-0.5 * (distance / min(ISLAND_SD, window * ISLAND_SHARE_OF_WINDOW)) ** 2)
    for first in range(rows.start, rows.stop, BLOCK_GENES):
        stop = min(first + BLOCK_GENES, rows.stop)
        # A generator for each gene: what a gene looks like does not depend on those it is drawn with.
        rngs = [
            np.random.default_rng(np.random.SeedSequence(seed.entropy, spawn_key=(*seed.spawn_key, gene)))
            for gene in range(first, stop)
        ]
        block = background.draw(truth.island[first:stop, None].astype(np.float32) * shape, rngs)
        for row, placed, rng in zip(block, truth.sites[first:stop], rngs, strict=True):
            for site in placed:
                start = tss + site.position
                row[start : start + site.motif.length] = site.motif.sample(site.mismatches, site.strand, rng)
        yield first, block


def _reusable(folder: Path, values: dict[str, Any]) -> dict[str, Any] | None:
    try:
        record = load_json(folder / "simulation.json")
    except (OSError, ValueError):
        return None
    same = isinstance(record, dict) and record.get("config") == values and holds(folder, record.get("sha256"))
    return record if same and all((folder / name).exists() for name in _FILES.values()) else None


def _result(folder: Path, record: dict[str, Any], reused: bool) -> SimulationResult:
    files = {name: str(folder / file) for name, file in _FILES.items()}
    ceilings = {name: record[name] for name in (*_CEILINGS, *_TARGET_CEILINGS) if name in record}
    return SimulationResult(str(folder), files, record["rows"], **ceilings, reused=reused)
