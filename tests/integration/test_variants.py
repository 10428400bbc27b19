"""Variants on Ray: the rows of the process alone, from several actors and blocks."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toy_genome import CHROM_I, CHROM_II, write_toy_genome
from toy_models import save_targets, small_config
from toy_variants import WINDOW, save_toy_model, write_genes

from raygenex.config.run import RunConfig
from raygenex.errors import ClusterError, DataError
from raygenex.train.checkpoint import InputInfo
from raygenex.variants.run import variants

pytestmark = pytest.mark.usefixtures("ray_cluster")


@pytest.fixture
def toy(tmp_path: Path, make_config: Callable[..., RunConfig]) -> Callable[..., pd.DataFrame]:
    """Score every SNV of the toy genome, and return the table."""
    genome = write_toy_genome(tmp_path)["genome"]
    model = save_toy_model(tmp_path / "model")
    genes = write_genes(tmp_path / "genes.h5")
    path = tmp_path / "all.tsv"
    lines = [
        f"{name}\t{pos}\t{ref}\t{','.join(base for base in 'ACGT' if base != ref)}\n"
        for name, text in (("chrI", CHROM_I), ("chrII", CHROM_II))
        for pos, ref in enumerate(text, 1)
    ]
    path.write_text("chrom\tpos\tref\talt\n" + "".join(lines), encoding="utf-8")

    def run(name: str, model: str = model, **options: object) -> pd.DataFrame:
        config = make_config(variants={"genome": genome, "genes": genes, "rows_per_task": 5, **options})
        return pd.read_parquet(variants(config, str(path), model, str(tmp_path / name)).output)

    return run


def test_ray_gives_the_rows_of_the_process_alone(toy: Callable[..., pd.DataFrame]):
    alone = toy("alone.parquet")
    # Three genes of eight bases, three alleles each.
    assert len(alone) == 72
    on_ray = toy("ray.parquet", in_process=0, workers=2, batch_size=4)
    pd.testing.assert_frame_equal(on_ray, alone)
    assert np.isfinite(on_ray.delta_logit).all()
    assert (on_ray.delta_logit != 0).all()


def test_ray_gives_all_targets_of_the_process_alone(toy: Callable[..., pd.DataFrame], tmp_path: Path):
    inputs = InputInfo(kind="bases", length=WINDOW, channels=4, window=WINDOW, halflife_scale="log10")
    model = {"width": 6, "stem_kernel": 3, "channels": [4], "pool": 2, "dense": [8]}
    save_targets(tmp_path / "targets", small_config(model=model), inputs)
    alone = toy("alone.parquet", str(tmp_path / "targets"))
    on_ray = toy("ray.parquet", str(tmp_path / "targets"), in_process=0, workers=2, batch_size=4)
    pd.testing.assert_frame_equal(on_ray, alone, rtol=1e-5, atol=1e-6)
    assert len(on_ray) == 72
    assert np.isfinite(on_ray[["level_delta", "high_delta_logit", "reads_delta", "life_delta"]]).all(axis=None)


def test_what_does_not_fit_or_is_wrong_is_said_before_the_work(toy: Callable[..., pd.DataFrame], tmp_path: Path):
    with pytest.raises(ClusterError, match=r"variants\.workers"):
        toy("a.parquet", in_process=0, workers=99)
    (tmp_path / "genome.fa").write_text("not a FASTA")
    with pytest.raises(DataError, match="is not FASTA"):
        toy("a.parquet", in_process=0)
    assert not list(tmp_path.glob("a.*"))
    assert not list(tmp_path.glob(".a*"))
