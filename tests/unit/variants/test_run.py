"""Variants of the toy genome, every expected window written down by hand."""

import csv
import errno
import gzip
import json
import math
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from toy_genome import CHROM_I, GTF, write_toy_genome
from toy_models import columns, save_toy, sentence, small_config
from toy_variants import REFERENCE, logit_of, save_toy_model, write_genes

from raygenex.config.load import parse_config
from raygenex.data.genome import GenomeReader, open_genome
from raygenex.data.hdf5.write import PromoterWriter
from raygenex.embed.hyenadna.model import random_hyenadna
from raygenex.embed.hyenadna.weights import save_backbone, weights_sha256
from raygenex.errors import CheckpointError, ConfigError, DataError
from raygenex.models.receptive_field import whole_pass
from raygenex.predict.predictor import Predictor
from raygenex.sequence import from_string, to_string
from raygenex.train.checkpoint import BACKBONE, InputInfo
from raygenex.variants import run as variants_run
from raygenex.variants.nearby import NearbyLogits
from raygenex.variants.run import plan_variants, variants

HEADER = "##fileformat=VCFv4.2\n#CHROM\tPOS\tID\tREF\tALT\tQUAL\tFILTER\tINFO\n"

# Line, then per gene: the window with the variant, its position and kind.
LINES = [
    ("chrI\t21\tsnvP\tG\tA", "P", "ACGTAGGG", 0, "snv"),
    # Base 190 is the TSS of M: on its strand C becomes T.
    ("chrI\t190\tsnvM\tG\tA", "M", "ACGTTCCC", 0, "snv"),
    ("chrI\t18\tinsUp\tC\tCTT", "P", "TTGTGGGG", -2, "insertion"),
    ("chrI\t22\tinsDown\tG\tGA", "P", "ACGTGGAG", 2, "insertion"),
    ("chrI\t18\tdelUp\tCG\tC", "P", "TACTGGGG", -2, "deletion"),
    # GGGGC between the TSS and the sixth base: CAA comes in.
    ("chrI\t21\tdelDown\tGGGGGC\tG", "P", "ACGTGCAA", 1, "deletion"),
    # One G of five, the last one named: moved to the TSS, and the window stays as it is.
    ("chrI\t24\tdelRun\tGG\tG", "P", "ACGTGGGG", 0, "deletion"),
    # GTG of CGTGGGG: the TSS goes, the base behind it takes its place.
    ("chrI\t18\tdelTss\tCGTG\tC", "P", "GTACGGGG", -2, "deletion"),
    # Padding on both sides, and lower case.
    ("chrI\t19\tpadded\tgtg\tgcg", "P", "ACGCGGGG", -1, "snv"),
    ("chrI\t19\tmnv\tGT\tCA", "P", "ACCAGGGG", -2, "mnv"),
    # Two bases become three: the window's first base goes.
    ("chrI\t19\tdelins\tGT\tCAA", "P", "CCAAGGGG", -2, "delins"),
    # M reads to the left: base 192 is two upstream of its TSS.
    ("chrI\t191\tdelUpM\tAC\tA", "M", "TACTCCCC", -2, "deletion"),
    ("chrI\t188\tinsDownM\tG\tGT", "M", "ACGTCCAC", 2, "insertion"),
    ("chrII\t34\t.\tC\tG", "S", "GTACATGG", 3, "snv"),
    ("chrII\t28\ttwo\tT\tC,G", "S", "GCACATGC", -3, "snv"),
    (None, "S", "GGACATGC", -3, "snv"),
]
OTHERS = """\
chrI\t21\twrong\tT\tA
chrII\t35\toutside\tC\tG
chrII\t30\tskipped\tC\t*,<DEL>,.,G]chrI:7],A
chrII\t31\tmissing\tA\t.
chrUn\t1\tunknown\tA\tC
chrII\t100\tbeyond\tTTT\tT
chrII\t31\tsame\tA\ta
"""


@pytest.fixture
def toy(tmp_path, monkeypatch):
    """Everything that scoring needs, and a function that runs it."""
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def draw_nothing(position, delta, first, stop, path, target=None):
        assert len(position) == len(delta) > 0
        assert (first, stop) == (-4, 4)
        for suffix in (".svg", ".png"):
            path.with_suffix(suffix).touch()

    # Drawing takes a second; the plot has tests of its own.
    monkeypatch.setattr("raygenex.variants.figures.write_effects", draw_nothing)
    paths = write_toy_genome(tmp_path)
    paths["model"] = save_toy_model(tmp_path / "model")
    paths["genes"] = write_genes(tmp_path / "genes.h5")
    paths["output"] = str(tmp_path / "runs")

    class Toy:
        folder = tmp_path

        def config(self, **changes):
            values = {"genome": paths["genome"], "genes": paths["genes"], "batch_size": 3, "rows_per_task": 4}
            return parse_config({"output": paths["output"], "variants": values | changes}, "test")

        def write(self, text, name="v.vcf"):
            path = tmp_path / name
            path.write_bytes(gzip.compress(text.encode()) if name.endswith("gz") else text.encode())
            return str(path)

        def run(self, text, name="v.vcf", output="out.parquet", **changes):
            target = str(tmp_path / output)
            return variants(self.config(**changes), self.write(text, name), paths["model"], target, force=True)

        def rows(self, text, name="v.vcf", **changes):
            return pd.read_parquet(self.run(text, name, **changes).output)

    Toy.paths = paths
    return Toy()


def vcf():
    return HEADER + "".join(f"{line[0]}\t.\tPASS\t.\n" for line in LINES if line[0]) + OTHERS


def expected_rows():
    rows, fields = [], []
    for line, gene, window, position, kind in LINES:
        first = line is not None
        fields = line.split("\t") if first else fields
        chrom, pos, name, ref, alt = fields
        alt = alt.split(",")[0 if first else 1]
        name = name if name != "." else f"{chrom}:{pos}:{ref}:{alt}"
        rows.append((name, chrom, int(pos), ref, alt, gene, position, kind, window))
    # The one allele of five in OTHERS that is a base.
    return [*rows, ("skipped", "chrII", 30, "C", "A", "S", -1, "snv", "GTAAATGC")]


def test_the_toys_windows_are_those_of_its_genome(toy):
    with GenomeReader(open_genome(toy.paths["genome"])) as reader:
        for gene, (chrom, tss, strand) in {"P": ("I", 21, "+"), "M": ("I", 190, "-"), "S": ("II", 31, "+")}.items():
            assert to_string(reader.window(chrom, tss, strand, -4, 4)) == REFERENCE[gene]


def test_every_row_by_hand(toy, caplog):
    result = toy.run(vcf())
    table = pd.read_parquet(result.output)
    assert len(table) == len(LINES) + 2 == result.effects == 18
    good = table[table.ref_match].reset_index(drop=True)
    strands = {"P": "+", "M": "-", "S": "+"}
    for row, wanted in zip(good.itertuples(), expected_rows(), strict=True):
        name, chrom, pos, ref, alt, gene, position, kind, window = wanted
        assert (row.variant_id, row.chrom, row.pos, row.ref, row.alt) == (name, chrom, pos, ref, alt)
        assert (row.gene_id, row.strand, row.position, row.kind) == (gene, strands[gene], position, kind), name
        before, after = logit_of(REFERENCE[gene]), logit_of(window)
        assert row.logit_ref == before, name
        assert row.logit_alt == after, name
        assert row.delta_logit == after - before
        assert row.probability_alt == pytest.approx(1 / (1 + math.exp(-after)), rel=1e-12)
        assert row.delta_probability == pytest.approx(row.probability_alt - row.probability_ref, abs=1e-15)
        assert (row.prediction_ref, row.prediction_alt) == (int(before >= 0), int(after >= 0))
    notes = dict(zip(good.variant_id, good.note, strict=True))
    assert notes["delRun"] == "left-aligned by 3 bases; replaces the TSS"
    assert notes["snvP"] == notes["delTss"] == "replaces the TSS"
    assert notes["delUp"] == ""
    wrong = table[~table.ref_match].iloc[0]
    assert (wrong.variant_id, wrong.gene_id, wrong.note) == ("wrong", "P", "the genome has G there; replaces the TSS")
    assert wrong.logit_ref == logit_of(REFERENCE["P"])
    assert np.isnan([wrong.logit_alt, wrong.delta_logit, wrong.probability_alt, wrong.delta_probability]).all()
    assert pd.isna(wrong.prediction_alt)
    assert "1 of the 18 alleles in a window have a REF that is not in" in caplog.text
    assert "one build" not in caplog.text
    assert "has variants on chrUn, which" in caplog.text
    assert "v.vcf: 8 of 27 alleles are skipped (2 no ALT, 1 ALT * (deleted by another variant), " in caplog.text


def test_every_allele_is_accounted_for(toy):
    result = toy.run(vcf())
    assert result.records == 22
    assert result.alleles == 27
    assert (result.outside, result.mismatched, result.genes, result.known_genes) == (1, 1, 3, 3)
    assert result.skipped == {
        "no ALT": 2,
        "ALT * (deleted by another variant)": 1,
        "symbolic ALT": 1,
        "breakend ALT": 1,
        "chromosome not in the genome": 1,
        "beyond the end of the chromosome": 1,
        "ALT is REF": 1,
    }
    with open(result.skipped_file, encoding="utf-8") as file:
        listed = list(csv.DictReader(file, delimiter="\t"))
    assert len(listed) == sum(result.skipped.values()) == 8
    assert listed[0]["reason"] == "ALT * (deleted by another variant)"
    assert listed[0]["line"] == "20"
    assert result.alleles == result.effects + result.outside + 8


# Where genes come from


def test_an_annotation_gives_the_same_rows(toy):
    from_files = toy.rows(vcf())
    from_annotation = toy.rows(vcf(), genes=(), annotation=toy.paths["annotation"])
    pd.testing.assert_frame_equal(from_files, from_annotation)
    assert 'gene_id "R"' in GTF
    assert "R" not in set(from_annotation.gene_id)


def test_the_build_section_gives_genome_rules_and_window(toy):
    label = {"table": toy.paths["expression"], "columns": ["a"]}
    build = {"genome": toy.paths["genome"], "annotation": toy.paths["annotation"], "label": label, "window": [-6, 6]}
    values = {
        "output": toy.paths["output"],
        "build": build | {"chromosomes": "II"},
        "variants": {"annotation": toy.paths["annotation"]},
    }
    config = parse_config(values, "test")
    result = variants(config, toy.write(vcf()), toy.paths["model"], str(toy.folder / "a.csv"))
    table = pd.read_csv(result.output)
    assert result.known_genes == 1
    assert set(table.gene_id) == {"S"}
    # The middle of -6 to 6 is -4 to 4, as data.window crops it.
    assert set(table.logit_ref) == {logit_of(REFERENCE["S"])}


def test_the_data_of_the_run_are_the_genes_by_default(toy):
    values = {"data": {"valid": toy.paths["genes"]}, "variants": {"genome": toy.paths["genome"]}}
    config = parse_config(values | {"output": toy.paths["output"]}, "test")
    assert variants(config, toy.write(vcf()), toy.paths["model"], str(toy.folder / "a.tsv")).effects == 18


def test_two_files_of_genes_are_one_set(toy):
    files = [write_genes(toy.folder / "a.h5", "PM"), write_genes(toy.folder / "b.h5", "S")]
    pd.testing.assert_frame_equal(toy.rows(vcf(), genes=files), toy.rows(vcf()))
    with pytest.raises(DataError) as info:
        toy.run(vcf(), genes=[files[0], toy.paths["genes"]])
    sentence(info, "gene P is in", files[0], toy.paths["genes"])


def test_another_genome_is_noticed(toy):
    other = write_genes(toy.folder / "other.h5", "PS", REFERENCE | {"S": "GTACAAAA"})
    with pytest.raises(DataError) as info:
        toy.run(vcf(), genes=other)
    sentence(info, "the promoter of gene S in", other, "differs from", toy.paths["genome"], "3 of 8 bases")


def test_files_without_places_are_refused(toy):
    found = columns(3, 8)
    for scale, words in (
        ("log10", "does not say where its genes lie"),
        ("z-score", "trained on lengths that are log10"),
    ):
        path = toy.folder / f"{scale}.h5"
        with PromoterWriter(path, 8, attrs={"halflife_scale": scale}) as writer:
            writer.append(found["gene_id"], found["sequence"], found["halflife"], None)
        with pytest.raises(DataError) as info:
            toy.run(vcf(), genes=str(path))
        sentence(info, path, words)


# Files of variants


def test_names_of_chromosomes_may_have_chr_or_not(toy):
    plain = toy.rows(vcf().replace("chr", ""))
    with_prefix = toy.rows(vcf())
    for column in ("gene_id", "pos", "position", "logit_ref", "logit_alt"):
        assert plain[column].equals(with_prefix[column])
    assert plain.chrom[0] == "I"


def test_chromosomes_of_another_genome_are_refused_by_an_example_of_each(toy):
    with pytest.raises(DataError) as info:
        toy.run(HEADER + "chr1\t21\t.\tG\tA\n7\t1\t.\tA\tC\n")
    sentence(info, "names chromosomes such as chr1", "such as I,", "one build")
    assert not (toy.folder / "out.parquet").exists()


@pytest.mark.parametrize("name", ["v.vcf.gz", "v.tsv", "v.csv"])
def test_other_formats_give_the_same_rows(toy, name):
    wanted = toy.rows(vcf())
    text = vcf()
    if not name.endswith("gz"):
        lines = [line.split("\t")[:5] for line in text.splitlines() if not line.startswith("#")]
        separator = "\t" if name == "v.tsv" else ","
        order = [4, 2, 0, 1, 3]
        table = [["alt", "id", "chrom", "pos", "ref"], *([line[at] for at in order] for line in lines)]
        quoted = [[f'"{value}"' if separator in value else value for value in line] for line in table]
        text = "".join(separator.join(line) + "\n" for line in quoted)
    pd.testing.assert_frame_equal(toy.rows(text, name), wanted)


def test_outputs_of_text_hold_the_same_numbers(toy):
    wanted = toy.rows(vcf())
    for output, separator in (("a.csv", ","), ("a.tsv", "\t")):
        found = pd.read_csv(toy.run(vcf(), output=output).output, sep=separator, keep_default_na=False, dtype=str)
        assert list(found) == list(wanted)
        assert found.ref_match.tolist() == ["true" if value else "false" for value in wanted.ref_match]
        assert [float(value) if value else None for value in found.delta_logit] == [
            None if np.isnan(value) else value for value in wanted.delta_logit
        ]
        assert found.prediction_alt.tolist().count("") == 1


def test_no_variant_in_a_window_is_an_empty_table(toy):
    result = toy.run(HEADER + "chrI\t100\t.\tA\tC\n".replace("100\t.\tA", "101\t.\tA"))
    assert (result.effects, result.outside, result.figure, result.skipped_file) == (0, 1, None, None)
    table = pd.read_parquet(result.output)
    assert len(table) == 0
    assert table.columns[0] == "variant_id"


def test_a_wrong_reference_in_two_genes_is_two_rows_without_effect(toy, monkeypatch):
    monkeypatch.setattr("raygenex.variants.figures.write_effects", lambda *arguments: None)
    # Both windows of bases -100 to 99 hold base 101.
    model = save_toy_model(toy.folder / "wide", window=200)
    config = toy.config(genes=(), annotation=toy.paths["annotation"])
    path = toy.write(HEADER + "I\t101\ta\tC\tG\nI\t21\tb\tG\tC\n")
    result = variants(config, path, model, str(toy.folder / "a.parquet"))
    assert (result.effects, result.mismatched) == (3, 1)
    table = pd.read_parquet(result.output)
    assert table.gene_id.tolist() == ["P", "M", "P"]
    assert table.delta_logit.isna().tolist() == [True, True, False]


def test_long_alleles_are_skipped(toy):
    result = toy.run(vcf(), max_length=2)
    assert result.skipped["longer than 2 bases"] == 3
    assert result.effects == 15


def test_unknown_bases_of_the_genome_are_no_match(toy):
    # Bases 131 to 150 hold two N of M's last exon: TTTTTTTNNC.
    fasta = toy.folder / "genome.fa"
    at = fasta.read_text().replace("\n", "").removeprefix(">I toy").index("NN") + 1
    genes = toy.folder / "n.h5"
    with PromoterWriter(genes, 8, attrs={"halflife_scale": "log10", "window_first": -4}) as writer:
        with GenomeReader(open_genome(str(fasta))) as reader:
            window = reader.window("I", at, "+", -4, 4)
        assert to_string(window)[4:6] == "NN"
        places = {"chrom": np.array(["I"], object), "tss": np.array([at]), "strand": np.array(["+"], object)}
        writer.append(["X"], window[None], np.zeros((1, 8)), None, places)
    table = toy.rows(HEADER + f"I\t{at}\ta\tA\tC\nI\t{at}\tb\tN\tC\n", genes=str(genes))
    assert table.ref_match.tolist() == [False, True]
    assert table.note.tolist() == [
        "the genome has unknown bases there; replaces the TSS",
        "replaces the TSS",
    ]
    assert table.logit_alt[1] == logit_of(to_string(window)[:4] + "C" + to_string(window)[5:])


# Work


@pytest.mark.parametrize("changes", [{"batch_size": 1}, {"batch_size": 64, "rows_per_task": 1}, {"rows_per_task": 99}])
def test_rows_do_not_depend_on_how_the_work_is_cut(toy, changes):
    pd.testing.assert_frame_equal(toy.rows(vcf(), **changes), toy.rows(vcf()))


def test_references_are_scored_once_a_gene(toy, monkeypatch):
    scored = []
    plain = Predictor.logits
    monkeypatch.setattr(Predictor, "logits", lambda self, *inputs: scored.extend(inputs[0]) or plain(self, *inputs))
    result = toy.run(vcf())
    assert len(scored) == 3 + result.effects - result.mismatched


def test_a_model_of_embeddings_reads_the_same_windows(toy):
    backbone = random_hyenadna(8, 1, 10, seed=3).eval()
    inputs = InputInfo(kind="embedding", length=1, channels=8, window=8, halflife_scale="log10")
    folder = toy.folder / "embedding"
    config = small_config(embed={"dtype": "float32"})
    save_toy(folder, config, inputs, backbone_sha256=weights_sha256(backbone))
    save_backbone(backbone, folder / BACKBONE)
    result = variants(toy.config(), toy.write(vcf()), str(folder), str(toy.folder / "a.parquet"))
    table = pd.read_parquet(result.output)
    good = table[table.ref_match].reset_index(drop=True)
    windows = np.stack([from_string(row[-1]) for row in expected_rows()])
    wanted = Predictor(folder).logits(windows, np.zeros((len(windows), 8), np.float32))
    np.testing.assert_allclose(good.logit_alt, wanted, rtol=1e-5)
    assert good.delta_logit.abs().max() > 1e-4
    # The window stays as it is.
    assert good.set_index("variant_id").delta_logit["delRun"] == pytest.approx(0, abs=1e-6)


def save_cnn(folder, window):
    """Write a CNN of bases whose parts an SNV reaches are few."""
    inputs = InputInfo(kind="bases", length=window, channels=4, window=window, halflife_scale="log10")
    model = {"width": 6, "channels": [5, 4], "stem_kernel": 5, "pool": 4, "dense": [6]}
    return save_toy(folder, small_config(model=model), inputs)


@pytest.mark.parametrize(
    "changes", [{}, {"batch_size": 64, "rows_per_task": 99}, {"batch_size": 1, "rows_per_task": 1}]
)
@pytest.mark.parametrize("reverse", [False, True])
def test_a_cnn_of_bases_gives_the_logits_of_whole_passes(toy, monkeypatch, changes, reverse):
    monkeypatch.setattr("raygenex.variants.figures.write_effects", lambda *arguments: None)
    lines = [line for line in vcf().removeprefix(HEADER).splitlines() if "DEL" not in line]
    text = HEADER + "".join(f"{line}\n" for line in (reversed(lines) if reverse else lines))
    # Long beside what an SNV reaches.
    save_cnn(toy.folder / "cnn", 200)
    config = toy.config(genes=(), annotation=toy.paths["annotation"], **changes)
    path, target = toy.write(text), str(toy.folder / "a.parquet")
    found = pd.read_parquet(variants(config, path, str(toy.folder / "cnn"), target).output)
    monkeypatch.setattr("raygenex.variants.scoring.nearby_logits", lambda predictor: None)
    wanted = pd.read_parquet(variants(config, path, str(toy.folder / "cnn"), target, force=True).output)
    pd.testing.assert_frame_equal(found, wanted, rtol=0, atol=1e-6)
    assert set(found.kind) == {"snv", "mnv", "insertion", "deletion", "delins"}
    assert set(found.strand) == {"+", "-"}
    assert (found.groupby("gene_id").logit_ref.nunique() == 1).all()
    assert len(found) == 18
    assert found.delta_logit.abs().max() > 1e-4


def test_a_gene_passes_once_through_a_cnn_for_all_its_variants(toy, monkeypatch):
    monkeypatch.setattr("raygenex.variants.figures.write_effects", lambda *arguments: None)
    passed = []
    monkeypatch.setattr(
        "raygenex.variants.nearby.whole_pass",
        lambda model, codes, halflife: passed.append(len(codes)) or whole_pass(model, codes, halflife),
    )
    save_cnn(toy.folder / "cnn", 200)
    config = toy.config(genes=(), annotation=toy.paths["annotation"], rows_per_task=200, batch_size=64)
    lines = "".join(
        f"chrI\t{pos}\t.\t{CHROM_I[pos - 1]}\t{'ACGT'['CGTA'.find(CHROM_I[pos - 1])]}\n" for pos in range(91, 121)
    )
    result = variants(config, toy.write(HEADER + lines), str(toy.folder / "cnn"), str(toy.folder / "a.parquet"))
    assert (result.effects, result.genes) == (60, 2)
    assert sum(passed) == 2


def test_what_is_held_of_genes_and_windows_is_bounded(toy, monkeypatch):
    monkeypatch.setattr("raygenex.variants.figures.write_effects", lambda *arguments: None)
    held = []
    plain = NearbyLogits.logits

    def watched(self, windows, halflife, of, changed):
        held.append((len(windows), len(changed)))
        return plain(self, windows, halflife, of, changed)

    monkeypatch.setattr(NearbyLogits, "logits", watched)
    save_cnn(toy.folder / "cnn", 200)
    path, target = toy.write(vcf()), str(toy.folder / "a.parquet")
    tables = []
    for kept, rows in ((2**23, 2**21), (1, 2**21), (2**23, 1)):
        monkeypatch.setattr("raygenex.variants.nearby._KEPT", kept)
        monkeypatch.setattr("raygenex.variants.nearby._HELD", rows)
        held.clear()
        config = toy.config(genes=(), annotation=toy.paths["annotation"], rows_per_task=99, batch_size=2)
        tables.append(pd.read_parquet(variants(config, path, str(toy.folder / "cnn"), target, force=True).output))
        # 18 effects with a fitting REF and 3 references.
        assert sum(changed for _, changed in held) == 21
        assert max(windows for windows, _ in held) == (2 if kept == 1 or rows == 1 else 3)
        assert max(changed for _, changed in held) <= (2 if rows == 1 else 21)
        pd.testing.assert_frame_equal(tables[-1], tables[0], rtol=0, atol=1e-6)


def test_nothing_is_left_behind(toy):
    before = {path.name for path in toy.folder.iterdir()}
    toy.run(vcf())
    assert {path.name for path in toy.folder.iterdir()} - before == {
        *("out.parquet", "out.svg", "out.png", "out.skipped.tsv", "v.vcf", "cache")
    }
    with pytest.raises(DataError):
        toy.run(vcf() + "chrI\tx\t.\tA\tC\n", output="other.csv")
    assert not any(path.name.startswith((".", "other", "runs")) for path in toy.folder.iterdir())
    # A later run without skipped alleles takes the list away.
    toy.run(HEADER + "chrI\t21\t.\tG\tA\n")
    assert not (toy.folder / "out.skipped.tsv").exists()


# What is refused


@pytest.mark.parametrize(
    ("output", "words"),
    [("a.xlsx", ["must end in .parquet, .csv or .tsv"]), ("none/a.csv", ["does not exist: make it first"])],
)
def test_outputs_that_cannot_be(toy, output, words):
    with pytest.raises(ConfigError) as info:
        toy.run(vcf(), output=output)
    sentence(info, output, *words)


@pytest.mark.parametrize("name", ["out.parquet", "out.svg", "out.png", "out.skipped.tsv"])
def test_a_folder_where_an_output_goes_is_refused_before_the_work(toy, monkeypatch, name):
    (toy.folder / name).mkdir()
    monkeypatch.setattr("raygenex.variants.run.Predictor", None)
    with pytest.raises(ConfigError) as info:
        toy.run(vcf())
    sentence(info, f"{name} is a folder where a file of output", "out.parquet goes: name another output")


def test_an_output_is_replaced_by_force_alone(toy):
    toy.run(vcf())
    config, path = toy.config(), toy.write(vcf())
    with pytest.raises(ConfigError) as info:
        variants(config, path, toy.paths["model"], str(toy.folder / "out.parquet"))
    sentence(info, "out.parquet exists: pass --force")
    with pytest.raises(ConfigError, match=r"out\.svg exists"):
        variants(config, path, toy.paths["model"], str(toy.folder / "out.csv"))


def test_the_variants_themselves_are_never_replaced(toy):
    text = "chrom\tpos\tref\talt\nI\t21\tG\tA\n"
    with pytest.raises(ConfigError) as info:
        toy.run(text, "v.tsv", output="v.tsv")
    sentence(info, "v.tsv is the file of variants itself")
    assert (toy.folder / "v.tsv").read_text() == text


def test_a_model_without_dna_is_refused(toy):
    inputs = InputInfo(kind="bases", length=8, channels=4, window=8)
    save_toy(toy.folder / "only", small_config(model={"kind": "cnn_halflife_only"}), inputs)
    with pytest.raises(ConfigError, match="reads no DNA"):
        variants(toy.config(), toy.write(vcf()), str(toy.folder / "only"), str(toy.folder / "a.csv"))
    with pytest.raises(CheckpointError):
        variants(toy.config(), toy.write(vcf()), str(toy.folder / "none"), str(toy.folder / "a.csv"))


def test_what_is_missing_is_said(toy):
    with pytest.raises(ConfigError, match=r"variants\.genome is not set"):
        toy.run(vcf(), genome=None)
    with pytest.raises(DataError, match="no genes to score variants against"):
        toy.run(vcf(), genes=())
    with pytest.raises(ConfigError, match="genes and annotation both say"):
        toy.config(annotation="a.gtf")


# The command line


def test_the_command(toy, raygenex):
    import yaml

    path = toy.folder / "run.yaml"
    path.write_text(yaml.safe_dump({"output": toy.paths["output"], "variants": {"genome": toy.paths["genome"]}}))
    words = ["variants", toy.paths["model"], str(path), toy.write(vcf()), "--output", str(toy.folder / "out.tsv")]
    words += ["-o", f"variants.genes={toy.paths['genes']}"]
    code, out, _ = raygenex(*words, "--dry-run")
    assert code == 0
    assert "bases -4 to +3 from the TSS, in" in out
    assert not (toy.folder / "out.tsv").exists()
    code, out, _ = raygenex(*words, "--json")
    assert code == 0
    values = json.loads(out.strip().splitlines()[-1])
    assert (values["effects"], values["outside"], values["skipped"]["no ALT"]) == (18, 1, 2)
    assert (values["window"], values["window_first"], values["window_first_assumed"]) == (8, -4, False)
    code, out, _ = raygenex(*words, "--force")
    assert code == 0
    assert "variants: 18 effects on 3 of 3 genes in" in out
    assert "windows: bases -4 to +3 from the TSS\n" in out
    assert "skipped: 8 alleles (2 no ALT, " in out
    code, _, err = raygenex("variants", toy.paths["model"], *words[1:])
    assert code == ConfigError.exit_code
    assert "is more than one model: give one" in err


def test_an_assumed_window_is_said(toy):
    note = "bases -4 to +3 from the TSS (assumed to be centred: set variants.window_first)"
    config, path = toy.config(genes=(), annotation=toy.paths["annotation"]), toy.write(vcf())
    target = str(toy.folder / "a.csv")
    assert f", {note}, in" in plan_variants(config, path, toy.paths["model"], target, False)
    result = variants(config, path, toy.paths["model"], target)
    assert f"windows: {note}\n" in result.text()


BEYOND = "".join(f"chrI\t{pos}\tv{pos}\tG\tA\n" for pos in range(500, 540))
OUTSIDE = "".join(f"chrI\t{pos}\tv{pos}\tG\tA\n" for pos in range(60, 100))


@pytest.mark.parametrize(
    ("lines", "words"),
    [
        (BEYOND, ["none of its 40 alleles can be scored", "40 beyond the end", "line 3 (chrI:500 G A)", "one build"]),
        (
            BEYOND + "chrUn\t5\t.\tA\tC,G\n",
            ["42 alleles", "(40 beyond the end of the chromosome, 2 chromosome not in the genome)"],
        ),
        ("chrI\t21\t.\tG\t<DEL>,*\n", ["none of its 2 alleles", "line 3 (chrI:21 G <DEL>)", "letters of DNA"]),
        (
            OUTSIDE + BEYOND + "chrI\t21\t.\tT\tA\nchrI\t22\t.\tC\tA\n",
            ["none of its 2 alleles in a window has the REF of", "line 83 with T, where it has G", "one build"],
        ),
    ],
)
@pytest.mark.parametrize("plan", [False, True])
def test_a_file_of_nothing_but_misfits_is_refused(toy, lines, words, plan):
    before = set(toy.folder.iterdir())
    arguments = toy.config(), toy.write(HEADER + lines), toy.paths["model"], str(toy.folder / "out.parquet"), False
    with pytest.raises(DataError) as info:
        (plan_variants if plan else variants)(*arguments)
    sentence(info, "v.vcf", *words)
    assert set(toy.folder.iterdir()) - before <= {toy.folder / "v.vcf", toy.folder / "cache"}


@pytest.mark.parametrize("share", [0.05, 0.2])
def test_a_share_of_misfits_is_a_warning(toy, caplog, share):
    wrong = int(share * 80)
    lines = [f"chrI\t{pos}\t.\t{'GA'[number < wrong]}\tC\n" for number, pos in enumerate([21] * 80)]
    lines += ["chrI\t500\t.\tG\tA\n"] * int(share * 100)
    result = toy.run(HEADER + "".join(lines))
    assert (result.mismatched, sum(result.skipped.values())) == (wrong, int(share * 100))
    assert f"{wrong} of the 80 alleles in a window have a REF that is not in" in caplog.text
    assert ("their rows have no effect; use variants and a genome of one build" in caplog.text) is (share > 0.1)
    assert ("alleles are skipped (20 beyond the end of the chromosome)" in caplog.text) is (share > 0.1)


def test_the_plan_counts_what_the_run_will_find(toy):
    target = str(toy.folder / "out.parquet")
    plan = plan_variants(toy.config(), toy.write(vcf()), toy.paths["model"], target, False).splitlines()
    result = toy.run(vcf())
    said = [line for line in result.text().splitlines() if line.startswith(("read: ", "without effect: "))]
    assert plan[1:3] == said
    assert plan[3].startswith("skipped: 8 alleles (2 no ALT, ")
    assert result.text().split("skipped: ")[1].startswith(plan[3].removeprefix("skipped: "))
    assert plan[4] == f"effects: {result.effects}, on {result.genes} genes"


def test_genes_on_contigs_that_are_not_chosen_do_not_matter(toy):
    copy = GTF.replace("I\ttoy", "alt\ttoy").replace("Ialt", "alt").split("\n", 1)[1]
    path = toy.folder / "genes.gtf"
    path.write_text(GTF + copy)
    build = {"genome": toy.paths["genome"], "annotation": str(path), "label": {"table": toy.paths["expression"]}}
    values = {"output": toy.paths["output"], "variants": {"annotation": str(path)}}
    for chromosomes in ([], ["I", "II"]):
        config = parse_config(values | {"build": build | {"window": [-4, 4], "chromosomes": chromosomes}}, "test")
        if not chromosomes:
            with pytest.raises(DataError, match=r"gene P lies on both I and alt; .* build\.chromosomes"):
                variants(config, toy.write(vcf()), toy.paths["model"], str(toy.folder / "a.parquet"))
            continue
        found = pd.read_parquet(
            variants(config, toy.write(vcf()), toy.paths["model"], str(toy.folder / "a.parquet")).output
        )
        pd.testing.assert_frame_equal(found, toy.rows(vcf()))


def test_rules_of_build_alone_choose_the_genes_of_an_annotation(toy):
    path = toy.folder / "genes.gtf"

    def found(text, **rules):
        path.write_text(text)
        values = {"genome": toy.paths["genome"], "annotation": str(path)}
        build = {"build": rules} if rules else {}
        config = parse_config({"output": toy.paths["output"], "variants": values} | build, "test")
        return variants(config, toy.write(vcf()), toy.paths["model"], str(toy.folder / "a.csv"), force=True).known_genes

    bare = GTF.replace(' gene_biotype "protein_coding";', "").replace(' gene_biotype "tRNA";', "")
    for text, advice, rules in (
        (bare, r"says its biotype, .* set build\.biotypes to \[\]", {"biotypes": []}),
        (GTF.replace("protein_coding", "mRNA"), r"or set it to \[\] for all", {"biotypes": []}),
        (GTF.replace("I\ttoy", "chrI\ttoy").replace("IchrI", "chrII"), "strip_chr", {"chromosome_names": "strip_chr"}),
    ):
        with pytest.raises(DataError, match=advice):
            found(text)
        assert found(text, **rules) == 3


def test_a_model_of_longer_windows_than_the_genome_is_told_so(toy):
    model = save_toy_model(toy.folder / "long", window=500)
    config = toy.config(genes=(), annotation=toy.paths["annotation"])
    with pytest.raises(DataError, match=r"the model reads 500 bases .*genome\.fa has 220: .* in variants\.genome"):
        variants(config, toy.write(vcf()), model, str(toy.folder / "a.csv"))


def test_annotations_whose_genes_are_of_no_use_say_why(toy):
    (toy.folder / "genes.gtf").write_text("".join(line for line in GTF.splitlines(True) if "\tCDS\t" not in line))
    with pytest.raises(DataError, match=r"is left \(3 no coding sequence, 1 biotype tRNA\): loosen"):
        toy.run(vcf(), genes=(), annotation=toy.paths["annotation"])


@pytest.mark.parametrize(
    ("options", "cluster", "variable"),
    [({"in_process": 0}, {}, ""), ({"gpus_per_worker": 0.5}, {}, ""), ({}, {"address": "h:1"}, ""), ({}, {}, "h:1")],
)
def test_many_windows_a_gpu_or_a_named_cluster_are_for_ray(toy, monkeypatch, options, cluster, variable):
    def on_ray(*_):
        raise LookupError

    monkeypatch.setattr("raygenex.variants.scoring._on_ray", on_ray)
    toy.run(vcf(), workers=2)
    monkeypatch.setenv("RAY_ADDRESS", variable)
    config = toy.config(**options)
    config = config.model_copy(update={"cluster": config.cluster.model_copy(update=cluster)})
    with pytest.raises(LookupError):
        variants(config, toy.write(vcf()), toy.paths["model"], str(toy.folder / "b.parquet"))


def test_the_plan_looks_at_the_first_line(toy):
    with pytest.raises(DataError, match="line 1 must name the columns"):
        plan_variants(toy.config(), toy.write("1\t5\t.\tA\tC\n"), toy.paths["model"], "a.csv", False)


def test_what_fails_in_the_end_leaves_all_outputs_that_were_there(toy, monkeypatch):
    toy.run(vcf())
    outputs = sorted(toy.folder.glob("out.*"))
    assert toy.folder / "out.skipped.tsv" in outputs
    before = {path: path.read_bytes() for path in outputs}

    def full(folder):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    only = f"{HEADER}chrI\t21\tsnvP\tG\tA\n"
    with monkeypatch.context() as patched:
        patched.setattr(variants_run, "sync_tree", full)
        with pytest.raises(OSError, match="No space left"):
            toy.run(only)
    assert {path: path.read_bytes() for path in sorted(toy.folder.glob("out.*"))} == before
    toy.run(only)
    assert not (toy.folder / "out.skipped.tsv").exists(), "the last run skipped nothing"


def test_runs_into_other_files_have_other_temporary_folders(tmp_path):
    folders = []
    for name in ("a.csv", "b.csv", "a.csv"):
        with variants_run._spool(tmp_path / "runs", Path(name)) as folder:
            folders.append(folder.name.split(".")[1])
    assert folders[0] == folders[2] != folders[1]
    assert not (tmp_path / "runs").exists()
