"""Everything a user can get wrong in `data build`: exit code 2, one sentence, and nothing half-written."""

import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from toy_genome import EXPRESSION, write_toy_genome

from raygenex.data.build import run as build_module
from raygenex.data.build.extract import cut_batches, extract_batch

BUILD = ("data", "build", "run.yaml")


@pytest.fixture
def toy(tmp_path, monkeypatch, raygenex):
    """Return a function that writes the configuration of a build of the toy genome; its files lie in ``in``."""
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    (tmp_path / "in").mkdir()
    paths = write_toy_genome(tmp_path / "in")

    def write(data=None, build=None, split=None):
        values = {"genome": paths["genome"], "annotation": paths["annotation"], "window": [-10, 10]} | (build or {})
        values["label"] = {"table": paths["expression"]} | values.get("label", {})
        config = {
            "output": str(tmp_path / "runs"),
            "data": {name: f"out/{name}.h5" for name in ("train", "valid", "test")} if data is None else data,
            "build": values,
            "split": {"rule": "random", **(split or {})},
        }
        Path("run.yaml").write_text(yaml.safe_dump({name: value for name, value in config.items() if value}))

    write()
    return write


@pytest.fixture
def no_cluster(monkeypatch):
    """Extract in this process, without Ray."""

    def extract(genome_path, genes, folder, config, cluster, sketches):
        batches = cut_batches(genes, config.genes_per_task)
        return [extract_batch(genome_path, batch, str(folder), sketches) for batch in batches]

    monkeypatch.setattr(build_module, "extract", extract)


def files(folder=Path()):
    return {
        str(path): path.read_bytes() if path.is_file() else None
        for path in folder.rglob("*")
        if path.parts[0] != "cache"
    }


def refuse(call, *words, command=BUILD):
    before = files()
    code, out, err = call(*command)
    assert code == 2, (code, out, err)
    assert out == ""
    *logs, last = err.splitlines()
    assert last.startswith("error: "), err
    assert not any(line.startswith("error: ") for line in logs), err
    assert "Traceback" not in err
    assert ". " not in last
    for word in words:
        assert str(word) in last, f"{word!r} is not in: {last}"
    after = files()
    assert after == before, f"left behind or changed: {sorted(set(after) ^ set(before))}"
    assert not list(Path("cache").glob("tmp*")), "an index half-made"


def change(path, *pairs):
    text = Path(path).read_text()
    for old, new in pairs:
        assert old in text
        text = text.replace(old, new)
    Path(path).write_text(text)


def expression(content):
    return lambda toy: Path("in/expression.tsv").write_text(content)


def annotation(*pairs):
    return lambda toy: change("in/genes.gtf", *pairs)


def settings(**sections):
    return lambda toy: toy(**sections)


def truncated(name, key):
    """Compress an input and cut its end off."""

    def spoil(toy):
        path = Path("in", name)
        content = gzip.compress(path.read_bytes())
        path.with_name(f"{name}.gz").write_bytes(content[: len(content) // 2])
        path.unlink()
        value = f"in/{name}.gz"
        toy(build={"label": {"table": value}} if key == "table" else {key: value})

    return spoil


def remove(name):
    return lambda toy: Path("in", name).unlink()


def cache_is_a_file(toy):
    Path("cache").write_text("")


def another_build(toy):
    change("in/genes.gtf", ("31\t60\t", "131\t160\t"), ("31\t57\t", "131\t157\t"), ("58\t60\t", "158\t160\t"))


def extra(name, **values):
    return lambda toy: toy(build={"extra": [{"table": f"in/{name}", "columns": "name"} | values]})


SUFFIXED = [(f'gene_id "{gene}"', f'gene_id "{gene}.{number}"') for number, gene in enumerate("PMS", 1)]

CASES = {
    "an index that cannot be written": (cache_is_a_file, ["genome.fa", "cache folder", "RAYGENEX_CACHE"]),
    "a truncated genome": (truncated("genome.fa", "genome"), ["in/genome.fa.gz", "truncated"]),
    "a truncated annotation": (truncated("genes.gtf", "annotation"), ["in/genes.gtf.gz", "truncated"]),
    "a truncated table": (truncated("expression.tsv", "table"), ["in/expression.tsv.gz", "truncated"]),
    "an annotation of another build": (another_build, ["gene S", "base 160 of II", "100 bases", "one build"]),
    "versions on one side": (
        annotation(*SUFFIXED),
        ["P.1", "set build.strip_versions to true"],
    ),
    "a gene twice in the table": (expression(EXPRESSION + "M\tmm\t1\t2\n"), ["gene M", "rows 2 and 5"]),
    "a table of other genes": (expression("gene_id\ta\nX\t1\nY\t2\n"), ["(such as P)", "(such as X)"]),
    "an expression that is no number": (
        lambda toy: (expression(EXPRESSION.replace("10\t20", "high\t20"))(toy), toy(build={"label": {"columns": "a"}})),
        ["expression.tsv", "a of gene M (row 2)", "'high'"],
    ),
    "no number at all": (expression("gene_id\tname\nP\tx\nM\ty\n"), ["expression.tsv", "no numeric column"]),
    "a column that is not there": (settings(build={"label": {"columns": "fpkm"}}), ["no column fpkm", "name, a, b"]),
    "a column of ids that is not there": (settings(build={"label": {"gene_column": "id"}}), ["no column id"]),
    "a window of no base": (settings(build={"window": [5, 5]}), ["run.yaml", "build", "window [5, 5] holds no base"]),
    "a window that is the wrong way round": (settings(build={"window": [10, -10]}), ["holds no base"]),
    "windows that leave every chromosome": (
        settings(build={"window": [-110, 110]}),
        ["no gene of", "3 window leaves the chromosome"],
    ),
    "chr on one side": (
        annotation(("I\ttoy", "chrI\ttoy"), ("IchrI", "chrII")),
        ["chrI, chrII", "build.chromosome_names to strip_chr"],
    ),
    "no genome": (remove("genome.fa"), ["in/genome.fa"]),
    "no annotation": (remove("genes.gtf"), ["in/genes.gtf"]),
    "no table": (remove("expression.tsv"), ["in/expression.tsv"]),
    "no table of columns": (extra("life.tsv"), ["in/life.tsv"]),
    "no such column to add": (extra("expression.tsv", columns="age"), ["in/expression.tsv", "no column age"]),
    "a genome that is none": (lambda toy: Path("in/genome.fa").write_text("ACGT\n"), ["in/genome.fa is not FASTA"]),
    "an annotation that is none": (lambda toy: Path("in/genes.gtf").write_text("gene\tP\n"), ["in/genes.gtf"]),
    "a table that is none": (
        lambda toy: Path("in/expression.tsv").write_bytes(b"\xff\xfe\x00\x01"),
        ["in/expression.tsv"],
    ),
    "no build section": (
        lambda toy: Path("run.yaml").write_text("data: {train: out/train.h5}\n"),
        ["no build section"],
    ),
    "files of other names": (
        settings(data={"train": "out/train.h5", "valid": "out/v.h5"}),
        ["out/valid.h5", "data.valid is out/v.h5", "make them agree"],
    ),
    "a window longer than the promoters": (
        settings(data={"train": "out/train.h5", "valid": "out/valid.h5", "window": 500}),
        ["data.window is 500", "build.window makes promoters of"],
    ),
    "files in two folders": (
        settings(data={"train": "out/train.h5", "valid": "other/valid.h5"}),
        ["out/valid.h5", "data.valid is other/valid.h5"],
    ),
    "no place for the files": (settings(data={"valid": "out/valid.h5"}), ["data.train"]),
    "no split file": (settings(split={"rule": "file", "file": "in/split.tsv"}), ["in/split.tsv"]),
}


@pytest.mark.parametrize("case", CASES)
def test_bad_input_is_one_sentence_and_exit_2(case, raygenex, toy):
    spoil, words = CASES[case]
    spoil(toy)
    refuse(raygenex, *words)


# What is known only when the inputs are put together


def test_a_split_that_cannot_be_filled(raygenex, toy):
    toy(split={"rule": "chromosome"})
    refuse(raygenex, "2 chromosomes cannot fill 3 splits", "split.rule")


def test_a_chromosome_to_split_by_that_is_not_there(raygenex, toy):
    toy(split={"rule": "chromosome", "valid": "chr1"})
    refuse(raygenex, "split.valid names chromosome chr1", "there are I, II")


def test_a_split_file_of_other_genes(raygenex, toy):
    Path("in/split.tsv").write_text("gene_id\tsplit\nX\ttrain\n")
    toy(split={"rule": "file", "file": "in/split.tsv"})
    refuse(raygenex, "no gene of", "3 no split")


def test_groups_of_a_column_that_is_not_there(raygenex, toy):
    toy(split={"rule": "group", "column": "family"})
    refuse(raygenex, "split.column family", "none", "split.table")


@pytest.mark.parametrize(("threshold", "words"), [(100.0, "at or below"), (0.5, "above")])
def test_a_threshold_beyond_all_genes(raygenex, toy, threshold, words):
    toy(build={"label": {"threshold": threshold}})
    remedy = "set build.label.threshold to a number from 2 to below 15, or to median"
    refuse(raygenex, "all 3 genes", f"{words} the threshold {threshold:g}", "values from 2 to 15", remedy)


def test_a_median_that_nothing_is_above(raygenex, toy):
    expression("gene_id\ta\nP\t1\nM\t2\nS\t2\n")(toy)
    refuse(raygenex, "at or below the threshold 2", command=BUILD)
    _, _, err = raygenex(*BUILD)
    assert err.endswith(": set build.label.threshold to a number from 1 to below 2\n")
    expression("gene_id\ta\nP\t2\nM\t2\nS\t2\n")(toy)
    refuse(raygenex, "all 3 genes", "they have one value, so name other columns in build.label.columns")


def test_a_group_is_one_column(raygenex, toy):
    Path("in/families.tsv").write_text("gene_id\tf1\tf2\nP\tx\ty\nM\tz\tz\n")
    toy(split={"rule": "group", "table": "in/families.tsv", "column": "f*"})
    refuse(raygenex, "split.column f* is f1, f2 in in/families.tsv", "name one column")


# What is found out only when genes are cut


def test_a_letter_that_is_no_base(raygenex, toy, no_cluster):
    change("in/genome.fa", ("CCCCCCCC", "CCC!CCCC"))
    refuse(raygenex, "genome.fa", "chromosome II", "'!'")


def many_genes(shift, count=30):
    """Write a genome of single-exon genes, and an annotation that says they lie ``shift`` bases further."""
    rng = np.random.default_rng(0)
    bases, gtf, table = "ACGT" * 10, "", "gene_id\tv\n"
    for number in range(count):
        start = len(bases) + 1 + shift
        body = "".join(rng.choice(list("ACGT"), 54))
        bases += f"ATG{body}TAA" + "ACGT" * 10
        attributes = f'gene_id "G{number}"; transcript_id "T{number}"; gene_biotype "protein_coding";'
        for kind in ("transcript", "exon", "CDS"):
            gtf += f"I\ttoy\t{kind}\t{start}\t{start + 59}\t.\t+\t.\t{attributes}\n"
        table += f"G{number}\t{number}\n"
    Path("in/genome.fa").write_text(f">I\n{bases}\n")
    Path("in/genes.gtf").write_text(gtf)
    Path("in/expression.tsv").write_text(table)


def test_coding_sequences_of_another_genome(raygenex, toy, no_cluster):
    many_genes(shift=7)
    refuse(raygenex, "only 0 % of the coding sequences", "genes.gtf", "start with ATG", "genome.fa", "one build")
    many_genes(shift=0)
    assert raygenex(*BUILD)[0] == 0
    assert json.loads(Path("out/build.json").read_text())["start_codons"] == 1


# Where it is written


def test_a_folder_that_is_a_file(raygenex, toy, no_cluster):
    Path("out").write_text("mine")
    for command in (BUILD, (*BUILD, "--dry-run")):
        refuse(raygenex, "out is a file where the folder of a data set goes", command=command)


def test_a_folder_below_a_file(raygenex, toy, no_cluster):
    Path("out").write_text("mine")
    toy(data={"train": "out/deep/train.h5"})
    refuse(raygenex, "out is a file where the folder of a data set goes", "name another folder")


@pytest.mark.parametrize("options", [("--force",), ("--force", "--dry-run")])
def test_a_file_that_is_a_folder(raygenex, toy, no_cluster, options):
    Path("out/valid.h5").mkdir(parents=True)
    refuse(raygenex, "out/valid.h5 is a folder where a file of a data set goes", command=(*BUILD, *options))


@pytest.mark.parametrize("there", ["train.h5", "test.h5", "genes.tsv", "split.tsv", "build.json"])
def test_a_folder_that_holds_something_else(raygenex, toy, no_cluster, there):
    Path("out").mkdir()
    Path("out", there).write_text("mine")
    refuse(raygenex, "out holds", there, "--force", "another folder")
    refuse(raygenex, "out holds", there, "--force", command=(*BUILD, "--dry-run"))
    assert raygenex(*BUILD, "--force")[0] == 0


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"settings": null}', "\x00"])
def test_a_damaged_manifest_is_no_data_set(raygenex, toy, no_cluster, content):
    Path("out").mkdir()
    Path("out/build.json").write_text(content)
    refuse(raygenex, "out holds build.json", "--force")


def test_other_files_in_the_folder_stay(raygenex, toy, no_cluster):
    Path("out").mkdir()
    Path("out/notes.txt").write_text("mine")
    change("in/genome.fa", ("CCCCCCCC", "CCC!CCCC"))
    refuse(raygenex, "chromosome II")
    change("in/genome.fa", ("CCC!CCCC", "CCCCCCCC"))
    assert raygenex(*BUILD)[0] == 0
    assert Path("out/notes.txt").read_text() == "mine"


# What a dry run says


def test_a_dry_run_says_the_plan_and_writes_nothing(raygenex, toy):
    before = files()
    code, out, err = raygenex(*BUILD, "--dry-run")
    assert code == 0
    assert err.endswith(" split by random: train 1 (33.3%), valid 1 (33.3%), test 1 (33.3%) of 3 genes\n")
    plan = (
        "build: 3 genes of in/genes.gtf into out, split by random (1 genes stay out); "
        "expression: the median of 2 columns (a, b)"
    )
    assert out == f"{plan}\n"
    code, out, _ = raygenex(*BUILD, "--dry-run", "--json")
    assert json.loads(out)["steps"] == [plan]
    assert files() == before


def test_a_dry_run_refuses_what_the_build_would(raygenex, toy):
    dry = (*BUILD, "--dry-run")
    toy(split={"rule": "chromosome", "valid": "chr1"})
    refuse(raygenex, "split.valid names chromosome chr1", command=dry)
    toy(build={"label": {"threshold": 100}})
    refuse(raygenex, "threshold 100", command=dry)
    Path("in/expression.tsv").write_text(EXPRESSION + "M\tmm\t1\t2\n")
    refuse(raygenex, "gene M", command=dry)


def test_a_dry_run_of_what_is_there(raygenex, toy, no_cluster):
    assert raygenex(*BUILD)[0] == 0
    before = files()
    assert raygenex(*BUILD, "--dry-run")[1] == "build: reuse the data set in out\n"
    toy(build={"window": [-5, 5]})
    changed = files()
    code, _, err = raygenex(*BUILD, "--dry-run")
    assert code == 2
    assert "--force" in err
    out = raygenex(*BUILD, "--dry-run", "--force")[1]
    assert out.startswith("build: 3 genes")
    assert files() == changed
    assert {path for path in changed if changed[path] != before.get(path)} == {"run.yaml"}


def test_a_dry_run_of_everything_begins_with_the_build(raygenex, toy):
    before = files()
    code, out, _ = raygenex("run", "run.yaml", "--dry-run")
    assert code == 0
    assert [line.split(":")[0] for line in out.splitlines()] == ["build", "check", "train", "evaluate", "register"]
    assert files() == before


def test_what_was_built_is_said(raygenex, toy, no_cluster):
    code, out, err = raygenex(*BUILD)
    assert code == 0
    assert out == (
        "data: built train 1 (0 % high), valid 1 (100 % high), test 1 (0 % high) in out; high is above 6\n"
        "expression: the median of 2 columns (a, b)\n"
        "left out: 1 genes (1 biotype tRNA), each listed in genes.tsv\n"
    )
    assert "error" not in err
    assert raygenex(*BUILD)[1].startswith("data: reusing train 1")
    assert json.loads(raygenex(*BUILD, "--json")[1])["reused"] is True
