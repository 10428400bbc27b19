"""Targets that a build writes: from tables of samples, beside the label, with genes that were not measured."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from toy_features import toy_features, write_features
from toy_models import sentence

from raygenex.config.load import parse_config
from raygenex.data.build.run import build
from raygenex.data.hdf5.read import inspect, read_table, read_targets
from raygenex.data.hdf5.schema import Target
from raygenex.data.splits.resplit import resplit
from raygenex.errors import DataError


@pytest.fixture
def made(tmp_path):
    """Return a function that builds 24 genes without promoters and some targets, and gives the values by gene."""
    rows = toy_features()
    features = write_features(tmp_path / "features.tsv", rows)
    genes = [row[0] for row in rows]

    def table(name, columns, values):
        path = tmp_path / name
        with path.open("w", newline="") as file:
            writer = csv.writer(file, delimiter="\t")
            writer.writerow(["gene_id", *columns])
            writer.writerows(values)
        return str(path)

    def make(*targets, **options):
        config = parse_config(
            {
                "output": str(tmp_path / "runs"),
                "data": {name: str(tmp_path / "data" / f"{name}.h5") for name in ("train", "valid", "test")},
                "build": {"features": features, "promoters": False, "targets": list(targets)} | options,
                "split": {"rule": "random", "fractions": [0.5, 0.25, 0.25]},
            },
            "test",
        )
        result = build(config, tmp_path / "data", overwrite=True)
        return config, result

    return make, table, genes


def values_of(folder):
    """Return every gene's targets, by name, in whatever file it is."""
    found = {}
    for path in sorted(Path(folder).glob("*.h5")):
        file = inspect(str(path))
        columns = {target.name: read_targets(file, target.name) for target in file.targets}
        for row, gene in enumerate(read_table(file).gene_id):
            found[gene] = {name: float(column[row]) for name, column in columns.items()}
    return found


def test_samples_become_targets(made, tmp_path):
    """Three samples make a median; other columns are targets of their own; a gene without a value has none."""
    make, table, genes = made
    rows = [[gene, place, place + 1, 100, place % 2] for place, gene in enumerate(genes)]
    rows[0][1:4] = ["NA", 8, ""]
    rows[1][1:4] = ["NA", "NA", "NA"]
    path = table("levels.tsv", ["s1", "s2", "s3", "high"], rows)
    config, result = make(
        {"table": path, "columns": ["s*"], "name": "level", "unit": "TPM"},
        {"table": path, "columns": ["high"], "kind": "binary"},
    )
    found = values_of(tmp_path / "data")
    assert len(found) == 24
    assert found[genes[0]]["level"] == 8
    assert np.isnan(found[genes[1]]["level"])
    assert [found[gene]["level"] for gene in genes[2:]] == [place + 1 for place in range(2, 24)]
    assert [found[gene]["high"] for gene in genes] == [place % 2 for place in range(24)]
    assert inspect(str(tmp_path / "data" / "train.h5")).targets == (
        Target("level", "continuous", "TPM"),
        Target("high", "binary"),
    )
    record = json.loads((tmp_path / "data" / "build.json").read_text())
    assert record["targets"][0] == {"name": "level", "kind": "continuous", "unit": "TPM", "measured": 23}
    # Another split of the same genes takes everything along.
    again = parse_config(config.dump() | {"split": {"rule": "random", "seed": 5}}, "test")
    written = resplit(again, str(tmp_path / "other.tsv"), str(tmp_path / "other"))
    assert written.files["train"] != result.files["train"]
    np.testing.assert_equal(values_of(tmp_path / "other"), found)


def test_a_build_is_found_again_and_made_anew_when_a_table_changes(made, tmp_path):
    make, table, genes = made
    rows = [[gene, place] for place, gene in enumerate(genes)]
    config, _ = make({"table": table("levels.tsv", ["level"], rows)})
    assert build(config, tmp_path / "data").reused
    table("levels.tsv", ["level"], rows[::-1][:20] + [[gene, 3] for gene in genes[:4]])
    with pytest.raises(DataError, match="made from other inputs"):
        build(config, tmp_path / "data")


@pytest.mark.parametrize(
    ("target", "words"),
    [
        ({"columns": ["nothing"]}, ["nothing"]),
        ({"columns": ["level"], "name": "label"}, ["label"]),
        ({"columns": ["level"], "kind": "counts"}, ["level", "-1", "below 0"]),
        ({"columns": ["level"], "kind": "binary"}, ["0 or 1"]),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_is_written(made, tmp_path, target, words):
    make, table, genes = made
    rows = [[gene, place - 1] for place, gene in enumerate(genes)]
    path = table("levels.tsv", ["level"], rows)
    with pytest.raises(DataError) as info:
        make({"table": path} | target)
    sentence(info, *words)
    assert not (tmp_path / "data" / "train.h5").exists()


def test_two_targets_of_one_name_are_refused(made):
    make, table, genes = made
    path = table("levels.tsv", ["level"], [[gene, place] for place, gene in enumerate(genes)])
    with pytest.raises(DataError) as info:
        make({"table": path}, {"table": path, "columns": ["level"]})
    sentence(info, "level", "rename")


def test_sparse_values_of_the_right_genes_will_do_and_other_genes_not(made, tmp_path):
    make, table, genes = made
    path = table("levels.tsv", ["level"], [[gene, place if place < 4 else "NA"] for place, gene in enumerate(genes)])
    make({"table": path})
    assert sum(not np.isnan(values["level"]) for values in values_of(tmp_path / "data").values()) == 4
    other = table("other.tsv", ["level"], [[gene, 1] for gene in genes[:11]])
    with pytest.raises(DataError) as info:
        make({"table": other})
    sentence(info, "11 of the 24", "half")
