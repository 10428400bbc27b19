import io
import os
import shutil
import socket
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
import requests
from mlflow import MlflowClient
from sqlalchemy import create_engine, text

from raygenex.config.load import parse_config
from raygenex.errors import ConfigError, RaygenexError, TrackingAway, TrackingError
from raygenex.files.lock import exclusive
from raygenex.tracking import store
from raygenex.tracking.runs import Tracker
from raygenex.tracking.store import connect, database_file, mlflow_errors, tracking_uri, ui_command


def config(output, **tracking):
    return parse_config({"output": str(output), "tracking": tracking}, "test")


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


# New databases

STARTS = """
import sys
from pathlib import Path
from raygenex.config.load import parse_config
from raygenex.tracking.runs import Tracker
tracker = Tracker(parse_config({"output": sys.argv[1]}, "test"))
print(tracker.client.get_run(tracker.start("run", {}, {})).info.status)
"""


@pytest.mark.slow
def test_trainings_that_start_at_once_share_a_new_database_whatever_their_temporary_folders(tmp_path):
    processes = []
    for number in range(2):
        temporary = tmp_path / str(number)
        temporary.mkdir()
        words = [sys.executable, "-c", STARTS, str(tmp_path / "runs")]
        environment = os.environ | {"TMPDIR": str(temporary)}
        processes.append(subprocess.Popen(words, env=environment, stdout=subprocess.PIPE, text=True))
    assert [process.communicate()[0] for process in processes] == ["RUNNING\n", "RUNNING\n"]
    assert len(Tracker(config(tmp_path / "runs")).client.search_runs(["1"])) == 2


def test_a_database_is_made_whole_or_not_at_all(tmp_path, monkeypatch):
    file = tmp_path / "mlflow.db"

    def die(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(MlflowClient, "search_experiments", die)
        with pytest.raises(KeyboardInterrupt):
            connect(f"sqlite:///{file}")
    assert not file.exists()
    # What an earlier process may have left: the file, and nothing in it.
    file.touch()
    assert connect(f"sqlite:///{file}").search_experiments()[0].name == "Default"


def test_the_tables_are_made_by_one_process_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr(store, "_MAKING_S", 0.0)
    file = tmp_path / "mlflow.db"
    with exclusive(file, "preparing"), pytest.raises(RaygenexError, match=r"^another process is preparing MLflow's"):
        connect(f"sqlite:///{file}")
    assert not file.exists()


@pytest.fixture
def own_migrations(monkeypatch):
    """Let MLflow make tables by itself, which it does of copies elsewhere."""
    from mlflow.store.db import utils

    monkeypatch.setattr(utils, "_initialize_tables", utils._initialize_tables.args[0])


def test_a_statement_that_the_tables_do_not_allow_is_not_waited_for():
    with (
        pytest.raises(TrackingError, match=r"^MLflow at sqlite:// refused: .*no such table: runs") as info,
        mlflow_errors("sqlite://"),
        create_engine("sqlite://").connect() as connection,
    ):
        connection.execute(text("select * from runs"))
    assert not isinstance(info.value, TrackingAway)


@pytest.fixture
def gone(tmp_path, monkeypatch):
    """Return a function that removes the working directory, with what is in it."""
    folder = tmp_path / "gone"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return lambda: shutil.rmtree(folder)


def test_a_store_that_goes_with_the_working_directory_is_one_sentence(gone, caplog, capsys):
    uri = f"sqlite:///{Path.cwd()}/mlflow.db"
    client = connect(uri)
    gone()
    said = r"^the working directory does not exist any more: change to"
    with pytest.raises(TrackingError, match=said) as info, mlflow_errors(uri):
        client.create_experiment("other")
    assert not isinstance(info.value, TrackingAway)
    with pytest.raises(TrackingError, match=said), mlflow_errors(uri):
        Path.cwd()
    # What has nothing to do with it stays what it is.
    with pytest.raises(TrackingAway, match="does not answer"), mlflow_errors(uri):
        raise ConnectionRefusedError
    assert "Traceback" not in caplog.text + "".join(capsys.readouterr())


@pytest.mark.parametrize("folder", [False, True])
def test_a_database_that_is_removed_may_come_back_with_its_folder_alone(tmp_path, folder):
    file = tmp_path / "runs" / "mlflow.db"
    client = connect(f"sqlite:///{file}")
    experiment = client.create_experiment("one")
    if folder:
        shutil.rmtree(file.parent)
    else:
        file.unlink()
    # SQLite makes the file again, but not its folder.
    said = f"^MLflow's database {file} was removed while it was used" if folder else "refused: .*no such table"
    with pytest.raises(TrackingError, match=said) as info, mlflow_errors(f"sqlite:///{file}"):
        client.create_run(experiment)
    assert isinstance(info.value, TrackingAway) == folder


def test_a_folder_is_no_store(tmp_path):
    (tmp_path / "folder").mkdir()
    with pytest.raises(TrackingError, match=r"is a folder: name a file for MLflow's database"):
        connect(f"sqlite:///{tmp_path}/folder")
    with pytest.raises(TrackingError, match=r"is a folder of files, .*: write sqlite:///FILE or http://HOST:PORT$"):
        connect(str(tmp_path / "folder"))


def test_a_database_of_another_mlflow_is_refused(tmp_path, own_migrations):
    file = tmp_path / "mlflow.db"
    with sqlite3.connect(file) as database:
        database.execute("create table alembic_version (version_num text)")
        database.execute("insert into alembic_version values ('ffffffffffff')")
    with pytest.raises(TrackingError, match=rf"^MLflow cannot bring {file} to its tables \(Can't locate revision"):
        connect(f"sqlite:///{file}")


@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg"])
def test_a_missing_driver_of_postgresql_names_the_extra(scheme, monkeypatch):
    monkeypatch.setitem(sys.modules, "psycopg", None)
    with pytest.raises(
        ConfigError, match=rf"^tracking\.uri {scheme.replace('+', '.')}:// needs psycopg, .*postgres\]'$"
    ) as info:
        connect(f"{scheme}://me:hunter2@host/runs")
    assert "hunter2" not in str(info.value)


def test_a_missing_driver_of_another_database_is_one_sentence(monkeypatch):
    monkeypatch.setitem(sys.modules, "pymysql", None)
    with pytest.raises(
        TrackingError, match=r"^tracking\.uri mysql.pymysql:// needs the package of its driver \(.*pymysql"
    ):
        connect("mysql+pymysql://me:hunter2@host/runs")


def test_only_a_sqlite_store_is_a_file(tmp_path):
    assert database_file(f"sqlite:///{tmp_path}/a.db") == tmp_path / "a.db"
    assert database_file("http://server:5000") is None


# Errors


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
