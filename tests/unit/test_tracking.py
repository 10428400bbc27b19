import pytest

from raygenex.config import parse_config
from raygenex.errors import TrackingError
from raygenex.tracking import Tracker, flatten, tracking_uri, ui_command


def config(output, **tracking):
    return parse_config({"output": str(output), "tracking": tracking}, "test")


def test_parameters_are_flat_and_text():
    assert flatten({"a": 1, "b": {"c": [1, 2], "d": {"e": None}}}) == {"a": "1", "b.c": "[1, 2]", "b.d.e": "None"}


def test_the_local_store_is_in_the_output_folder(tmp_path):
    assert tracking_uri(config(tmp_path / "out")) == f"sqlite:///{tmp_path}/out/mlflow.db"
    assert tracking_uri(config(tmp_path, uri="http://server:5000")) == "http://server:5000"


def test_the_command_for_the_ui_is_short_below_the_working_directory_and_absolute_elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert ui_command(config("runs")) == "mlflow ui --backend-store-uri sqlite:///runs/mlflow.db"
    monkeypatch.chdir("/")
    elsewhere = config(tmp_path / "runs")
    monkeypatch.chdir(tmp_path.parent / tmp_path.name)
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert ui_command(elsewhere) == f"mlflow ui --backend-store-uri sqlite:///{tmp_path}/runs/mlflow.db"
    assert ui_command(config("runs", uri="http://server:5000")) == "open http://server:5000"


def test_an_output_that_cannot_be_a_folder_is_one_sentence_at_once(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(TrackingError, match=r"cannot be written \((Not a directory|File exists)\): set output") as info:
        Tracker(config(tmp_path / "file"))
    assert "\n" not in str(info.value)


def test_a_run_ends_as_what_happened_inside(tmp_path):
    tracker = Tracker(config(tmp_path))
    ends = {}
    for error in (None, KeyboardInterrupt, SystemExit, RuntimeError):
        run_id = tracker.start("run", {"seed": "0"}, {"tag": "x"})
        try:
            with tracker.ending(run_id):
                if error:
                    raise error
        except BaseException:  # noqa: BLE001
            assert error is not None
        ends[error] = tracker.client.get_run(run_id).info.status
    assert ends == {None: "FINISHED", KeyboardInterrupt: "KILLED", SystemExit: "KILLED", RuntimeError: "FAILED"}
    tracker.log_metrics(run_id, {"auroc": 0.5, "loss": 1.0}, 3)
    assert tracker.client.get_metric_history(run_id, "auroc")[0].step == 3
    assert tracker.exists(run_id)
    assert not tracker.exists("0" * 32)
