"""Every file and every name of the package that a page, a job or a benchmark speaks of exists."""

import re
from pathlib import Path

import pytest

import raygenex

ROOT = Path(raygenex.__file__).parents[1]
FORMS = (".md", ".py", ".yaml", ".ipynb")
PLACES = (ROOT, ROOT / "docs", ROOT / "docs" / "notebooks", ROOT / "jobs", ROOT / "benchmarks")
# The changelog also says what was.
PAGES = [
    path for place in PLACES for path in sorted(place.iterdir()) if path.suffix in FORMS and path.stem != "CHANGELOG"
]
FOLDERS = r"(?:raygenex|tests|benchmarks|jobs|docs)"
# Not the end of a longer path: /home/me/raygenex/data is not of this repository.
PATH = re.compile(rf"(?<![\w/.$}}-]){FOLDERS}/[\w/.-]*\w(?:\.(?:py|md|yaml|svg|ipynb|j2)\b|(?=[`)]))")
ROOMS = {path.stem for path in (ROOT / "raygenex").iterdir()}
NAME = re.compile(r"(?<![\w/])raygenex((?:\.[A-Za-z_]\w*)+)")


def named_paths(text):
    return {found.group(0) for found in PATH.finditer(text)}


def named_objects(text):
    parts = [found.group(1)[1:].split(".") for found in NAME.finditer(text)]
    # Tags of MLflow begin like modules.
    return {tuple(names) for names in parts if names[0] in ROOMS and len(names) > 1}


def exists(names):
    """Tell whether a dotted name below the package is a module, or is defined in one."""
    path = ROOT / "raygenex"
    while names and (path / names[0]).is_dir():
        path, names = path / names[0], names[1:]
    if not names:
        return True
    if not (path / f"{names[0]}.py").is_file():
        return False
    text = (path / f"{names[0]}.py").read_text(encoding="utf-8")
    return len(names) == 1 or re.search(rf"^(?:def |class |from .* import .*)?\b{names[1]}\b", text, re.M) is not None


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_a_page_names_exists(page):
    text = page.read_text(encoding="utf-8")
    assert not sorted(path for path in named_paths(text) if "NAME" not in path and not (ROOT / path).exists())
    assert not sorted(".".join(names) for names in named_objects(text) if not exists(names))


def test_what_is_gone_is_found():
    assert named_paths("see `raygenex/no/such.py`, docs/cli.md and /home/raygenex/data.py") == {
        "raygenex/no/such.py",
        "docs/cli.md",
    }
    assert named_objects("`raygenex.train.gone`, `raygenex.config_hash`, raygenex.redact.redact") == {
        ("train", "gone"),
        ("redact", "redact"),
    }
    assert exists(("redact", "redact"))
    assert not exists(("train", "gone"))
