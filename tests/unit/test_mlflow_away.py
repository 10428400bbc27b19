"""Without the MLflow server that it is to log to, a command says so at once and begins nothing."""

import hashlib
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from toy_runs import make_run


@pytest.fixture
def nobody() -> Iterator[str]:
    """Give an address that nobody listens at, and nobody else can take."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}"


def files(folder: Path) -> dict[str, str]:
    """Return the files below a folder, but for locks and what the check for leaks keeps, and what is in them."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".lock" and path.parent.name != "checks"
    }


VERBS = {
    "train": ("train", "-o", "name=new"),
    "tune": ("tune", "-o", "name=new"),
    "benchmark": ("benchmark", "-o", "name=new", "-o", "benchmark.split=valid"),
    "evaluate": ("evaluate",),
    "register": ("register",),
    "predict": ("predict", "--model", "models:/a@champion", "--output", "scores.csv"),
    "promote": ("registry", "promote"),
    "rollback": ("registry", "rollback"),
    "list": ("registry", "list"),
}


@pytest.mark.parametrize("verb", list(VERBS))
def test_one_sentence_and_nothing_begins(raygenex, tmp_path: Path, nobody: str, verb: str):
    config, folder = make_run(tmp_path)
    path = tmp_path / "run.yaml"
    path.write_text(yaml.safe_dump(config.dump() | {"tracking": {"uri": nobody}}))
    words = list(VERBS[verb])
    place = 2 if words[0] == "registry" else 1
    words.insert(place, path)
    if verb == "predict":
        words.insert(2, config.data.valid[0])
    before = files(tmp_path)
    code, out, err = raygenex(*words)
    assert (code, out) == (2, "")
    (line,) = [line for line in err.splitlines() if line.startswith("error: ")]
    assert line == err.splitlines()[-1]
    assert line.startswith(f"error: no MLflow server answers at {nobody} (")
    assert line.endswith("start it or set tracking.uri")
    assert "Traceback" not in err
    assert files(tmp_path) == before
    assert folder.exists()
