import pytest
from pydantic import BaseModel
from toy_models import sentence

from raygenex.errors import CheckpointError
from raygenex.files.parts import (
    MANIFEST,
    Part,
    PartNames,
    changed_fields,
    cut,
    gaps,
    read_manifest,
    write_manifest,
)

NAMES = PartNames("rows", "parquet")


class Toy(BaseModel):
    schema_version: int = 3
    width: int = 1
    label: str = "a"


def read(folder):
    return read_manifest(Toy, folder, f"the toy in {folder}", "use another", "make it again")


def test_parts_are_found_by_their_names_in_row_order(tmp_path):
    later, first = NAMES.path(tmp_path, 64, 70), NAMES.path(tmp_path, 0, 64)
    assert first.name == "rows-00000000-00000064.parquet"
    for name in (later.name, first.name, f".{first.name}.0123abcd.aside", "rows-1.parquet", f"{first.name}.gz"):
        (tmp_path / name).touch()
    assert NAMES.parts(tmp_path) == [Part(str(first), 0, 64), Part(str(later), 64, 70)]
    assert NAMES.parts(tmp_path / "none") == []


def test_gaps_are_what_no_part_holds():
    parts = [Part("a", 2, 4), Part("b", 3, 4), Part("c", 7, 8)]
    assert gaps(parts, 10) == [(0, 2), (4, 7), (8, 10)]
    assert gaps(parts, 8) == [(0, 2), (4, 7)]
    assert gaps([], 0) == []


def test_ranges_are_cut_where_an_undisturbed_job_cuts_them():
    assert list(cut(2, 8, 3)) == [(2, 3), (3, 6), (6, 8)]
    assert list(cut(3, 3, 3)) == []


def test_unfinished_parts_are_removed_and_other_files_are_not(tmp_path):
    kept = [NAMES.path(tmp_path, 0, 2).name, ".rows-notes", ".part-00000000-00000002.npz.77"]
    for name in (*kept, ".rows-00000002-00000004.parquet.0123abcd.aside", ".rows-00000002-00000004.parquet.77"):
        (tmp_path / name).touch()
    NAMES.remove_leftovers(tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(kept)


def test_a_manifest_comes_back_into_a_folder_that_is_made(tmp_path):
    assert read(tmp_path / "a") is None
    write_manifest(tmp_path / "a", Toy(width=2))
    assert read(tmp_path / "a") == Toy(width=2)
    assert (tmp_path / "a" / MANIFEST).read_text().endswith("}\n")


@pytest.mark.parametrize("text", ["", "[]", '{"width": "wide"}', '{"schema_version": "3"', "\x00"])
def test_a_damaged_manifest_says_what_to_do(tmp_path, text):
    (tmp_path / MANIFEST).write_text(text)
    with pytest.raises(CheckpointError) as info:
        read(tmp_path)
    sentence(info, tmp_path / MANIFEST, "is damaged", "make it again")


def test_a_manifest_of_a_later_version_is_refused(tmp_path):
    write_manifest(tmp_path, Toy(schema_version=4))
    with pytest.raises(CheckpointError) as info:
        read(tmp_path)
    sentence(info, f"the toy in {tmp_path}", "later raygenex", "upgrade, or use another")


def test_changed_fields_are_named_with_the_beginnings_of_their_values():
    words = {"width": "width of the toy", "label": "label"}
    assert changed_fields(Toy(), Toy(schema_version=1), words) == []
    assert changed_fields(Toy(), Toy(width=2, label="b" * 20), words) == [
        "width of the toy (1 there, 2 here)",
        "label (a there, bbbbbbbbbbbb here)",
    ]
