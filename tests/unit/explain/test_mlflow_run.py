"""What MLflow gets of an explanation, and what is owed to it while it is away."""

from pathlib import Path

import pytest
from toy_models import save_toy, small_config

from raygenex.config.load import parse_config
from raygenex.errors import TrackingAway, TrackingError
from raygenex.explain import mlflow_run
from raygenex.explain.mlflow_run import ExplainTrack
from raygenex.explain.parts import folder_of
from raygenex.train.checkpoint import InputInfo, checkpoint_sha256
from raygenex.train.state import RunState, write_state

BASES = InputInfo(kind="bases", length=20, channels=4, window=20)


class Store:
    """A tracker that remembers which files it was given."""

    uri = "http://mlflow.example"

    def __init__(self, config):
        self.logged = {}
        self.away = False
        self.known = True

    def exists(self, run_id):
        if self.away:
            raise TrackingAway("no answer")
        return self.known

    def log_folder(self, run_id, folder, artifact_path):
        files = sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())
        self.logged[run_id, artifact_path] = files


@pytest.fixture
def run(tmp_path, monkeypatch):
    """Return the configuration of a run that was trained and explained, and the store that its tracker talks to."""
    values = {"name": "toy", "output": str(tmp_path), "tracking": {"patience_s": 0}}
    config = parse_config(values, "test")
    folder = folder_of(config)
    for name in ("scores/part-00000000-00000002.npz", "figures/a.svg", "manifest.json", ".manifest.json.1"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("")
    save_toy(Path(config.folder) / "checkpoint", small_config(), BASES)
    write_state(Path(config.folder), RunState(identity="i", run_id="r", finished=True))
    store = Store(config)
    monkeypatch.setattr(mlflow_run, "Tracker", lambda config: store)
    return config, store


def tracked(config):
    return ExplainTrack(config, checkpoint_sha256(Path(config.folder, "checkpoint")), folder_of(config))


def test_tables_and_figures_are_logged_once_and_parts_never(run):
    config, store = run
    tracked(config).settle(["scores"])
    assert store.logged == {}
    tracked(config).owe()
    tracked(config).settle(["scores"])
    assert store.logged == {("r", "explain/valid"): ["figures/a.svg", "manifest.json"]}
    store.logged.clear()
    tracked(config).settle(["scores"])
    assert store.logged == {}


def test_what_an_absent_store_did_not_get_it_gets_next_time(run):
    config, store = run
    store.away = True
    tracked(config).owe()
    with pytest.raises(TrackingError):
        tracked(config).settle(["scores"])
    store.away = False
    tracked(config).settle(["scores"])
    assert list(store.logged) == [("r", "explain/valid")]


def test_a_model_of_another_run_is_logged_nowhere(run):
    config, store = run
    own = Path(config.folder, "checkpoint")
    digest = checkpoint_sha256(own)
    ExplainTrack(config, "0" * 64, folder_of(config)).owe()
    own.rename(own.with_name("moved"))
    ExplainTrack(config, digest, folder_of(config)).owe()
    # Nothing is owed, so that nothing follows once the model is there again.
    own.with_name("moved").rename(own)
    tracked(config).settle(["scores"])
    assert store.logged == {}


def test_a_run_that_the_store_lost_is_a_warning(run, caplog):
    config, store = run
    store.known = False
    tracked(config).owe()
    tracked(config).settle(["scores"])
    assert store.logged == {}
    assert "not in MLflow" in caplog.text
