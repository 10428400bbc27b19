"""Configurations and overrides of anything at all."""

import pytest
import yaml
from hypothesis import example, given
from hypothesis import strategies as st
from toy_fuzz import answer, examples, within

from raygenex.config.load import load_config
from raygenex.config.run import RunConfig

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(10**300, 10**301),
    st.floats(),
    st.text(max_size=12),
    st.dates(),
    st.sampled_from(
        [
            "${HOME}",
            "${NOT_SET}",
            "${A:-b}",
            "s3://a",
            "a\x00b",
            "/",
            "",
            "~",
            "\ud83e\uddec",
            "1e400",
            "2024-13-45",
            "../x",
        ]
    ),
)
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(SCALARS.filter(lambda key: not isinstance(key, float)), inner, max_size=3)
    ),
    max_leaves=8,
)


def keys_of(section, prefix=""):
    """Return every key of the schema, sections among them."""
    found = []
    for name, value in section.items():
        found.append(prefix + name)
        if isinstance(value, dict):
            found += keys_of(value, f"{prefix}{name}.")
    return found


KEYS = st.sampled_from(
    [
        *keys_of(RunConfig().dump()),
        "build.genome",
        "build.label.table",
        "model.kind",
        "split.rule",
        "backbone.kind",
        "tune.space",
        "x",
        "",
        "a.b.c",
        "model.",
        ".model",
        "name.x",
    ]
)


def load(folder, data, overrides=()):
    path = folder / "c.yaml"
    path.write_bytes(data)
    return answer(lambda: load_config(path, overrides).hash())


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("config")


ALIASES = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + i)}: &{chr(98 + i)} [{', '.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)
)


@examples(60)
@given(
    st.one_of(
        st.text(max_size=60).map(lambda text: text.encode("utf-8", "surrogatepass")),
        st.binary(max_size=40),
        st.text(alphabet="ab:-{}[]&*!|>?,#'\" \n\t%@1.~", max_size=60).map(str.encode),
    )
)
@example(b"name: !!python/object/apply:os.system ['true']\n")
@example(b"!!python/name:os.system\n")
@example(b"name: a\nname: b\n")
@example(b"name:\ta\n\tseed: 1\n")
@example(b"seed: " + b"9" * 5000)
@example(b"seed: 1e99999\n")
@example(b"seed: .nan\ntrain: {learning_rate: .inf}\n")
@example(b"? [a, b]\n: 1\n")
@example(b"? {a: b}\n: 1\n")
@example(b"1: 2\nnull: 3\n")
@example(b"a: &a [*a]\n")
@example(b"a: &a {b: *a}\n")
@example(b"<<: [1, 2]\n")
@example(b"<<: *x\n")
@example(b"name: 2024-99-99\n")
@example(b"seed: 0x\nname: 1:99999999999999999999:60\n")
@example(b"name: !!binary x\n")
@example(b"--- a\n--- b\n")
def test_any_text(folder, data):
    load(folder, data)


@examples(60)
@given(st.dictionaries(KEYS, TREES, max_size=4), st.booleans())
def test_any_values(folder, found, nested):
    values = {}
    for key, value in found.items():
        place = values
        *parents, last = key.split(".") if nested else [key]
        for parent in parents:
            inner = place.get(parent)
            place[parent] = place = inner if isinstance(inner, dict) else {}
        place[last] = value
    load(folder, yaml.safe_dump(values, allow_unicode=True).encode("utf-8", "surrogatepass"))


@examples(80)
@given(
    st.lists(
        st.one_of(
            st.tuples(KEYS, TREES).map(lambda pair: f"{pair[0]}={yaml.safe_dump(pair[1], default_flow_style=True)}"),
            st.text(max_size=20),
        ),
        max_size=3,
    )
)
@example(["seed=" + "9" * 5000])
@example(["name=!!python/object/apply:os.system [id]"])
@example(["model={kind: [1]}"])
@example(["seed=2024-99-99"])
@example([".".join("a" * 3000) + "=1"])
@example(["name=" + "[" * 3000])
def test_any_overrides(folder, overrides):
    load(folder, b"name: a\n", overrides)


@pytest.mark.parametrize(("open_", "close"), ["[]", "{}", ("a: {b: ", "}"), ("- ", ""), ("[{a: ", "}]")])
def test_deep_nesting(folder, open_, close):
    for depth in (50, 1500, 30_000):
        assert isinstance(load(folder, (open_ * depth + close * depth).encode()), Exception)


def test_aliases_take_no_memory(tmp_path):
    """Nine levels of nine aliases each name a billion values."""
    path = tmp_path / "laughs.yaml"
    path.write_text(ALIASES)
    code = "from raygenex.config.load import load_config\nlimit()\nprint(answer(lambda: load_config(sys.argv[1])))"
    assert "laughs.yaml" in within(300, code, path)
    path.write_text(ALIASES + "data: {train: *j}\n")
    assert "laughs.yaml" in within(300, code, path)


def test_a_large_file_is_refused(tmp_path):
    path = tmp_path / "large.yaml"
    path.write_bytes(b"name: " + b"a" * 20_000_000)
    assert "large.yaml" in str(load_error(path))


def load_error(path):
    found = answer(lambda: load_config(path), path)
    assert isinstance(found, Exception)
    return found


@pytest.mark.parametrize("path", ["a\x00b.yaml", "x" * 5000, "\udcff.yaml", "/dev/null/x", "/", ""])
def test_any_path(path):
    assert isinstance(answer(lambda: load_config(path)), Exception)
