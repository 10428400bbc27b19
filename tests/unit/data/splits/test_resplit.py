"""A new split of a data set."""

import h5py
import numpy as np
import pytest
from toy_disk import room

from raygenex.config.load import parse_config
from raygenex.data.hdf5.read import inspect, read_extra, read_locations, read_rows
from raygenex.data.splits.file import read_split
from raygenex.data.splits.resplit import resplit
from raygenex.errors import ConfigError, DataError, RaygenexError
from raygenex.files.dataset_folder import made_in
from raygenex.files.fingerprint import fingerprint
from raygenex.sequence import to_one_hot

FAMILIES = [f"f{i % 5}" for i in range(10)]


def text(values):
    return np.array(values, dtype=object)


@pytest.fixture
def config(built, tmp_path):
    """Return a function that makes the configuration of 16 genes on four chromosomes and a rule to split them by."""
    chrom = ["I", "II", "III", "IV"]
    paths = {
        name: built(
            f"{name}.h5",
            [1000 * (i + 1) for i in range(count)],
            [chrom[i % 4] for i in range(count)],
            "+-",
            prefix=prefix,
            extra={
                "family": text([FAMILIES[i % 10] if i else "" for i in range(count)]),
                "life": [i + 0.5 for i in range(count)],
            },
        )
        for name, prefix, count in (("train", "A", 10), ("valid", "B", 4), ("test", "C", 2))
    }

    def make(split=None, **data):
        return parse_config({"data": paths | data, "split": split or {"fractions": [0.5, 0.25, 0.25]}}, "test")

    make.paths = paths
    return make


def rows_of(paths):
    """Return every gene of some files with all that the files say of it, and the attributes of the files."""
    found, attrs = {}, set()
    for path in paths:
        file = inspect(path)
        block, places = read_rows(file, 0, file.rows), read_locations(file)
        columns = {name: block[name] for name in ("sequence", "halflife", "label")}
        columns |= vars(places) if places else {}
        columns |= {name: read_extra(file, name) for name in file.extra}
        for row, gene in enumerate(block["gene_id"]):
            assert gene not in found, gene
            found[gene] = {name: values.tolist()[row] for name, values in columns.items()}
        attrs.add((file.window, file.first, file.genome_build, file.halflife_scale))
    return found, attrs


def names(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def test_every_gene_is_there_once_and_whole(config, tmp_path):
    result = resplit(config(), str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    assert result.output == str(tmp_path / "split.tsv")
    assert sum(result.counts.values()) == 16
    assert min(result.counts.values()) > 0
    assert result.left_out == 0
    assert result.rule["rule"] == "chromosome"
    assert result.files == {name: str(tmp_path / "new" / f"{name}.h5") for name in ("train", "valid", "test")}
    before, attrs = rows_of(config.paths.values())
    after, kept = rows_of(result.files.values())
    assert after == before
    assert len(before) == 16
    assert set(before["A3"]) == {"sequence", "halflife", "label", "chrom", "tss", "strand", "family", "life"}
    assert attrs == kept == {(40, -20, "TOY1", "log10")}
    # The split file says where each gene went, and chromosomes stay whole.
    table = read_split(result.output)
    where = dict(zip(table.gene_id, table.split, strict=True))
    for name, path in result.files.items():
        genes = rows_of([path])[0]
        assert {gene for gene, split in where.items() if split == name} == set(genes)
    homes = {(gene["chrom"], where[name]) for name, gene in before.items()}
    assert len(homes) == 4


def test_the_home_folder_is_meant_by_its_sign(config, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "home").mkdir()
    result = resplit(config(), "~/split.tsv", "~/new")
    assert result.files["train"] == str(tmp_path / "home" / "new" / "train.h5")
    assert {"home/split.tsv", "home/new/train.h5"} <= set(names(tmp_path))
    assert "~" not in names(tmp_path)


def test_the_order_of_the_genes_stays(config, tmp_path):
    result = resplit(config({"rule": "random"}), str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    order = [f"A{i}" for i in range(10)] + [f"B{i}" for i in range(4)] + ["C0", "C1"]
    genes = list(rows_of([result.files["train"]])[0])
    assert genes == [gene for gene in order if gene in genes]


def test_the_split_alone(config, tmp_path):
    before = names(tmp_path)
    result = resplit(config(), str(tmp_path / "deep" / "split.tsv"), None)
    assert result.files == {}
    assert names(tmp_path) == sorted([*before, "deep", "deep/split.tsv"])


def test_groups_of_a_column_of_the_files(config, tmp_path):
    rule = {"rule": "group", "column": "family", "valid": "f1", "test": ["f2"]}
    result = resplit(config(rule), str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    families = {name: {gene["family"] for gene in rows_of([path])[0].values()} for name, path in result.files.items()}
    assert families == {"train": {"", "f3", "f4", "f0"}, "valid": {"f1"}, "test": {"f2"}}
    # Gene 1 of each of the three files and gene 6 of train are of family 1.
    assert result.counts["valid"] == 4
    table = read_split(result.output)
    group = dict(zip(table.gene_id, table.group, strict=True))
    assert (group["A1"], group["A0"]) == ("f1", "A0")


def test_a_column_that_is_not_there(config, tmp_path, sentence):
    with pytest.raises(ConfigError) as info:
        resplit(config({"rule": "group", "column": "genus"}), str(tmp_path / "split.tsv"), None)
    sentence(info, "genus", "family, life")
    assert not (tmp_path / "split.tsv").exists()


def test_a_split_file_leaves_genes_out(config, tmp_path):
    (tmp_path / "mine.csv").write_text("gene_id,split\nA1,valid\nA2,train\nB3,train\nother,test\n")
    rule = {"rule": "file", "file": str(tmp_path / "mine.csv")}
    result = resplit(config(rule), str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    assert (result.counts, result.left_out) == ({"train": 2, "valid": 1, "test": 0}, 13)
    assert set(result.files) == {"train", "valid"}
    assert names(tmp_path / "new") == ["train.h5", "valid.h5"]
    before, _ = rows_of(config.paths.values())
    after, _ = rows_of(result.files.values())
    assert after == {gene: before[gene] for gene in ("A1", "A2", "B3")}
    assert read_split(result.output).gene_id.tolist() == ["A1", "A2", "B3"]


def test_a_split_file_of_other_genes(config, tmp_path, sentence):
    (tmp_path / "mine.csv").write_text("gene_id,split\nother,test\n")
    with pytest.raises(DataError) as info:
        resplit(config({"rule": "file", "file": str(tmp_path / "mine.csv")}), str(tmp_path / "split.tsv"), None)
    sentence(info, "names none of the genes")


def test_a_refused_split_leaves_no_folder(config, tmp_path):
    other = tmp_path / "other.tsv"
    other.write_text("gene_id\tsplit\nX\ttrain\n")
    of_others = config({"rule": "file", "file": str(other)})
    with pytest.raises(DataError):
        resplit(of_others, str(tmp_path / "new" / "split.tsv"), None)
    assert not (tmp_path / "new").exists()


def test_a_file_of_a_split_without_genes_is_not_left_beside_the_new_ones(config, tmp_path):
    resplit(config(), str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    (tmp_path / "mine.csv").write_text("gene_id,split\nA1,train\nA2,train\n")
    rule = {"rule": "file", "file": str(tmp_path / "mine.csv")}
    resplit(config(rule), str(tmp_path / "split.tsv"), str(tmp_path / "new"), overwrite=True)
    assert names(tmp_path / "new") == ["train.h5"]


def test_the_new_split_may_be_split_again_as_before(config, tmp_path):
    # The labels alternate, and so do the chromosomes: a split of one chromosome has genes of one label.
    first = resplit(config(), str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    again = resplit(
        config({"rule": "file", "file": first.output}, **first.files), str(tmp_path / "b.tsv"), str(tmp_path / "b")
    )
    assert again.counts == first.counts
    for name, path in again.files.items():
        assert rows_of([path]) == rows_of([first.files[name]])


def test_similar_promoters_stay_together(config, built, tmp_path):
    # Six genes in three pairs of windows that overlap, on three chromosomes.
    train = built("o.h5", [1000, 1030, 1000, 1030, 1000, 1030], ["I", "I", "II", "II", "III", "III"])
    rule = {"rule": "similarity", "fractions": [1 / 3, 1 / 3, 1 / 3]}
    result = resplit(config(rule, train=train, valid=(), test=()), str(tmp_path / "split.tsv"), None)
    assert result.counts == {"train": 2, "valid": 2, "test": 2}
    assert (result.rule["overlap"], result.rule["promoter"], result.rule["protein"]) == (True, 0.3, None)
    assert read_split(result.output).group.tolist() == [f"cluster-{i:06d}" for i in (1, 1, 2, 2, 3, 3)]


@pytest.mark.parametrize("missing", ["window", "places"])
def test_similar_promoters_are_found_without_places_or_windows(config, built, write, tmp_path, missing):
    if missing == "window":
        train = built("o.h5", [1000, 1030, 5000], first=None)
    else:
        train = write("o.h5", n=3, window=40, promoter=to_one_hot(np.random.default_rng(0).integers(0, 4, (3, 40))))
    rule = {"rule": "similarity", "fractions": [1 / 3, 1 / 3, 1 / 3], "promoter": 1.0}
    result = resplit(config(rule, train=train, valid=(), test=()), str(tmp_path / "split.tsv"), None)
    assert result.rule["overlap"] is False
    assert sum(result.counts.values()) == 3


def test_columns_that_only_some_files_have_are_left_out(config, built, write, tmp_path):
    more = built("more.h5", [100, 200], prefix="M", extra={"life": [1.0, 2.0]})
    result = resplit(config({"rule": "random"}, test=more), str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    file = inspect(result.files["train"])
    assert (file.extra, file.has_locations) == (("life",), True)
    other = built("other.h5", [100, 200], prefix="M", genome_build="TOY2", first=-10)
    result = resplit(config({"rule": "random"}, test=other), str(tmp_path / "2.tsv"), str(tmp_path / "2"))
    file = inspect(result.files["train"])
    assert (file.extra, file.first, file.genome_build, file.halflife_scale) == ((), None, None, "log10")


def test_promoters_of_several_lengths(config, built, tmp_path, sentence):
    short = built("short.h5", [100, 200], prefix="M", window=20, first=-10)
    cut = config({"rule": "random"}, test=short, window=10)
    before = names(tmp_path)
    with pytest.raises(DataError) as info:
        resplit(cut, str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    sentence(info, "[20, 40] bases", "split files of one length")
    assert names(tmp_path) == before
    # The split alone needs no files of one length.
    assert sum(resplit(cut, str(tmp_path / "split.tsv"), None).counts.values()) == 16


# What is there already


@pytest.mark.parametrize("there", ["split.tsv", "new/train.h5", "new/test.h5"])
def test_what_exists_is_kept_without_force(config, tmp_path, sentence, there):
    (tmp_path / "new").mkdir()
    (tmp_path / there).write_text("mine")
    before = names(tmp_path)
    with pytest.raises(DataError) as info:
        resplit(config(), str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    sentence(info, tmp_path / there, "exists already", "--force")
    assert names(tmp_path) == before
    assert (tmp_path / there).read_text() == "mine"
    result = resplit(config(), str(tmp_path / "split.tsv"), str(tmp_path / "new"), overwrite=True)
    assert len(rows_of(result.files.values())[0]) == 16


@pytest.mark.parametrize("link", [False, True])
def test_its_own_input_is_not_replaced(config, tmp_path, sentence, link):
    folder = tmp_path
    if link:
        folder = tmp_path / "link"
        folder.symlink_to(tmp_path)
    prints = {path: fingerprint(path) for path in config.paths.values()}
    with pytest.raises(DataError) as info:
        resplit(config(), str(tmp_path / "split.tsv"), str(folder), overwrite=True)
    sentence(info, folder / "train.h5", "is read for this split", "choose another folder")
    with pytest.raises(DataError) as info:
        resplit(config(), str(folder / "valid.h5"), None, overwrite=True)
    sentence(info, folder / "valid.h5", "must end in .tsv")
    assert {path: fingerprint(path) for path in config.paths.values()} == prints
    assert not (tmp_path / "split.tsv").exists()


def test_a_folder_that_cannot_be_written(config, tmp_path, sentence):
    (tmp_path / "file").write_text("")
    before = names(tmp_path)
    with pytest.raises(DataError) as info:
        resplit(config(), str(tmp_path / "split.tsv"), str(tmp_path / "file"))
    sentence(info, tmp_path / "file", "is a file where the folder of")
    with pytest.raises(DataError) as info:
        resplit(config(), str(tmp_path / "file" / "split.tsv"), None)
    sentence(info, tmp_path / "file", "is a file where the folder of")
    assert names(tmp_path) == before


@pytest.mark.parametrize("size", [0, 300, 3000, 6000])
def test_a_full_disk_leaves_what_was_there(config, tmp_path, sentence, size):
    before = names(tmp_path)
    with room(size), pytest.raises(DataError) as info:
        resplit(config(), str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    sentence(info, tmp_path / "new", "File too large")
    assert names(tmp_path) == before


def test_a_table_that_does_not_fit_leaves_no_files(config, tmp_path, sentence, monkeypatch):
    def fail(*args):
        raise DataError("split.tsv cannot be written")

    monkeypatch.setattr("raygenex.data.splits.resplit.write_split", fail)
    before = names(tmp_path)
    with pytest.raises(DataError) as info:
        resplit(config(), str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    sentence(info, "split.tsv")
    assert names(tmp_path) == before


def test_a_folder_that_another_process_fills(config, tmp_path, sentence):
    before = names(tmp_path)
    with made_in(tmp_path / "new"), pytest.raises(RaygenexError) as info:
        resplit(config(), str(tmp_path / "split.tsv"), str(tmp_path / "new"), overwrite=True)
    sentence(info, f"another process is making a data set in {tmp_path / 'new'}")
    assert names(tmp_path) == before


def test_a_damaged_input_leaves_nothing(config, tmp_path, sentence):
    with h5py.File(config.paths["test"], "r+") as handle:
        handle["promoter"][1, 3] = True
    before = names(tmp_path)
    with pytest.raises(DataError) as info:
        resplit(config(), str(tmp_path / "split.tsv"), str(tmp_path / "new"))
    sentence(info, "test.h5", "C1", "position 3")
    assert names(tmp_path) == before


def test_a_gene_that_is_there_twice(config, built, tmp_path, sentence):
    twice = built("twice.h5", [100, 200], prefix="A")
    with pytest.raises(DataError) as info:
        resplit(config(test=twice), str(tmp_path / "split.tsv"), None)
    sentence(info, "gene A0", "train.h5", "twice.h5")
