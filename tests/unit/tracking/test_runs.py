import io
import json
import socket

import pytest
import requests
from mlflow import MlflowClient

from raygenex.config.load import parse_config
from raygenex.errors import TrackingAway, TrackingError
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.runs import Tracker, flatten, mlflow_errors, tracking_uri, ui_command


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


def test_an_experiment_that_another_process_makes_in_the_same_moment_will_do(tmp_path, monkeypatch):
    first = Tracker(config(tmp_path))
    look, missed = MlflowClient.get_experiment_by_name, []

    def too_early(client, name):
        if not missed:
            missed.append(name)
            return None
        return look(client, name)

    monkeypatch.setattr(MlflowClient, "get_experiment_by_name", too_early)
    assert Tracker(config(tmp_path)).experiment_id == first.experiment_id
    assert missed == ["raygenex"]


def test_more_files_than_mlflow_has_room_for_are_counted(tmp_path):
    tracker = Tracker(config(tmp_path))
    run_id = tracker.start("run", {}, {})
    paths = [f"/data/{'x' * 200}/{number}.h5" for number in range(500)]
    tracker.log_dataset(run_id, "train", paths, ["0" * 64] * 500, 7)
    (logged,) = MlflowClient(tracker.uri).get_run(run_id).inputs.dataset_inputs
    assert json.loads(logged.dataset.source) == {"uri": [paths[0], paths[-1]], "files": 500}


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


def test_numbers_that_are_sent_again_after_an_outage_stand_once(tmp_path):
    tracker = Tracker(config(tmp_path))
    run_id = tracker.start("run", {}, {})
    for _ in range(2):
        tracker.log_series(run_id, {0: {"loss": 1.0}, 1: {"loss": 0.5}}, measured_ms=1_700_000_000_000)
    history = tracker.client.get_metric_history(run_id, "loss")
    assert [(entry.step, entry.value) for entry in history] == [(0, 1.0), (1, 0.5)]


def test_the_end_of_a_run_goes_through_the_outbox(tmp_path):
    tracker = Tracker(config(tmp_path))
    run_id = tracker.start("run", {}, {})
    with Outbox("the training", 0.0) as outbox, tracker.ending(run_id, outbox):
        outbox.add(lambda: tracker.log_metrics(run_id, {"loss": 1.0}, 0), "epoch 0")
    run = tracker.client.get_run(run_id)
    assert (run.info.status, run.data.metrics) == ("FINISHED", {"loss": 1.0})


def answer(status, code):
    response = requests.Response()
    response.status_code = status
    response.raw = io.BytesIO(f'{{"error_code": "{code}", "message": "no"}}'.encode())
    return response


@pytest.mark.parametrize(
    ("status", "code", "away"),
    [
        (400, "INVALID_PARAMETER_VALUE", False),
        (404, "RESOURCE_DOES_NOT_EXIST", False),
        (403, "PERMISSION_DENIED", False),
        (500, "INTERNAL_ERROR", True),
        (503, "TEMPORARILY_UNAVAILABLE", True),
        (429, "REQUEST_LIMIT_EXCEEDED", True),
    ],
)
def test_a_server_that_cannot_answer_now_differs_from_one_that_says_no(status, code, away):
    from mlflow.utils.rest_utils import verify_rest_response

    with pytest.raises(TrackingError) as info, mlflow_errors("http://server"):
        verify_rest_response(answer(status, code), "/api/2.0/mlflow/runs")
    assert isinstance(info.value, TrackingAway) == away


def test_a_missing_server_is_away_at_once_and_so_is_one_that_leaves(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with socket.socket() as taken:
        # Bound and not listening: nobody answers, and nobody else can take the port.
        taken.bind(("127.0.0.1", 0))
        uri = f"http://127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(TrackingAway, match=f"^no MLflow server answers at {uri} .*: start it or set tracking.uri$"):
            Tracker(config(tmp_path, uri=uri))
        tracker = Tracker(config(tmp_path))
        tracker.client = MlflowClient(tracking_uri=uri)
        with pytest.raises(
            TrackingAway, match=r"^MLflow at sqlite:.* does not answer \(\[Errno \d+\] Connection refused\)$"
        ):
            tracker.log_metrics("0" * 32, {"loss": 1.0}, 0)
        with pytest.raises(TrackingAway):
            tracker.exists("0" * 32)
        with pytest.raises(TrackingAway), mlflow_errors(uri):
            raise requests.HTTPError(response=answer(502, "BAD_GATEWAY"))
        with pytest.raises(TrackingError, match="refused") as info, mlflow_errors(uri):
            raise FileNotFoundError("checkpoint")
        assert not isinstance(info.value, TrackingAway)


def test_an_address_without_a_number_for_its_port_is_one_sentence(tmp_path):
    with pytest.raises(TrackingError, match=r"tracking\.uri http://server:port is not an address"):
        Tracker(config(tmp_path, uri="http://server:port"))
