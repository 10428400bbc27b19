import gzip
import os

import pytest
from toy_models import sentence

from raygenex.data.splits.file import read_split
from raygenex.errors import DataError
from raygenex.files import lines
from raygenex.files.lines import read_lines
from raygenex.variants.records import read_variants


@pytest.mark.parametrize("pack", [bytes, gzip.compress, lambda text: gzip.compress(text[:5]) + gzip.compress(text[5:])])
@pytest.mark.parametrize("name", ["a.gtf", "a.gtf.gz"])
def test_plain_and_gzip_whatever_the_name(tmp_path, pack, name):
    (tmp_path / name).write_bytes(pack("one\r\n\ntwo é\nlast".encode()))
    assert list(read_lines(str(tmp_path / name))) == [(1, "one"), (2, ""), (3, "two é"), (4, "last")]


@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_progress_counts_the_bytes_of_the_file(tmp_path, pack):
    (tmp_path / "a").write_bytes(pack(b"some line\n" * 50_000))
    seen = []
    list(read_lines(str(tmp_path / "a"), lambda done, total: seen.append((done, total))))
    size = os.path.getsize(tmp_path / "a")
    assert [total for _, total in seen] == [size] * 3
    assert 0 < seen[0][0] <= seen[1][0] <= seen[2][0] == size


@pytest.mark.slow
def test_lines_that_pack_a_thousand_times_are_read(tmp_path, monkeypatch):
    # Genotypes of a million people do, and are read line by line.
    monkeypatch.setattr(lines, "_ALWAYS_UNPACKED", 1000)
    head = b"#CHROM\tPOS\tID\tREF\tALT\n"
    line = b"I\t5\t.\tA\tC" + b"\t0|0" * 50_000 + b"\n"
    path = tmp_path / "a.vcf.gz"
    path.write_bytes(gzip.compress(head + line * 20))
    assert 20 * len(line) > 600 * path.stat().st_size
    assert sum(len(text) + 1 for _, text in read_lines(str(path))) == len(head) + 20 * len(line)
    assert sum(1 for _ in read_variants(str(path))) == 20
    # A table is read whole.
    table = path.rename(tmp_path / "a.tsv.gz")
    with pytest.raises(DataError, match="unpacks to more than 500 times its size"):
        read_split(str(table))


def test_url():
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/a.bed", b"line\n")
    try:
        assert list(read_lines("memory://bucket/a.bed")) == [(1, "line")]
    finally:
        memory.rm("/bucket/a.bed")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "does not exist"),
        (gzip.compress(os.urandom(9999).hex().encode())[:-100], "truncated"),
        (gzip.compress(b"line\n", mtime=0)[:-8] + bytes(8), "damaged"),
        (b"\x1f\x8b" + bytes(20), "damaged"),
        (b"line\n\xff\xfe\n", "line 2 is not text"),
    ],
)
def test_sentences(tmp_path, content, words):
    path = tmp_path / "a.gtf"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(DataError) as info:
        list(read_lines(str(path)))
    sentence(info, path, words)


def test_folder(tmp_path):
    with pytest.raises(DataError) as info:
        list(read_lines(str(tmp_path)))
    sentence(info, tmp_path, "is a folder")


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_closed_file(tmp_path):
    path = tmp_path / "a.gtf"
    path.write_text("")
    path.chmod(0)
    with pytest.raises(DataError) as info:
        list(read_lines(str(path)))
    sentence(info, path, "may not be read")
