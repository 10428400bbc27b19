"""From a genome, an annotation and an expression table to promoter files, on Ray."""

import csv
import gzip
import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import pytest
from toy_genome import CHROM_I, CHROM_II, EXPRESSION, other_strand, write_toy_genome

from raygenex import __version__
from raygenex.config.load import parse_config
from raygenex.config.run import RunConfig
from raygenex.data.build.run import BuildResult, build
from raygenex.data.check.check import check
from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.data.hdf5.read import inspect, read_extra, read_locations, read_rows
from raygenex.data.splits.file import read_split
from raygenex.data.splits.resplit import resplit
from raygenex.errors import ClusterError, DataError
from raygenex.files.fingerprint import fingerprint
from raygenex.sequence import to_string

pytestmark = pytest.mark.usefixtures("ray_cluster")

WRITTEN = ["build.json", "genes.tsv", "split.tsv", "test.h5", "train.h5", "valid.h5"]
EACH = {"rule": "chromosome", "valid": "II", "fractions": [0.5, 0.5, 0.0]}


@pytest.fixture
def toy(tmp_path: Path) -> Callable[..., RunConfig]:
    """Return a function that makes configurations of a build of the toy genome."""
    paths = write_toy_genome(tmp_path)
    more = tmp_path / "more.tsv"
    more.write_text("gene_id\tlife\tfamily\nS\t3\tkinase\nP\t1\tkinase\n", encoding="utf-8")

    def make(split: dict[str, Any] | None = None, **settings: Any) -> RunConfig:
        values = {
            "genome": paths["genome"],
            "annotation": paths["annotation"],
            "window": [-10, 10],
            "extra": [{"table": str(more), "columns": ["life", "family"]}],
            "label": {"table": paths["expression"]},
            **settings,
        }
        return parse_config({"build": values, "split": split or EACH}, "test")

    return make


def names(folder: str | Path) -> list[str]:
    return sorted(path.name for path in Path(folder).iterdir())


def values(path: str) -> dict[str, Any]:
    """Return all that a promoter file holds."""
    file = inspect(path)
    places = read_locations(file)
    found: dict[str, Any] = {**read_rows(file, 0, file.rows), **({} if places is None else vars(places))}
    found |= {name: read_extra(file, name) for name in file.extra}
    return {name: column.tolist() for name, column in found.items()} | {
        "about": (file.window, file.first, file.genome_build, file.halflife_scale)
    }


def genes(folder: str | Path) -> list[dict[str, str]]:
    with open(Path(folder, "genes.tsv"), encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def state(folder: str | Path) -> dict[str, tuple[str, int]]:
    """Return what would change if a file were written anew."""
    return {path.name: (fingerprint(str(path)), path.stat().st_mtime_ns) for path in Path(folder).iterdir()}


def test_the_toy_genome_by_hand(toy: Callable[..., RunConfig], tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    result = build(toy(), folder)
    # Both genes of I train; only S is on II; no chromosome is left for test.
    assert names(folder) == [name for name in WRITTEN if name != "test.h5"]
    assert result == BuildResult(
        folder=str(folder),
        files={
            **{name: str(folder / f"{name}.h5") for name in ("train", "valid")},
            **{name: str(folder / f"{name}.tsv") for name in ("genes", "split")},
            "manifest": str(folder / "build.json"),
        },
        rows={"train": 2, "valid": 1},
        positives={"train": 1, "valid": 0},
        dropped={"biotype tRNA": 1},
        threshold=6,
        taken=("expression: the median of 2 columns (a, b)",),
        seconds=result.seconds,
        reused=False,
    )
    train, valid = (values(result.files[name]) for name in ("train", "valid"))
    # In the order of the genome; the expression is 2, 15 and 6, and only what is above 6 is high.
    assert (train["gene_id"], train["label"]) == (["P", "M"], [0, 1])
    assert (valid["gene_id"], valid["label"]) == (["S"], [0])
    assert [to_string(np.array(row, np.uint8)) for row in train["sequence"]] == [
        CHROM_I[10:30],
        other_strand(CHROM_I[180:200]),
    ]
    assert to_string(np.array(valid["sequence"][0], np.uint8)) == CHROM_II[20:40]
    logs = np.log10([[10.1, 30.1, 10.1, 10.1], [16.1, 24.1, 10.1, 10.1]])
    np.testing.assert_allclose(np.array(train["halflife"])[:, :4], logs, rtol=1e-6)
    np.testing.assert_allclose(
        np.array(train["halflife"])[:, 4:], [[0.7, 0.4, 0.2, 2000 / 30], [0.5, 0.5, 0.125, 2000 / 24]], rtol=1e-6
    )
    np.testing.assert_allclose(valid["halflife"][0], [-1, np.log10(30.1), -1, -1, 0, 25 / 30, 0, 1000 / 30], rtol=1e-6)
    assert (train["chrom"], train["tss"], train["strand"]) == (["I", "I"], [21, 190], ["+", "-"])
    assert train["family"] == ["kinase", ""]
    np.testing.assert_array_equal(train["life"], [1, np.nan])
    assert valid["life"] == [3]
    assert train["about"] == valid["about"] == (20, -10, "TOY1", "log10")


def test_what_is_said_of_the_toy_genome(toy: Callable[..., RunConfig], tmp_path: Path) -> None:
    config = toy()
    result = build(config, tmp_path / "out")
    rows = genes(result.folder)
    assert [(row["gene_id"], row["split"], row["reason"]) for row in rows] == [
        ("P", "train", ""),
        ("M", "train", ""),
        ("S", "valid", ""),
        ("R", "", "biotype tRNA"),
    ]
    assert [(row["transcript_id"], row["transcript_rule"], row["expression"]) for row in rows] == [
        ("P_t", "only", "2"),
        ("M_t", "only", "15"),
        ("S_t", "only", "6"),
        ("", "", ""),
    ]
    assert float(rows[0]["UTR5GC"]) == 0.7
    table = read_split(result.files["split"])
    assert (table.gene_id.tolist(), table.group.tolist()) == (["P", "M", "S"], ["I", "I", "II"])
    record = json.loads(Path(result.files["manifest"]).read_text())
    settings, inputs = record.pop("settings"), record.pop("inputs")
    assert settings["build"]["window"] == [-10, 10]
    assert settings["split"] == config.split.model_dump(mode="json")
    assert inputs == {path: fingerprint(path) for path in inputs}
    assert {Path(path).name for path in inputs} == {"genome.fa", "genes.gtf", "expression.tsv", "more.tsv"}
    written = [name for name in names(result.folder) if name != "build.json"]
    assert record.pop("sha256") == {name: fingerprint(f"{result.folder}/{name}") for name in written}
    assert record.pop("seconds") == result.seconds > 0
    assert record == {
        "version": __version__,
        "genome_build": "TOY1",
        "window": {"first": -10, "stop": 10, "bases": 20, "tss_index": 10},
        "halflife_scale": "log10",
        "features_scale": None,
        "genes": {"found": 4, "kept": 3, "dropped": {"biotype tRNA": 1}},
        "transcript_rules": {"only": 3},
        "moved_tss": 0,
        "label": {"columns": ["a", "b"], "aggregate": "median", "rule": "median", "threshold": 6},
        "splits": {"train": {"genes": 2, "high": 1, "low": 1}, "valid": {"genes": 1, "high": 0, "low": 1}},
        "split": {**config.split.model_dump(mode="json"), "valid": ["II"], "test": []},
        "start_codons": 1,
        "unknown_bases": {"genes": 0, "share": 0},
    }


def test_unknown_bases_are_counted(toy: Callable[..., RunConfig], tmp_path: Path) -> None:
    result = build(toy(window=[-30, 10], out_of_bounds="pad"), tmp_path / "out")
    record = json.loads(Path(result.files["manifest"]).read_text())
    # P lies 10 bases too near to the start of its chromosome.
    assert record["unknown_bases"] == {"genes": 1, "share": pytest.approx(10 / 120)}
    assert values(result.files["train"])["sequence"][0][:11] == [4] * 10 + [0]


def test_what_is_there_is_reused(toy: Callable[..., RunConfig], tmp_path: Path) -> None:
    first = build(toy(), tmp_path / "out")
    before = state(first.folder)
    again = build(toy(genes_per_task=1), tmp_path / "out")
    assert again == BuildResult(**vars(first) | {"reused": True})
    assert state(first.folder) == before


def test_other_settings_and_inputs_are_refused_without_force(
    toy: Callable[..., RunConfig], tmp_path: Path, toy_sentence: Callable[..., None]
) -> None:
    folder = tmp_path / "out"
    build(toy({"rule": "random"}), folder)
    before = state(folder)
    assert names(folder) == WRITTEN
    for other in (toy(), toy({"rule": "random"}, window=[-5, 5]), toy({"rule": "random", "seed": 1})):
        with pytest.raises(DataError) as info:
            build(other, folder)
        toy_sentence(info, folder, "made from other inputs or settings", "--force", "another folder")
    assert state(folder) == before
    expression = tmp_path / "expression.tsv"
    expression.write_text(EXPRESSION.replace("20", "21"))
    with pytest.raises(DataError) as info:
        build(toy({"rule": "random"}), folder)
    toy_sentence(info, folder, "--force")
    # With force all is made anew, and a file of a split that has no genes now is not left behind.
    result = build(toy(), folder, overwrite=True)
    assert names(folder) == [name for name in WRITTEN if name != "test.h5"]
    assert genes(folder)[1]["expression"] == "15.5"
    assert build(toy(), folder).reused
    Path(result.files["valid"]).unlink()
    with pytest.raises(DataError) as info:
        build(toy(), folder)
    toy_sentence(info, folder, "--force")
    assert not build(toy(), folder, overwrite=True).reused


@pytest.fixture
def toy_sentence() -> Callable[..., None]:
    """Return a function that checks that an error is one sentence that names what it must."""

    def sentence(info: pytest.ExceptionInfo[Exception], *words: object) -> None:
        text = str(info.value)
        assert "\n" not in text
        assert ". " not in text
        for word in words:
            assert str(word) in text, text

    return sentence


def test_the_size_of_the_tasks_does_not_matter(toy: Callable[..., RunConfig], tmp_path: Path) -> None:
    rule = {"rule": "similarity", "fractions": [0.4, 0.3, 0.3]}
    results = [build(toy(rule, genes_per_task=size), tmp_path / str(size)) for size in (1, 2, 256)]
    first, *others = results
    for other in others:
        for name in ("train", "valid", "test"):
            one, two = values(first.files[name]), values(other.files[name])
            np.testing.assert_equal(one, two)
        for name in ("genes", "split"):
            assert Path(first.files[name]).read_bytes() == Path(other.files[name]).read_bytes()


def test_a_split_is_used_again(toy: Callable[..., RunConfig], tmp_path: Path) -> None:
    first = build(toy({"rule": "random", "seed": 5}), tmp_path / "first")
    again = build(toy({"rule": "file", "file": first.files["split"]}, window=[-15, 10]), tmp_path / "again")
    assert again.rows == first.rows
    for name in ("train", "valid", "test"):
        assert values(again.files[name])["gene_id"] == values(first.files[name])["gene_id"]
    assert read_split(again.files["split"]).rule == {"rule": "file", "file": first.files["split"]}
    # The split of fewer genes leaves the others out, and one of more genes is cut to those of the data.
    mine = tmp_path / "mine.csv"
    mine.write_text("gene_id,split\nM,train\nS,train\nX,test\n")
    few = build(toy({"rule": "file", "file": str(mine)}), tmp_path / "few")
    assert (few.rows, few.dropped) == ({"train": 2}, {"biotype tRNA": 1, "no split": 1})
    assert read_split(few.files["split"]).gene_id.tolist() == ["M", "S"]
    assert [(row["gene_id"], row["reason"]) for row in genes(few.folder)][2:] == [
        ("R", "biotype tRNA"),
        ("P", "no split"),
    ]
    assert (few.threshold, values(few.files["train"])["label"]) == (10.5, [1, 0])


def test_alike_genes_stay_together(toy: Callable[..., RunConfig], tmp_path: Path) -> None:
    rule = {"rule": "similarity", "fractions": [0.5, 0.5, 0.0]}
    # From 90 to 121 the windows of P and M, both on I, are the same bases.
    result = build(toy(rule, window=[-100, 100], out_of_bounds="pad"), tmp_path / "out")
    table = read_split(result.files["split"])
    group = dict(zip(table.gene_id, table.group, strict=True))
    assert group["P"] == group["M"] != group["S"]
    assert sorted(result.rows.values()) == [1, 2]
    assert {name: table.rule[name] for name in ("rule", "overlap", "promoter", "protein")} == {
        "rule": "similarity",
        "overlap": True,
        "promoter": 0.3,
        "protein": 0.2,
    }
    apart = build(toy({**rule, "protein": None}), tmp_path / "apart")
    assert len(set(read_split(apart.files["split"]).group)) == 3
    assert read_split(apart.files["split"]).rule["protein"] is None


def test_groups_of_an_added_column_stay_together(toy: Callable[..., RunConfig], tmp_path: Path) -> None:
    rule = {"rule": "group", "column": "family", "valid": "kinase"}
    result = build(toy(rule), tmp_path / "out")
    assert values(result.files["valid"])["gene_id"] == ["P", "S"]
    assert result.rows == {"train": 1, "valid": 2}


# Published tables of features


def published(tmp_path: Path, split: dict[str, Any], **settings: Any) -> RunConfig:
    header = ["gene_id", "chrom", "TSS", "strand", *(f"{name}_log10zscore" for name in HALFLIFE_FEATURES), "label"]
    rows = [
        ["G1", "I", "21", "+", *(f"{-0.5 + 0.125 * i}" for i in range(8)), "1"],
        ["G2", "I", "190", "-", *(f"{0.25 * i}" for i in range(8)), "0"],
        ["G3", "II", "31", "+", *(f"{-0.25 * i}" for i in range(8)), "1"],
        ["G4", "II", "41", "+", "NA", *(f"{i}" for i in range(7)), "1"],
    ]
    path = tmp_path / "features.tsv"
    path.write_text("\n".join("\t".join(row) for row in [header, *rows]) + "\n", encoding="utf-8")
    return parse_config({"build": {"features": str(path), "window": [-10, 10], **settings}, "split": split}, "test")


def test_features_of_a_table_with_promoters_of_a_genome(tmp_path: Path) -> None:
    genome = write_toy_genome(tmp_path)["genome"]
    config = published(tmp_path, {"rule": "chromosome", "valid": "II"}, genome=genome, genome_build="TOY1")
    result = build(config, tmp_path / "out")
    train = values(result.files["train"])
    assert train["gene_id"] == ["G1", "G2"]
    assert train["halflife"] == [[-0.5 + 0.125 * i for i in range(8)], [0.25 * i for i in range(8)]]
    assert [to_string(np.array(row, np.uint8)) for row in train["sequence"]] == [
        CHROM_I[10:30],
        other_strand(CHROM_I[180:200]),
    ]
    assert train["label"] == [1, 0]
    assert train["about"] == (20, -10, "TOY1", "z-score")
    assert train["tss"] == [21, 190]
    assert (result.threshold, result.dropped) == (None, {"no value of a half-life feature": 1})
    record = json.loads(Path(result.files["manifest"]).read_text())
    assert (record["start_codons"], record["label"]["rule"]) == (None, "the labels of the table")
    assert [row["reason"] for row in genes(result.folder)] == ["", "", "", "no value of a half-life feature"]


def test_features_of_a_table_with_a_fasta_of_promoters(tmp_path: Path) -> None:
    fasta = tmp_path / "w.fa"
    fasta.write_text(f">G3\n{'ACGTN' * 4}\n>G1\n{CHROM_I[10:30]}\n>G2\n{CHROM_II[20:40]}\n", encoding="utf-8")
    rule = {"rule": "random", "fractions": [1.0, 0.0, 0.0]}
    result = build(published(tmp_path, rule, windows=str(fasta)), tmp_path / "out")
    train = values(result.files["train"])
    # In the order of the FASTA; the places are those of the table.
    assert train["gene_id"] == ["G3", "G1", "G2"]
    assert to_string(np.array(train["sequence"][0], np.uint8)) == "ACGTN" * 4
    assert (train["chrom"], train["tss"]) == (["II", "I", "I"], [31, 21, 190])
    rule = {"rule": "similarity", "fractions": [0.4, 0.3, 0.3], "promoter": 1.0}
    alike = build(published(tmp_path, rule, windows=str(fasta)), tmp_path / "alike")
    assert {name: read_split(alike.files["split"]).rule[name] for name in ("overlap", "protein")} == {
        "overlap": True,
        "protein": None,
    }


# What goes wrong in the middle


@pytest.mark.parametrize("size", [1, 256])
def test_a_failure_leaves_nothing(
    toy: Callable[..., RunConfig], tmp_path: Path, toy_sentence: Callable[..., None], size: int
) -> None:
    genome = tmp_path / "genome.fa"
    sound = genome.read_text()
    genome.write_text(sound.replace("CCCCCCCC", "CCC!CCCC"))
    with pytest.raises(DataError) as info:
        build(toy(genes_per_task=size), tmp_path / "out")
    toy_sentence(info, "genome.fa", "chromosome II", "'!'")
    assert not (tmp_path / "out").exists()
    # What was there before stays as it was.
    genome.write_text(sound)
    build(toy(genes_per_task=size), tmp_path / "out")
    before = state(tmp_path / "out")
    genome.write_text(sound.replace("CCCCCCCC", "CCC!CCCC"))
    with pytest.raises(DataError, match="chromosome II"):
        build(toy(genes_per_task=size), tmp_path / "out", overwrite=True)
    assert state(tmp_path / "out") == before
    genome.write_text(sound)
    assert build(toy(genes_per_task=size), tmp_path / "out").reused


def test_a_failure_while_writing_leaves_nothing(
    toy: Callable[..., RunConfig], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from raygenex.data.build import run as module

    def fail(*arguments: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(module, "write_genes", fail)
    with pytest.raises(DataError, match=r"out cannot be written .No space left on device.; make room there"):
        build(toy(), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_task_that_no_node_can_hold(toy: Callable[..., RunConfig], tmp_path: Path) -> None:
    with pytest.raises(ClusterError, match=r"building needs 1 x 400 CPU .* lower build.cpus_per_task"):
        build(toy(cpus_per_task=400), tmp_path / "out")
    assert not (tmp_path / "out").exists()


# Budding yeast


@pytest.fixture(scope="module")
def yeast_files(shared_data: Path) -> dict[str, str]:
    names = {
        "genome": "genome.fa.gz",
        "annotation": "genes.gtf.gz",
        "expression": "expression.tsv",
        "life": "measured_half_life.tsv",
    }
    return {key: str(shared_data / "yeast" / name) for key, name in names.items()}


@pytest.fixture(scope="module")
def genome(yeast_files: dict[str, str]) -> dict[str, str]:
    """The chromosomes as text, read by nothing but gzip."""
    with gzip.open(yeast_files["genome"], "rt") as stream:
        records = stream.read().split(">")[1:]
    return {record.split(None, 1)[0]: "".join(record.splitlines()[1:]).upper() for record in records}


@pytest.fixture(scope="module")
def gene_lines(yeast_files: dict[str, str]) -> dict[str, tuple[str, int, int, str, str]]:
    """Chromosome, start, stop, strand and biotype by gene id, read by nothing but gzip."""
    found = {}
    with gzip.open(yeast_files["annotation"], "rt") as stream:
        for line in stream:
            fields = line.rstrip("\n").split("\t")
            if len(fields) == 9 and fields[2] == "gene":
                about = dict(part.strip().split(" ", 1) for part in fields[8].rstrip(";").split(";"))
                gene, biotype = (about[key].strip('"') for key in ("gene_id", "gene_biotype"))
                found[gene] = (fields[0], int(fields[3]), int(fields[4]), fields[6], biotype)
    return found


def yeast_config(files: dict[str, str], split: dict[str, Any], **settings: Any) -> RunConfig:
    values = {
        "genome": files["genome"],
        "annotation": files["annotation"],
        "label": {"table": files["expression"], "columns": "fpkm"},
        **settings,
    }
    return parse_config({"build": values, "split": split}, "test")


@pytest.fixture(scope="module")
def yeast(
    ray_cluster: None, yeast_files: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> tuple[BuildResult, dict[str, dict[str, Any]]]:
    """The genes of yeast, 1000 bases either side, and all that the files say of each."""
    config = yeast_config(
        yeast_files,
        {"rule": "chromosome"},
        window=[-1000, 1000],
        chromosomes="[IVX]*",
        extra=[{"table": yeast_files["life"], "columns": "half_life"}],
    )
    result = build(config, tmp_path_factory.mktemp("yeast"))
    found: dict[str, dict[str, Any]] = {}
    for name in ("train", "valid", "test"):
        columns = values(result.files[name])
        for row, gene in enumerate(columns["gene_id"]):
            assert gene not in found
            found[gene] = {key: column[row] for key, column in columns.items() if key != "about"} | {"split": name}
    return result, found


def window(genome: dict[str, str], chrom: str, tss: int, strand: str, upstream: int, downstream: int) -> str:
    """Return the bases from ``upstream`` before the TSS to ``downstream - 1`` after it; empty if they are not there."""
    low, high = (tss - 1 - upstream, tss - 1 + downstream) if strand == "+" else (tss - downstream, tss + upstream)
    if low < 0 or high > len(genome[chrom]):
        return ""
    text = genome[chrom][low:high]
    return text if strand == "+" else text[::-1].translate(str.maketrans("ACGT", "TGCA"))


def test_yeast_keeps_and_drops_the_genes_it_should(
    yeast: tuple[BuildResult, dict[str, dict[str, Any]]],
    yeast_files: dict[str, str],
    genome: dict[str, str],
    gene_lines: dict[str, tuple[str, int, int, str, str]],
) -> None:
    result, found = yeast
    with open(yeast_files["expression"], encoding="utf-8", newline="") as stream:
        measured = {row["gene_id"]: float(row["fpkm"]) for row in csv.DictReader(stream, delimiter="\t")}
    expected: dict[str, str] = {}
    for gene, (chrom, start, stop, strand, biotype) in gene_lines.items():
        if chrom == "Mito":
            expected[gene] = "chromosome not chosen"
        elif biotype != "protein_coding":
            expected[gene] = f"biotype {biotype}"
        elif not window(genome, chrom, start if strand == "+" else stop, strand, 1000, 1000):
            expected[gene] = "window leaves the chromosome"
        elif gene not in measured:
            expected[gene] = "no expression"
    assert result.dropped == Counter(expected.values())
    assert set(found) == set(gene_lines) - set(expected)
    rows = genes(result.folder)
    assert {row["gene_id"]: row["reason"] for row in rows if row["reason"]} == expected
    assert len(rows) == len(gene_lines) == 7036
    threshold = median(measured[gene] for gene in found)
    assert result.threshold == pytest.approx(threshold, rel=1e-12)
    assert {gene: row["label"] for gene, row in found.items()} == {
        gene: int(measured[gene] > threshold) for gene in found
    }
    # Nearly all of the annotated coding sequences start with ATG.
    assert json.loads(Path(result.files["manifest"]).read_text())["start_codons"] > 0.99


def test_every_promoter_of_yeast_is_a_piece_of_the_genome(
    yeast: tuple[BuildResult, dict[str, dict[str, Any]]],
    genome: dict[str, str],
    gene_lines: dict[str, tuple[str, int, int, str, str]],
) -> None:
    _, found = yeast
    for gene, row in found.items():
        chrom, start, stop, strand, _ = gene_lines[gene]
        tss = start if strand == "+" else stop
        assert (row["chrom"], row["tss"], row["strand"]) == (chrom, tss, strand), gene
        assert to_string(np.array(row["sequence"], np.uint8)) == window(genome, chrom, tss, strand, 1000, 1000), gene
    # The first and the last gene of chromosome I, by hand: on the reverse and on the forward strand.
    on_one = [gene for gene, row in found.items() if row["chrom"] == "I"]
    assert (on_one[0], on_one[-1]) == ("YAL068C", "YAR075W")
    first, last = (to_string(np.array(found[gene]["sequence"], np.uint8)) for gene in (on_one[0], on_one[-1]))
    assert first[1000:1003] == last[1000:1003] == "ATG"
    assert first == window(genome, "I", 2169, "-", 1000, 1000)
    assert last == genome["I"][228843 - 1000 : 228843 + 1000]


def test_chromosomes_of_yeast_stay_whole(
    yeast: tuple[BuildResult, dict[str, dict[str, Any]]], genome: dict[str, str]
) -> None:
    result, found = yeast
    homes = {(row["chrom"], row["split"]) for row in found.values()}
    assert len(homes) == len({chrom for chrom, _ in homes}) == 16
    order = list(genome)
    for name in ("train", "valid", "test"):
        places = [(order.index(row["chrom"]), row["tss"]) for row in found.values() if row["split"] == name]
        assert places == sorted(places)
        assert result.rows[name] / len(found) == pytest.approx({"train": 0.8}.get(name, 0.1), abs=0.05)


def test_a_gene_of_yeast_with_an_intron(
    yeast: tuple[BuildResult, dict[str, dict[str, Any]]], genome: dict[str, str]
) -> None:
    # ACT1 on the reverse strand: exons 53260-54377 and 54687-54696, coding throughout, the stop codon at 53260-53262.
    row = yeast[1]["YFL039C"]
    assert (row["chrom"], row["tss"], row["strand"]) == ("VI", 54696, "-")
    coding = genome["VI"][53259:54377] + genome["VI"][54686:54696]
    assert len(coding) == 1128
    intron = 54686 - 54377
    assert intron == 309
    gc = (coding.count("G") + coding.count("C")) / 1128
    expected = [-1, np.log10(1128.1), np.log10(309.1), -1, 0, gc, 0, 1000 * 2 / 1128]
    np.testing.assert_allclose(row["halflife"], expected, rtol=1e-6)
    assert row["label"] == 1
    forward = to_string(np.array(row["sequence"], np.uint8))[1000:1010]
    assert forward == genome["VI"][54686:54696][::-1].translate(str.maketrans("ACGT", "TGCA"))
    assert forward.startswith("ATG")


def test_measured_half_lives_travel_with_the_genes_of_yeast(
    yeast: tuple[BuildResult, dict[str, dict[str, Any]]], yeast_files: dict[str, str]
) -> None:
    with open(yeast_files["life"], encoding="utf-8", newline="") as stream:
        measured = {row["gene_id"]: float(row["half_life"]) for row in csv.DictReader(stream, delimiter="\t")}
    _, found = yeast
    np.testing.assert_array_equal(
        [row["half_life"] for row in found.values()], [measured.get(gene, np.nan) for gene in found]
    )


def test_neighbours_in_yeast_leak_unless_chromosomes_stay_whole(yeast_files: dict[str, str], tmp_path: Path) -> None:
    config = yeast_config(yeast_files, {"rule": "random"}, chromosomes=["I", "VI", "III"])
    result = build(config, tmp_path / "random")
    files = {name: result.files[name] for name in ("train", "valid", "test")}
    found = parse_config({"data": files}, "test")
    leaks = check(found.data, found.check).leakage
    assert [(pair.first, pair.second) for pair in leaks.pairs] == [
        ("train", "valid"),
        ("train", "test"),
        ("valid", "test"),
    ]
    # Genes of yeast are 2,000 bases apart, and the windows are of 20,000.
    assert min(pair.overlapping.share for pair in leaks.pairs[:2] if pair.overlapping) > 0.98
    assert leaks.exceeds(found.check.max_leaked)
    whole = parse_config({"data": files, "split": {"rule": "chromosome", "valid": "I", "test": "VI"}}, "test")
    again = resplit(whole, str(tmp_path / "split.tsv"), str(tmp_path / "whole"))
    found = parse_config({"data": again.files}, "test")
    for pair in check(found.data, found.check).leakage.pairs:
        assert pair.overlapping is not None
        assert (pair.overlapping.genes, pair.same_id and pair.same_id.genes) == (0, 0)
        assert pair.any.share < 0.2
