"""The page of a data set, and the summaries that its plots are drawn from."""

import re
from dataclasses import replace
from html.parser import HTMLParser

import h5py
import numpy as np
import pytest

from raygenex import __version__
from raygenex.config.data import CheckConfig, DataConfig
from raygenex.data.check import plots
from raygenex.data.check.check import check
from raygenex.data.check.page import render_page, write_page
from raygenex.drawing.html import check_page
from raygenex.errors import DataError, RaygenexError
from raygenex.sequence import from_string, to_one_hot

VOID = {"meta", "link", "br"}


class Page(HTMLParser):
    """The elements of a page, its text, and whether every element ends where it should."""

    def __init__(self, text):
        super().__init__()
        self.open, self.elements, self.text = [], [], ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.text += data + " "


def config(**values):
    return DataConfig.model_validate(values)


def add(path, **attributes):
    """Say in a file where its genes lie: all on one chromosome, and what the attributes are."""
    chrom = attributes.pop("chrom", "chr1")
    with h5py.File(path, "r+") as handle:
        handle.attrs.update(attributes)
        n = len(handle["gene_id"])
        handle["chrom"] = np.array([chrom] * n, dtype=h5py.string_dtype())
        handle["tss"] = np.arange(n) * 100_000 + 50_000
        handle["strand"] = np.array(["+", "-"] * n, dtype=h5py.string_dtype())[:n]
    return path


@pytest.fixture
def data(write):
    rng = np.random.default_rng(0)
    paths = {}
    for name, n in (("train", 30), ("valid", 8), ("test", 6)):
        bases = rng.integers(0, 4, size=(n, 200)).astype(np.uint8)
        path = write(f"{name}.h5", n=n, prefix=name, window=200, promoter=to_one_hot(bases))
        paths[name] = add(path, chrom=f"chr{n}", window_first=-100, genome_build="GRCh<37>", halflife_scale="log10")
    return config(**paths)


def page_of(data, settings=None):
    settings = settings or CheckConfig()
    return render_page(check(data, settings), data, settings)


def test_the_page_says_what_the_text_says(data):
    page = Page(page_of(data))
    words = " ".join(page.text.split())
    for text in ("train 30", "valid 8", "test 6", "genes, 50.0% high", "GRCh<37>", "log10(bases + 0.1)", "3 files"):
        assert text in words
    assert "-100 to +99 from the TSS, which is base 100 counting from 0" in words
    for heading in ("Warnings", "Labels", "Along the promoter", "Half-life features by label", "Genes by chromosome"):
        assert heading in words
    assert f"By raygenex {__version__}" in words
    assert "max_leaked: 0.01" in words
    assert str(data.train[0]) in words
    drawn = [values["aria-label"] for tag, values in page.elements if tag == "svg"]
    assert len(drawn) == 2 + 2 + 2 + 8
    assert "GC content near the TSS" in drawn


def test_nothing_but_the_page_is_needed(data):
    text = page_of(data)
    page = Page(text)
    assert "http" not in re.sub(r"http-equiv", "", text)
    assert not re.search(r"url\((?!#)|@import|<script|<iframe", text)
    for _, values in page.elements:
        for key in ("src", "href", "srcset", "data"):
            assert values.get(key, "#").startswith(("#", "data:"))
    assert "default-src 'none'" in text
    ids = [values["id"] for _, values in page.elements if "id" in values]
    assert len(ids) == len(set(ids))
    assert {values["href"][1:] for tag, values in page.elements if tag == "use"} <= set(ids)
    assert len(text) < 400_000


def test_the_page_is_for_phones_and_for_dark_rooms(data):
    text = page_of(data)
    assert '<meta name="viewport" content="width=device-width, initial-scale=1">' in text
    assert "prefers-color-scheme: dark" in text
    for name, colour in plots.COLOURS.items():
        assert text.count(f"--{name}: ") == 2
        # A plot that names a colour outright would not change with the ground.
        assert f": {colour}" not in re.sub(r"<style>.*</style>", "", text, flags=re.DOTALL)
    assert "font-family: 'DejaVu" not in text


def test_the_same_data_give_the_same_page(data):
    assert page_of(data) == page_of(data)


def test_what_the_user_names_is_text(write):
    name = '<img src=x onerror="alert(1)">$\\frac'
    one, two = (write(f"{n}.h5", prefix=f"<b>{n}&", window=40) for n in ("a", "b"))
    data = config(
        train=add(one, chrom=name, genome_build="<script>alert(1)</script>", window_first=-20),
        valid=add(two, chrom=name),
    )
    text = page_of(data)
    page = Page(text)
    assert not {"img", "script"} & {tag for tag, _ in page.elements}
    assert "<script>alert(1)</script>" in page.text
    assert "<b>a&0" in page.text
    assert name[:15] in page.text


@pytest.mark.usefixtures("blank_figures")
def test_leaks_are_warned_of_with_examples(data, write):
    twin = add(
        write("twin.h5", n=30, prefix="twin", window=200), chrom="chr30", window_first=-100, halflife_scale="log10"
    )
    data = data.model_copy(update={"valid": (twin,)})
    words = " ".join(Page(page_of(data)).text.split())
    assert "30 of the 30 genes of valid (100.0%) leak from train" in words
    assert "valid in train: overlapping windows gene partner how close twin0 train0 200 bases shared" in words
    assert "Same gene id 0 0 0 Identical sequence 0 0 0" in words


def test_files_that_say_little(write):
    path = write(n=1, window=1, label=np.array([1]), promoter=np.zeros((1, 1, 4), bool), halflife=np.zeros((1, 8)))
    words = " ".join(Page(page_of(config(test=path))).text.split())
    assert "1 bases; the files do not say where the TSS is" in words
    assert "There is only one split" in words
    assert "Genes by chromosome" not in words
    assert "among the known bases of each position" in words
    assert words.count("all 0") == 8


def test_one_look_at_the_bases(write):
    sequences = np.stack([from_string("ACGTN" * 50), from_string("AAAAA" * 50)])
    report = check(config(train=add(write(n=2, promoter=to_one_hot(sequences)), window_first=-100)), CheckConfig())
    train = report.splits["train"]
    assert train.first == -100
    assert (train.profile.edges[0], train.profile.edges[-1], len(train.profile.counts)) == (-100, 150, 100)
    assert np.sum(train.profile.counts, axis=0).tolist() == [300, 50, 50, 50, 50]
    near = train.near
    assert near.edges == tuple(range(-60, 62))
    assert near.counts[60] == (2, 0, 0, 0, 0)
    assert near.counts[62] == (1, 0, 1, 0, 0)
    assert near.share(0)[60:65] == (1, 0.5, 0.5, 0.5, 1)
    assert near.share(1, 2)[60:65] == (0, 0.5, 0.5, 0, 0)
    assert near.centres[60] == 0
    assert train.chromosomes == {"chr1": 2}


def test_a_tss_near_the_edge_and_one_outside(write):
    def near(first):
        path = add(write(f"{first}.h5", window=200), window_first=first)
        return check(config(train=path), CheckConfig()).splits["train"]

    assert near(-10).near.edges == tuple(range(-10, 62))
    assert near(-1000).near is None
    outside = near(500)
    assert outside.near is None
    assert "which is outside" in check(config(train=outside.files[0].path), CheckConfig()).text()


def test_a_feature_by_label(write):
    halflife = np.zeros((402, 8), np.float32)
    halflife[:, 0] = [*range(401), 1e6]
    halflife[:, 1] = np.arange(402) % 2
    label = np.arange(402) % 2
    found = check(config(train=write(n=402, halflife=halflife, label=label)), CheckConfig()).splits["train"].halflife
    histogram = found["UTR5LEN"].histogram
    assert (histogram.start, histogram.stop) == pytest.approx((2.005, 398.995))
    assert sum(histogram.low) == sum(histogram.high) == 201
    assert max(histogram.low) - min(histogram.low) <= 2
    assert found["UTR5LEN"].max == 1e6
    assert found["CDSLEN"].separation == pytest.approx(2)
    assert found["CDSLEN"].histogram.low == (201, *[0] * 19)
    assert found["CDSGC"].separation is None
    assert found["CDSGC"].histogram.high == (201,)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["chrX", "chr10", "chr2", "chr1"], ["chr1", "chr2", "chr10", "chrX"]),
        (["IX", "V", "XIV", "I", "IV", "X"], ["I", "IV", "V", "IX", "X", "XIV"]),
        (["", "2", "1"], ["1", "2", "no place"]),
        (["a_very_long_scaffold_name_1"], ["a_very_long_sca…"]),
    ],
)
def test_chromosomes_in_their_order(data, names, expected):
    split = check(data, CheckConfig()).splits["train"]
    rows = plots.chromosome_rows({"train": replace(split, chromosomes=dict.fromkeys(names, 1))})
    assert rows == [(name, [1]) for name in expected]


def test_many_chromosomes_are_one_row(data):
    splits = check(data, CheckConfig()).splits
    many = {"train": {f"s{i:03}": i + 1 for i in range(100)}, "valid": {"s000": 500}}
    rows = plots.chromosome_rows({name: replace(splits[name], chromosomes=many[name]) for name in many})
    assert len(rows) == 41
    assert rows[0] == ("s000", [1, 500])
    assert rows[-1] == ("60 more", [sum(range(2, 62)), 0])


def test_every_plot_returns_the_axes_it_was_given(data):
    from matplotlib.figure import Figure

    splits = check(data, CheckConfig()).splits
    train = splits["train"]
    for draw in (
        lambda axes: plots.label_balance(axes, splits),
        lambda axes: plots.gc_profile(axes, {"train": train.profile}, "the TSS"),
        lambda axes: plots.composition(axes, train.near, "the TSS"),
        lambda axes: plots.feature(axes, train.halflife["CDSGC"]),
        lambda axes: plots.chromosomes(axes, splits),
    ):
        axes = Figure().subplots()
        assert draw(axes) is axes


def test_the_text_is_one_screen_whatever_the_files_say(write):
    paths = {}
    for name in ("train", "valid", "test"):
        halflife = np.linspace(0, 2e6, 32, dtype=np.float32).reshape(4, 8)
        path = write(f"{name}.h5", prefix=name, window=3000, halflife=halflife)
        paths[name] = add(path, chrom=name, genome_build=f"{name} of {'very ' * 40}", window_first=-len(name))
    lines = check(config(**paths), CheckConfig()).text().splitlines()
    assert len(lines) <= 40
    assert max(map(len, lines)) <= 100
    assert "GC content along the window of each split, from upstream to downstream" in lines
    assert any(line.startswith("warning: ") and "more, which" in line for line in lines)


@pytest.mark.usefixtures("blank_figures")
def test_a_page_is_not_written_over_another(data, tmp_path, sentence):
    report = check(data, CheckConfig())
    page = tmp_path / "page.html"
    assert write_page(page, report, data, CheckConfig()) == str(page)
    assert page.read_text() == page_of(data)
    page.write_text("mine")
    with pytest.raises(DataError) as info:
        write_page(page, report, data, CheckConfig())
    sentence(info, page, "exists already", "--force")
    assert page.read_text() == "mine"
    write_page(page, report, data, CheckConfig(), force=True)
    assert page.read_text() == page_of(data)
    assert [path.name for path in tmp_path.iterdir() if path.suffix not in (".h5", ".html")] == []


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("train.h5", "must end in .html"),
        ("no/page.html", "make it first"),
        ("folder.html", "is a folder"),
    ],
)
def test_pages_that_cannot_be(tmp_path, sentence, name, words):
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(RaygenexError) as info:
        check_page(tmp_path / name, force=True)
    sentence(info, tmp_path / name if name != "no/page.html" else "no/page.html", words)


@pytest.mark.usefixtures("blank_figures")
def test_the_verb_writes_the_page(raygenex, data, tmp_path):
    lines = [f"  {name}: {data.split(name)[0]}\n" for name in ("train", "valid", "test")]
    (tmp_path / "run.yaml").write_text(f"data:\n{''.join(lines)}")
    command = ("data", "describe", "run.yaml", "--html", "page.html")
    code, out, err = raygenex(*command)
    assert (code, err) == (0, "")
    assert out.splitlines()[-1] == "page: page.html"
    assert len(out.splitlines()) <= 40
    first = (tmp_path / "page.html").read_text()
    code, out, err = raygenex(*command)
    assert (code, out) == (2, "")
    assert err == "error: page.html exists already: give --force to replace it, or choose another path\n"
    code, out, _ = raygenex(*command, "--force", "--json")
    assert code == 0
    assert out.count("\n") == 1
    assert '"page": ' in out
    assert (tmp_path / "page.html").read_text() == first


def test_core60_makes_a_small_page(shared_data):
    folder = shared_data / "core60"
    data = config(train=str(folder / "train.h5"), valid=str(folder / "valid.h5"))
    text = page_of(data)
    assert len(text) < 200_000
    assert "12,681" in text


HOSTILE = (
    "</script><script>x()</script>",
    "<img src=x onerror=x()>",
    '" onclick="x()',
    "' onclick='x()",
    "{{ 7*7 }}",
    "&lt;b&gt;",
)


def test_names_are_text_and_nothing_else(write):
    paths = []
    for split in ("train", "valid"):
        names = np.array([f"{name}{split}" for name in HOSTILE], dtype=object)
        path = write(f"{split}.h5", n=len(HOSTILE), window=200, gene_id=names)
        paths.append(add(path, chrom=HOSTILE[1], genome_build=HOSTILE[0], halflife_scale="log10", window_first=-100))
    page = Page(page_of(config(train=[paths[0]], valid=[paths[1]])))
    assert HOSTILE[0] in page.text
    # The examples of leaks name genes; a script element would swallow what follows it.
    assert sum(f"{name}valid" in page.text for name in HOSTILE) >= 3
    assert not {"img", "script"} & {tag for tag, _ in page.elements}
    assert not any(name.startswith("on") for _, values in page.elements for name in values)
