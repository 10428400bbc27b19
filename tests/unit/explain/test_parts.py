import errno
import json

import numpy as np
import pytest
from toy_models import sentence

from raygenex.config.load import parse_config
from raygenex.errors import CheckpointError
from raygenex.explain.parts import (
    PARTS,
    ExplanationManifest,
    MethodRecord,
    column_names,
    damaged_parts,
    folder_of,
    missing_ranges,
    read_manifest,
    read_parts,
    refuse_differences,
    write_part,
)
from raygenex.files.parts import MANIFEST, write_manifest


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "valid" / "saliency"


def part(folder, start, stop, **more):
    """Write a part whose values tell where they belong: the number of the gene, and ten times it."""
    genes = np.array([f"G{number}" for number in range(start, stop)], dtype=object)
    numbers = np.arange(start, stop)
    return write_part(folder, start, {"gene_id": genes, "row": numbers, "attribution": 10.0 * numbers[:, None]} | more)


def manifest(**values):
    return ExplanationManifest(
        **{
            "package_version": "1",
            "checkpoint": "/runs/a/checkpoint",
            "checkpoint_sha256": "a" * 64,
            "run_name": "a",
            "model_kind": "cnn_dna_only",
            "split": "valid",
            "genes": 10,
            "window": 24,
            "window_first": -12,
            "threshold": 0.5,
            "confidence": 0.95,
            "fingerprints": ["f"],
        }
        | values
    )


def test_the_folder_of_a_split_lies_in_the_run():
    config = parse_config({"name": "a", "output": "/o", "explain": {"split": "test"}}, "test")
    assert str(folder_of(config)) == "/o/a/explain/test"


def test_parts_come_back_joined_in_the_order_of_their_genes(folder):
    part(folder, 100, 103)
    part(folder, 0, 100)
    assert [(one.start, one.stop) for one in PARTS.parts(folder)] == [(0, 100), (100, 103)]
    read = read_parts(folder)
    assert list(read["gene_id"]) == [f"G{number}" for number in range(103)]
    assert read["gene_id"].dtype.kind == "U"
    assert read["attribution"][:, 0].tolist() == [10.0 * number for number in range(103)]


def test_a_part_has_its_name_when_it_is_whole_and_nothing_beside_it(folder):
    path = part(folder, 32, 64)
    assert path.name == "part-00000032-00000064.npz"
    assert [found.name for found in folder.iterdir()] == [path.name]


def test_missing_ranges_are_what_no_part_holds(folder):
    assert missing_ranges(folder, 5, []) == [(0, 5)]
    part(folder, 2, 4)
    part(folder, 7, 8)
    assert missing_ranges(folder, 10, []) == [(0, 2), (4, 7), (8, 10)]
    assert missing_ranges(folder, 8, []) == [(0, 2), (4, 7)]


def test_gaps_at_any_end_are_refused(folder):
    with pytest.raises(CheckpointError) as found:
        read_parts(folder)
    sentence(found, folder, "raygenex explain")
    part(folder, 4, 8)
    with pytest.raises(CheckpointError) as found:
        read_parts(folder)
    sentence(found, folder, "lacks the explained genes 0 to 3", "explain` again")
    part(folder, 0, 4)
    assert len(read_parts(folder, 8)["row"]) == 8
    with pytest.raises(CheckpointError) as found:
        read_parts(folder, 9)
    sentence(found, "8 of 9", "explain` again")


def test_genes_that_are_there_twice_are_refused(folder):
    part(folder, 0, 4)
    part(folder, 3, 6)
    with pytest.raises(CheckpointError) as found:
        read_parts(folder)
    sentence(found, "part-00000003-00000006.npz", "--force")


def damage_end(path):
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


def damage_value(path):
    content = bytearray(path.read_bytes())
    # The last value of the last column stands before the zip's directory.
    place = content.index(np.float64(70.0).tobytes())
    content[place + 7] ^= 1
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [damage_end, damage_value, lambda path: path.write_bytes(b"")])
def test_a_damaged_part_is_named_and_counts_as_missing(folder, damage):
    part(folder, 0, 4)
    path = part(folder, 4, 8)
    part(folder, 8, 10)
    damage(path)
    with pytest.raises(CheckpointError) as found:
        read_parts(folder)
    sentence(found, path, "damaged", "explain` again")
    damaged = damaged_parts(folder)
    assert [one.path for one in damaged] == [str(path)]
    assert missing_ranges(folder, 10, damaged) == [(4, 8)]


def test_a_part_under_another_name_is_damaged(folder):
    path = part(folder, 0, 4)
    path.rename(folder / "part-00000000-00000005.npz")
    assert missing_ranges(folder, 5, damaged_parts(folder)) == [(0, 5)]
    with pytest.raises(CheckpointError) as found:
        read_parts(folder)
    sentence(found, "part-00000000-00000005.npz", "genes of its name")


def test_parts_of_other_columns_are_refused(folder):
    part(folder, 0, 2)
    part(folder, 2, 4, hypothetical=np.zeros((2, 1, 4)))
    with pytest.raises(CheckpointError) as found:
        read_parts(folder)
    sentence(found, "part-00000002-00000004.npz", "--force")


def test_what_a_killed_writer_left_is_removed_and_no_part_is(folder):
    part(folder, 0, 2)
    for end in ("0123abcd.aside", "77"):
        (folder / f".part-00000002-00000004.npz.{end}").write_bytes(b"half")
    assert missing_ranges(folder, 4, []) == [(2, 4)]
    PARTS.remove_leftovers(folder)
    assert [path.name for path in folder.iterdir()] == ["part-00000000-00000002.npz"]


def test_a_part_that_could_not_be_looked_at_is_not_called_damaged(folder, monkeypatch):
    part(folder, 0, 2)

    def full(*args, **options):
        raise OSError(errno.EMFILE, "Too many open files")

    monkeypatch.setattr(np, "load", full)
    with pytest.raises(OSError, match="Too many open files") as found:
        damaged_parts(folder)
    assert found.value.filename.endswith("part-00000000-00000002.npz")


def test_a_manifest_comes_back_and_its_absence_is_none(tmp_path):
    assert read_manifest(tmp_path) is None
    written = manifest(methods={"integrated_gradients": MethodRecord(settings={"steps": 64}, largest_delta=0.5)})
    write_manifest(tmp_path, written)
    assert read_manifest(tmp_path) == written
    found = json.loads((tmp_path / MANIFEST).read_text())
    assert found["methods"]["integrated_gradients"]["settings"] == {"steps": 64}


@pytest.mark.parametrize("text", ["", "[]", '{"schema_version": 1}'])
def test_a_damaged_manifest_says_what_to_do(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(CheckpointError) as found:
        read_manifest(tmp_path)
    sentence(found, MANIFEST, "--force")


def test_a_manifest_of_a_later_version_is_refused(tmp_path):
    (tmp_path / MANIFEST).write_text(json.dumps({"schema_version": 2}))
    with pytest.raises(CheckpointError) as found:
        read_manifest(tmp_path)
    sentence(found, tmp_path, "upgrade")


def test_differences_name_what_makes_other_numbers_and_nothing_else(tmp_path):
    mine = manifest()
    assert mine.differences(manifest(window_first=-10, confidence=0.9, package_version="2", methods={})) == []
    other = manifest(checkpoint_sha256="b" * 64, genes=11, window=20, fingerprints=["g"])
    assert mine.differences(other) == [
        "checkpoint (aaaaaaaaaaaa there, bbbbbbbbbbbb here)",
        "window (24 there, 20 here)",
        "number of genes (10 there, 11 here)",
        "data of the valid split",
    ]
    refuse_differences(tmp_path, [])
    with pytest.raises(CheckpointError) as found:
        refuse_differences(tmp_path, mine.differences(other))
    sentence(found, tmp_path, "another window", "--force")


def test_columns_that_are_not_asked_for_are_not_read(folder):
    part(folder, 0, 2, hypothetical=np.zeros((2, 1, 4)))
    assert set(read_parts(folder, names=("gene_id", "row"))) == {"gene_id", "row"}


def test_names_of_columns_of_a_missing_or_damaged_part_are_one_sentence(folder):
    with pytest.raises(CheckpointError) as found:
        column_names(folder)
    sentence(found, folder, "explain` again")
    path = part(folder, 0, 2)
    assert column_names(folder) == {"gene_id", "row", "attribution"}
    damage_end(path)
    with pytest.raises(CheckpointError) as found:
        column_names(folder)
    sentence(found, path, "damaged")
