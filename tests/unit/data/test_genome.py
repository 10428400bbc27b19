import gzip
import logging
import os
import pickle
import threading
from pathlib import Path

import numpy as np
import pytest

from raygenex.data.genome import GenomeReader, open_genome
from raygenex.errors import DataError
from raygenex.sequence import from_string, reverse_complement, to_string

#        1234567890   1234567890
FASTA = ">one first\nACGTACGTAA\nccggttNNRA\nGAT\n>two\nTTTTT\n"
ONE = "ACGTACGTAACCGGTTNNNAGAT"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def bgzip(path, text):
    import pysam

    with pysam.BGZFile(str(path), "w") as stream:
        stream.write(text.encode())


@pytest.fixture
def fasta(tmp_path):
    """Return a function that writes a FASTA file, plain, gzip or bgzip, into a folder of its own."""

    def make(kind="plain", text=FASTA, name="genome.fa"):
        folder = tmp_path / "data"
        folder.mkdir(exist_ok=True)
        path = folder / name
        if kind == "bgzip":
            bgzip(path, text)
        else:
            path.write_bytes(gzip.compress(text.encode()) if kind == "gzip" else text.encode())
        return path

    return make


def text_of(genome, chrom, start, stop):
    with GenomeReader(genome) as reader:
        return to_string(reader.fetch(chrom, start, stop))


@pytest.mark.parametrize("name", ["genome.fa", "genome.fa.gz", "genome"])
@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzip"])
def test_every_kind_reads_alike_whatever_its_name(fasta, kind, name):
    path = fasta(kind, name=name)
    genome = pickle.loads(pickle.dumps(open_genome(str(path))))
    assert genome.path == str(path)
    assert genome.lengths == {"one": 23, "two": 5}
    assert list(genome.lengths) == ["one", "two"]
    assert text_of(genome, "one", 0, 23) == ONE
    assert text_of(genome, "one", 8, 12) == "AACC"
    assert text_of(genome, "two", 4, 5) == "T"
    assert text_of(genome, "two", 5, 5) == ""
    assert os.listdir(path.parent) == [name]


def test_relative_path_becomes_absolute(fasta, monkeypatch):
    path = fasta()
    monkeypatch.chdir(path.parent)
    assert open_genome("genome.fa").path == str(path)


def test_url(fasta, cache):
    import fsspec

    memory = fsspec.filesystem("memory")
    memory.pipe("/bucket/genome.fa.gz", gzip.compress(FASTA.encode()))
    try:
        genome = open_genome("memory://bucket/genome.fa.gz")
        assert genome.path == "memory://bucket/genome.fa.gz"
        assert text_of(genome, "one", 0, 23) == ONE
    finally:
        memory.rm("/bucket/genome.fa.gz")


def test_lines_that_end_as_on_windows(fasta):
    genome = open_genome(str(fasta(text=FASTA.replace("\n", "\r\n"))))
    assert text_of(genome, "one", 0, 23) == ONE


def test_long_lines_and_many_blocks(fasta):
    bases = "".join(np.random.default_rng(0).choice(list("ACGT"), 3_000_000))
    for kind in ("plain", "gzip"):
        genome = open_genome(str(fasta(kind, f">a\n{bases}\n>b\nACG\n", f"{kind}.fa")))
        assert genome.lengths == {"a": 3_000_000, "b": 3}
        assert text_of(genome, "a", 2_000_000, 2_000_100) == bases[2_000_000:2_000_100]


def test_rewritten_once_and_again_when_changed(fasta, cache, caplog):
    path = fasta("gzip", name="genome.fa.gz")
    with caplog.at_level(logging.INFO):
        first = open_genome(str(path))
        assert open_genome(str(path)) == first
    assert len(caplog.messages) == 1
    assert str(path) in caplog.text
    assert "is gzip" in caplog.text
    assert str(Path(first.indexed).parent) in caplog.text
    path.write_bytes(gzip.compress(b">other\nACGT\n"))
    assert open_genome(str(path)).lengths == {"other": 4}
    assert text_of(first, "one", 0, 23) == ONE


def test_index_beside_the_file_is_used_unless_stale(fasta, cache):
    import pysam

    for kind, name in (("plain", "plain.fa"), ("bgzip", "bgzip.fa.gz")):
        path = fasta(kind, name=name)
        pysam.faidx(str(path))
        genome = open_genome(str(path))
        assert (genome.indexed, genome.fai) == (str(path), f"{path}.fai")
        assert genome.gzi == (None if kind == "plain" else f"{path}.gzi")
        assert text_of(genome, "one", 0, 23) == ONE
        assert not cache.exists()
    path = fasta("plain", ">new\nACG\n", "plain.fa")
    later = os.stat(f"{path}.fai").st_mtime_ns + 10**9
    os.utime(path, ns=(later, later))
    genome = open_genome(str(path))
    assert genome.fai.startswith(str(cache))
    assert text_of(genome, "new", 0, 3) == "ACG"


def newer(path):
    """Make the indexes of a file newer than it, as copies that keep their dates may be."""
    later = os.stat(path).st_mtime_ns + 10**9
    for suffix in (".fai", ".gzi"):
        if os.path.exists(f"{path}{suffix}"):
            os.utime(f"{path}{suffix}", ns=(later, later))


ANOTHER = {
    "one record is longer": FASTA.replace("GAT", "GATT"),
    "one record is shorter": FASTA.replace("GAT", "GA"),
    "the last is longer": FASTA + "T\n",
    "the last is shorter": FASTA.replace("TTTTT\n", "TTT"),
    "one more": FASTA + ">three\nA\n",
    "one less": FASTA.split(">two")[0],
    "one in the middle of another": FASTA.replace("ccggttNNRA", "ccgg\n>b\nA"),
    "other names of one length": FASTA.replace("one", "eno"),
    "names in another order": FASTA.replace("one", "x").replace("two", "one").replace("x", "two"),
    "a longer header": FASTA.replace("first", "the first"),
    "wrapped otherwise": FASTA.replace("ACGTACGTAA\nccgg", "ACGTACGTAAcc\ngg"),
    "bases in place of the header": "".join(FASTA.split("\n>two")) + "AAAAA",
    "unwrapped": FASTA.replace("AA\ncc", "AAcc").replace("RA\nG", "RAG"),
}


@pytest.mark.parametrize("unwrapped", [False, True])
@pytest.mark.parametrize("kind", ["plain", "bgzip"])
@pytest.mark.parametrize("change", ANOTHER)
def test_a_newer_index_of_another_file_is_not_used(fasta, cache, caplog, kind, change, unwrapped):
    import pysam

    def unwrap(text):
        return "".join(f">{record[0]}\n{''.join(record[1:])}\n" for record in map(str.split, text.split(">")[1:]))

    before, after = FASTA, ANOTHER[change]
    if unwrapped:
        before, after = (
            unwrap(before.replace(" first", "")),
            unwrap(after.replace(" first", "").replace(" the", "")),
        )
    path = fasta(kind, before)
    pysam.faidx(str(path))
    fasta(kind, after)
    newer(path)
    expected = {}
    for record in after.split(">")[1:]:
        name, *lines = record.splitlines()
        expected[name.split()[0]] = "".join(lines).upper().replace("R", "N")
    uneven = ("wrapped otherwise", "bases in place of the header", "one in the middle of another")
    if change in uneven and not unwrapped:
        with pytest.raises(DataError, match="breaks the length of the lines"):
            open_genome(str(path))
        return
    genome = open_genome(str(path))
    assert {name: text_of(genome, name, 0, length) for name, length in genome.lengths.items()} == expected
    if after != before:
        assert genome.fai.startswith(str(cache))
        assert f"the index beside {path} is missing in part, older or of another file" in caplog.text


@pytest.mark.parametrize("lines", [60, 70, 10**9])
@pytest.mark.parametrize("kind", ["plain", "bgzip"])
def test_a_right_index_is_used_whatever_the_form_of_the_file(fasta, cache, kind, lines):
    import pysam

    rng = np.random.default_rng(0)
    records = {f"c{i}": "".join(rng.choice(list("ACGT"), size)) for i, size in enumerate((1, 60, 61, 140_000, 7))}
    for end, last in (("\n", ""), ("\n", "\n"), ("\n", "\n\n"), ("\r\n", "\r\n")):
        wrapped = [
            f">{name} of {name}{end}" + end.join(text[at : at + lines] for at in range(0, len(text), lines))
            for name, text in records.items()
        ]
        path = fasta(kind, end.join(wrapped) + last)
        pysam.faidx(str(path))
        newer(path)
        genome = open_genome(str(path))
        assert genome.fai == f"{path}.fai"
        assert genome.lengths == {name: len(text) for name, text in records.items()}
    assert not cache.exists()


def test_records_without_bases_are_not_missed_in_an_index(fasta, cache):
    import pysam

    path = fasta(text=">a\n>b of b\nACGT\nAC\n>c\n>d\nGG\n")
    pysam.faidx(str(path))
    newer(path)
    genome = open_genome(str(path))
    assert (text_of(genome, "b", 3, 6), text_of(genome, "d", 0, 2)) == ("TAC", "GG")
    assert genome.fai == f"{path}.fai"


def test_a_newer_index_of_other_blocks_is_not_used(fasta, cache):
    import pysam

    rng = np.random.default_rng(0)
    bases = "".join(rng.choice(list("ACGT"), 200_000))
    path = fasta("bgzip", f">a\n{bases}\n")
    pysam.faidx(str(path))
    gzi = Path(f"{path}.gzi").read_bytes()
    # The same letters in blocks of other sizes: only lower case, which packs in another way.
    fasta("bgzip", f">a\n{bases[:70_000].lower()}{bases[70_000:]}\n")
    newer(path)
    genome = open_genome(str(path))
    assert genome.fai.startswith(str(cache))
    assert text_of(genome, "a", 150_000, 150_100) == bases[150_000:150_100]
    for damaged in (gzi[:-16], gzi[:-1], b"", bytes(8), gzi + gzi[-16:]):
        path = fasta("bgzip", f">a\n{bases}\n")
        Path(f"{path}.gzi").write_bytes(damaged)
        newer(path)
        genome = open_genome(str(path))
        assert genome.fai.startswith(str(cache))
        assert text_of(genome, "a", 150_000, 150_100) == bases[150_000:150_100]


@pytest.mark.parametrize(
    "text",
    ["one\ttwenty\n", "", "one\t23\n", "one\t23\t11\t0\t0\ntwo\t5\t42\t5\t6\n", "one\t-1\t11\t10\t11\n", "\xff\n"],
)
def test_a_damaged_index_beside_the_file_is_made_anew(fasta, cache, text):
    path = fasta()
    Path(f"{path}.fai").write_text(text, encoding="latin-1")
    genome = open_genome(str(path))
    assert genome.fai.startswith(str(cache))
    assert text_of(genome, "one", 0, 23) == ONE


def test_a_damaged_index_in_the_cache(fasta, sentence):
    path = fasta()
    fai = open_genome(str(path)).fai
    Path(fai).write_text("one\ttwenty\n")
    with pytest.raises(DataError) as info:
        open_genome(str(path))
    sentence(info, fai, "remove it")


@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzip"])
def test_read_only_folder(fasta, kind):
    path = fasta(kind)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        assert text_of(open_genome(str(path)), "one", 0, 23) == ONE
    finally:
        path.parent.chmod(0o700)


def test_several_at_once(fasta, cache):
    path = str(fasta("gzip"))
    genomes = []
    threads = [threading.Thread(target=lambda: genomes.append(open_genome(path))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert genomes == [genomes[0]] * 4
    assert text_of(genomes[0], "one", 0, 23) == ONE
    assert len(os.listdir(cache)) == 1


def test_windows_on_both_strands(fasta):
    genome = open_genome(str(fasta()))
    with GenomeReader(genome) as reader:
        # Bases 8 to 14 are TAA C CGG: the TSS, base 11, in the middle.
        assert to_string(reader.window("one", 11, "+", -3, 2)) == "TAACC"
        assert to_string(reader.window("one", 11, "-", -3, 2)) == "CCGGT"
        for tss in range(1, 24):
            plus, minus = (reader.window("one", tss, strand, -4, 5) for strand in "+-")
            assert to_string(plus)[4] == ONE[tss - 1]
            np.testing.assert_array_equal(minus, reverse_complement(plus))


def test_windows_that_leave_the_chromosome(fasta):
    with GenomeReader(open_genome(str(fasta()))) as reader:
        assert to_string(reader.window("one", 1, "+", -2, 3)) == "NNACG"
        assert to_string(reader.window("one", 1, "-", -2, 3)) == "CGTNN"
        assert to_string(reader.window("one", 23, "+", -2, 3)) == "GATNN"
        assert to_string(reader.window("one", 23, "-", -2, 3)) == "NNATC"
        assert to_string(reader.window("two", 3, "+", -5, 6)) == "NNNTTTTTNNN"
        assert to_string(reader.window("two", 3, "-", 5, 9)) == "NNNN"
        window = reader.window("two", 3, "+", -1, 1)
        assert (window.dtype, window.shape) == (np.uint8, (2,))


@pytest.mark.parametrize(("name", "problem"), [("none.fa", "does not exist"), ("", "is a folder")])
def test_what_is_not_a_file(tmp_path, sentence, name, problem):
    with pytest.raises(DataError) as info:
        open_genome(str(tmp_path / name))
    sentence(info, tmp_path / name, problem)


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_closed_file(fasta, sentence):
    path = fasta()
    path.chmod(0)
    with pytest.raises(DataError) as info:
        open_genome(str(path))
    sentence(info, path, "may not be read")


@pytest.mark.parametrize("kind", ["gzip", "bgzip"])
@pytest.mark.parametrize("kept", [0.5, 0.999])
def test_truncated(fasta, cache, sentence, kind, kept):
    bases = "".join(np.random.default_rng(0).choice(list("ACGT"), 300_000))
    path = fasta(kind, f">a\n{bases}\n")
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * kept)])
    with pytest.raises(DataError) as info:
        open_genome(str(path))
    sentence(info, path, "truncated")
    assert not cache.exists() or os.listdir(cache) == []


@pytest.mark.parametrize("kind", ["gzip", "bgzip"])
def test_damaged(fasta, sentence, kind):
    bases = "".join(np.random.default_rng(0).choice(list("ACGT"), 300_000))
    path = fasta(kind, f">a\n{bases}\n")
    whole = bytearray(path.read_bytes())
    whole[50_000:50_100] = bytes(100)
    path.write_bytes(whole)
    with pytest.raises(DataError) as info:
        open_genome(str(path))
    sentence(info, path, "damaged")


@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzip"])
@pytest.mark.parametrize(
    ("text", "words"), [("", "is empty"), ("chrI\tsgd\tgene\n", "'c'"), ("@a\nAC\n+\nII\n", "'@'")]
)
def test_not_fasta(fasta, sentence, kind, text, words):
    path = fasta(kind, text)
    with pytest.raises(DataError) as info:
        open_genome(str(path))
    sentence(info, path, words, "FASTA")


@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzip"])
def test_chromosome_twice(fasta, cache, sentence, kind):
    path = fasta(kind, ">a\nACGT\n>b\nAC\n>a other\nGGG\n")
    with pytest.raises(DataError) as info:
        open_genome(str(path))
    sentence(info, path, "chromosome a twice")
    assert os.listdir(cache) == []


@pytest.mark.parametrize("kind", ["plain", "gzip", "bgzip"])
def test_a_sound_file_is_not_unpacked_again_for_its_names(fasta, monkeypatch, kind):
    def read(*_):
        raise AssertionError

    monkeypatch.setattr("raygenex.data.genome_index._names", read)
    text = FASTA + "".join(f">record{number}\n{'ACGT' * 50}\n" for number in range(1000))
    assert len(open_genome(str(fasta(kind, text))).lengths) == 1002


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (">a\nACGT\n>b\nACGT\nAC\nACGT\n", 6),
        (">a\nACGT\n>b\nACGT\nACGTA\n", 5),
        (">a\nACGT\n>b\nAC\n\nAC\n", 6),
    ],
)
def test_uneven_lines(fasta, sentence, capfd, text, line):
    path = fasta(text=text)
    with pytest.raises(DataError) as info:
        open_genome(str(path))
    sentence(info, path, f"line {line}", "chromosome b")
    assert capfd.readouterr() == ("", "")


def test_no_bases(fasta, sentence, capfd):
    path = fasta(text=">a\n")
    with pytest.raises(DataError) as info:
        open_genome(str(path))
    sentence(info, path, "cannot be indexed")
    assert capfd.readouterr() == ("", "")


def test_cache_that_cannot_be_written(fasta, tmp_path, monkeypatch, sentence):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RAYGENEX_CACHE", str(tmp_path / "file" / "cache"))
    for kind in ("plain", "gzip", "bgzip"):
        path = fasta(kind)
        with pytest.raises(DataError) as info:
            open_genome(str(path))
        sentence(info, path, "RAYGENEX_CACHE", "cannot be written")


def test_letter_that_is_no_base(fasta, sentence):
    genome = open_genome(str(fasta(text=">a\nACGT\nA*-C\n")))
    with GenomeReader(genome) as reader:
        with pytest.raises(DataError) as info:
            reader.fetch("a", 1, 8)
        sentence(info, genome.path, "chromosome a", "'*'", "base 6")
        with pytest.raises(DataError) as info:
            reader.window("a", 7, "-", 0, 2)
        sentence(info, "base 6")
        assert to_string(reader.fetch("a", 0, 5)) == "ACGTA"


def test_file_that_changes_while_it_is_used(fasta, sentence, capfd):
    bases = "".join(np.random.default_rng(0).choice(list("ACGT"), 300_000))
    path = fasta("bgzip", f">a\n{bases}\n")
    genome = open_genome(str(path))
    whole = bytearray(path.read_bytes())
    whole[50_000:50_100] = bytes(100)
    path.write_bytes(whole)
    with GenomeReader(genome) as reader, pytest.raises(DataError) as info:
        reader.fetch("a", 0, 300_000)
    sentence(info, path, "chromosome a", "base 1 to 300000")
    path.unlink()
    with pytest.raises(DataError) as info, GenomeReader(genome):
        pass
    sentence(info, path, genome.fai)
    assert capfd.readouterr() == ("", "")


def test_verbosity_is_given_back(fasta):
    import pysam

    before = pysam.get_verbosity()
    text_of(open_genome(str(fasta())), "one", 0, 1)
    assert pysam.get_verbosity() == before


def test_yeast(shared_data):
    path = shared_data / "yeast" / "genome.fa.gz"
    genome = open_genome(str(path))
    assert len(genome.lengths) == 17
    assert genome.lengths["I"] == 230218
    with gzip.open(path, "rt") as stream:
        records = stream.read().split(">")[1:]
    naive = {record.split(None, 1)[0]: from_string("".join(record.split("\n")[1:])) for record in records}
    with GenomeReader(genome) as reader:
        for chrom, bases in naive.items():
            np.testing.assert_array_equal(reader.fetch(chrom, 0, len(bases)), bases)
        # YDL248W starts at base 1802 of IV, YDL246C on the other strand at 9756.
        plus = reader.window("IV", 1802, "+", -1000, 1000)
        np.testing.assert_array_equal(plus, naive["IV"][801:2801])
        assert to_string(plus[1000:1003]) == "ATG"
        minus = reader.window("IV", 9756, "-", -1000, 1000)
        np.testing.assert_array_equal(minus, reverse_complement(naive["IV"][8756:10756]))
        assert to_string(minus[1000:1003]) == "ATG"
