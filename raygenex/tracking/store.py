"""The connection to an MLflow store, one process at a time where a SQLite file may lack its tables."""

import contextlib
import logging
import os
import re
import socket
import sqlite3
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raygenex.config.run import RunConfig
from raygenex.config.services import check_database_folder
from raygenex.errors import TrackingAway, TrackingError, first_line
from raygenex.extras import require
from raygenex.files.errors import NO_DIRECTORY, has_directory
from raygenex.files.locate import short_path
from raygenex.files.lock import exclusive, probe
from raygenex.redact import redact

# How long a server may take to accept a connection.
_PROBE_S = 10.0
# What MLflow says while it or its database is overloaded or starting; any other answer is the same the next time.
_PASSING = {
    "ABORTED",
    "CANCELLED",
    "DEADLINE_EXCEEDED",
    "REQUEST_LIMIT_EXCEEDED",
    "RESOURCE_EXHAUSTED",
    "TEMPORARILY_UNAVAILABLE",
}


# How long another process may take to make the tables of a new database: seconds, or minutes on a busy disk.
_MAKING_S = 600.0
# What MLflow reaches by packages of their own.
_DATABASES = ("postgresql", "mysql", "mssql")


def tracking_uri(config: RunConfig) -> str:
    """Return the configured tracking URI, or that of a sqlite file in the output folder.

    Raises
    ------
    ConfigError
        If that file cannot be named in a URI.
    """
    if config.tracking.uri is None:
        check_database_folder(config.output_root, "the configuration")
    return config.tracking.uri or f"sqlite:///{config.output_root}/mlflow.db"


def ui_command(config: RunConfig) -> str:
    """Return the shell command that opens the MLflow UI on these runs."""
    uri = redact(tracking_uri(config))
    if uri.startswith("http"):
        return f"open {uri}"
    if config.tracking.uri is None:
        uri = f"sqlite:///{short_path(config.output_root)}/mlflow.db"
    return f"mlflow ui --backend-store-uri {uri}"


def database_file(uri: str) -> Path | None:
    """Return the file of a SQLite store, or None for a store of another kind."""
    return Path(uri.removeprefix("sqlite:///").partition("?")[0]) if uri.startswith("sqlite:///") else None


def import_mlflow() -> None:
    """Import MLflow, which takes a second or more, and keep its notes from the user's terminal."""
    # It prints two lines after each run that it ends, between those of `--json` too.
    os.environ.setdefault("MLFLOW_SUPPRESS_PRINTING_URL_TO_STDOUT", "true")
    import mlflow  # noqa: F401

    # After the import, which configures MLflow's loggers.
    for name in ("alembic", "mlflow"):
        logging.getLogger(name).setLevel(logging.WARNING)
    # It writes the traceback of what it raises.
    logging.getLogger("mlflow.store.db.utils").setLevel(logging.CRITICAL)
    # Each of its retries would be a warning; what fails in the end is raised.
    logging.getLogger("urllib3.connectionpool").setLevel(logging.ERROR)


def connect(uri: str) -> Any:
    """Return MLflow's client of a store whose tables are there.

    The tables of a new SQLite file are made in a temporary folder and copied in one transaction, so that a process that
    is killed meanwhile leaves none or all. A lock beside the file lets others wait, whatever their temporary folders
    are: that of MLflow is in the temporary folder, which Slurm gives to each job anew.

    Raises
    ------
    TrackingError
        If the store cannot be reached, made or brought to the tables of this MLflow.
    """
    import_mlflow()
    file = database_file(uri)
    if file is not None:
        if file.is_dir():
            raise TrackingError(f"tracking.uri {uri} is a folder: name a file for MLflow's database")
        _check_writable(file.parent)
    if uri.startswith(("http://", "https://")):
        _check_answers(uri)
    _check_driver(uri)
    with contextlib.ExitStack() as stack:
        if file is not None:
            stack.enter_context(exclusive(file, "preparing MLflow's tables", patience_s=_MAKING_S))
        with mlflow_errors(uri):
            if file is not None:
                _make_tables(file)
            return _client(uri)


def _make_tables(file: Path) -> None:
    """Let MLflow make a new database elsewhere, and copy it as one transaction."""
    if file.exists() and file.stat().st_size:
        return
    with tempfile.TemporaryDirectory(prefix="raygenex-mlflow-") as folder:
        made = Path(folder, file.name)
        _client(f"sqlite:///{made}")
        with contextlib.closing(sqlite3.connect(made)) as new, contextlib.closing(sqlite3.connect(file)) as target:
            new.backup(target)


def _client(uri: str) -> Any:
    """Return MLflow's client, which has looked at the tables of a database, and brought older ones to its own."""
    from mlflow import MlflowClient

    if database_file(uri) is None:
        return MlflowClient(tracking_uri=uri, registry_uri=uri)
    from alembic.util.exc import CommandError

    try:
        client = MlflowClient(tracking_uri=uri, registry_uri=uri)
        client.search_experiments(max_results=1)
    except CommandError as error:
        raise TrackingError(
            f"MLflow cannot bring {database_file(uri)} to its tables ({first_line(error)}): update MLflow, or set "
            "tracking.uri"
        ) from None
    return client


@contextlib.contextmanager
def mlflow_errors(uri: str) -> Iterator[None]:
    """Turn what MLflow raises into one sentence: a `TrackingAway` if it may answer later, else a `TrackingError`."""
    from mlflow.exceptions import MlflowException
    from sqlalchemy.exc import SQLAlchemyError

    try:
        yield
    except (MlflowException, SQLAlchemyError, sqlite3.Error, OSError) as error:
        if (gone := _gone(uri, error)) is not None:
            # A folder on a disk that others serve may come back; a working directory does not.
            raise (TrackingError if gone == NO_DIRECTORY else TrackingAway)(gone) from error
        first = first_line(error)
        if "filesystem tracking backend" in first:
            raise TrackingError(
                f"tracking.uri {uri} is a folder of files, which MLflow does not keep runs in any more: write "
                "sqlite:///FILE or http://HOST:PORT"
            ) from error
        if _may_pass(error):
            # The libraries wrap one another's messages; the innermost, at the end, is the reason.
            reason = re.sub(r"[\"')]{2,}$", "", first.rsplit(": ", 1)[-1])
            raise TrackingAway(f"MLflow at {uri} does not answer ({reason})") from error
        raise TrackingError(f"MLflow at {uri} refused: {first}") from error


def _gone(uri: str, error: BaseException) -> str | None:
    """Return the sentence for an error of a folder or file that was removed while it was used; None for another one."""
    causes = _causes(error)
    file = database_file(uri)
    names = {getattr(cause, "sqlite_errorname", None) for cause in causes}
    removed = file is not None and (
        "SQLITE_READONLY_DBMOVED" in names or ("SQLITE_CANTOPEN" in names and not file.parent.exists())
    )
    if (removed or any(isinstance(cause, FileNotFoundError) for cause in causes)) and not has_directory():
        return NO_DIRECTORY
    if not removed:
        return None
    return f"MLflow's database {file} was removed while it was used: put it back, and run the same command again"


def _causes(error: BaseException) -> list[BaseException]:
    """Return an error and those that it was made of."""
    causes = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None:
        causes.append(cause)
    return causes


def _may_pass(error: BaseException) -> bool:
    """Whether an error is a matter of time: no connection, or a server that cannot serve now."""
    from mlflow.exceptions import MlflowException, RestException
    from requests.exceptions import HTTPError, RequestException
    from sqlalchemy.exc import InterfaceError, OperationalError

    if any(getattr(cause, "sqlite_errorname", None) == "SQLITE_ERROR" for cause in _causes(error)):
        # A statement that the tables do not allow, where a lock or a full disk has another name.
        return False
    if isinstance(error, HTTPError) and error.response is not None:
        return error.response.status_code >= 500 or error.response.status_code in (408, 429)
    if isinstance(error, RequestException | ConnectionError | TimeoutError | OperationalError | InterfaceError):
        return True
    if not isinstance(error, MlflowException):
        return False
    # A missing connection is raised while the exception of the HTTP library is handled.
    cause = error.__cause__ or error.__context__
    return (
        error.error_code in _PASSING
        or (isinstance(error, RestException) and error.get_http_status_code() >= 500)
        or (cause is not None and _may_pass(cause))
    )


def _check_answers(uri: str) -> None:
    """Knock once at a server, where MLflow would knock for minutes."""
    from requests.utils import get_environ_proxies

    try:
        parts = urllib.parse.urlsplit(uri)
        address = parts.hostname or "", parts.port or {"http": 80, "https": 443}[parts.scheme]
    except ValueError as error:
        raise TrackingError(f"tracking.uri {uri} is not an address ({error}): write http://HOST:PORT") from None
    if get_environ_proxies(uri):
        return
    try:
        socket.create_connection(address, timeout=_PROBE_S).close()
    except OSError as error:
        raise TrackingAway(
            f"no MLflow server answers at {uri} ({error.strerror or error}): start it or set tracking.uri"
        ) from None


def _check_writable(folder: Path) -> None:
    """Make a folder and a file in it, since MLflow would retry a database that it cannot open for minutes."""
    try:
        probe(folder)
    except OSError as error:
        raise TrackingError(
            f"the folder {folder} of MLflow's database cannot be written ({error.strerror}): set output or tracking.uri"
        ) from None


def _check_driver(uri: str) -> None:
    """Name the package that is missing for a database, which MLflow would miss with a traceback."""
    scheme = uri.partition(":")[0]
    if scheme.partition("+")[0] not in _DATABASES:
        return
    from sqlalchemy.engine import make_url

    with mlflow_errors(uri):
        dialect = make_url(uri).get_dialect()
    what = f"tracking.uri {scheme}://"
    if dialect.driver == "psycopg":
        require("psycopg", "psycopg", "postgres", what)
    try:
        dialect.import_dbapi()
    except ImportError as error:
        raise TrackingError(f"{what} needs the package of its driver ({error}): install it by pip") from None
