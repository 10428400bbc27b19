"""MLflow runs: parameters, metrics an epoch, data lineage and files. Only the driver talks to MLflow."""

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from raygenex import __version__
from raygenex.config.model import PRETRAINED_KINDS
from raygenex.config.run import RunConfig
from raygenex.errors import TrackingAway, TrackingError
from raygenex.redact import redact, redact_values
from raygenex.tracking.outbox import Outbox
from raygenex.tracking.provenance import run_tags
from raygenex.tracking.store import connect, mlflow_errors, tracking_uri

# The most that MLflow takes in one call.
_PARAMS_A_CALL = 100
# Characters of the place of a dataset, of which MLflow takes no more.
_LONGEST_SOURCE = 65_535
_METRICS_A_CALL = 1000


def flatten(values: dict[str, Any], prefix: str = "") -> dict[str, str]:
    """Turn nested values into ``section.key`` -> text."""
    flat: dict[str, str] = {}
    for key, value in values.items():
        if isinstance(value, dict):
            flat |= flatten(value, f"{prefix}{key}.")
        else:
            flat[prefix + key] = str(value)
    return flat


def training_params(values: dict[str, Any], *more: str) -> dict[str, str]:
    """Return the settings that a training uses, as parameters of its run.

    Parameters
    ----------
    values
        A resolved configuration as plain values, of this raygenex or of an older one.
    more
        Further sections: those of what else the run does.
    """
    model, backbone = values["model"]["kind"], values["backbone"]
    unused = {"benchmark", "evaluate", "explain", "predict", "tune", "variants"}
    # What made the data, if the configuration does.
    unused |= {name for name in ("simulate", "build") if values.get(name) is None}
    # What is learned, if it is not the label.
    unused |= set() if values.get("targets") else {"targets"}
    if values.get("build") is None:
        unused.add("split")
    if backbone["kind"] == "onehot":
        unused.add("embed")
    if model not in PRETRAINED_KINDS:
        unused.add("halflife")
    return flatten({key: value for key, value in values.items() if key not in unused - set(more)})


def _create_experiment(client: Any, name: str, artifacts: str | None) -> str:
    """Make an experiment and return its id; that of another process which made it in the same moment will do."""
    from mlflow.exceptions import MlflowException

    try:
        # Without this tag MLflow takes the experiment for one of language models.
        tags = {"mlflow.experimentKind": "custom_model_development"}
        made: str = client.create_experiment(name, artifact_location=artifacts, tags=tags)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
        made = client.get_experiment_by_name(name).experiment_id
    return made


class Tracker:
    """Runs of one experiment in one MLflow store.

    Parameters
    ----------
    config
        Gives the tracking URI, the experiment and, for the local default, the folder of artifacts.

    Raises
    ------
    TrackingError
        If the store cannot be reached or made.
    """

    def __init__(self, config: RunConfig) -> None:
        self.uri = tracking_uri(config)
        self.client = connect(self.uri)
        with mlflow_errors(self.uri):
            found = self.client.get_experiment_by_name(config.tracking.experiment)
            if found is None:
                # A relative artifact folder would be taken from each process's own working directory.
                local = Path(config.output_root, "mlartifacts").as_uri() if config.tracking.uri is None else None
                experiment = _create_experiment(self.client, config.tracking.experiment, local)
            elif found.lifecycle_stage != "active":
                raise TrackingError(
                    f"MLflow experiment {config.tracking.experiment} is deleted: restore it or set tracking.experiment"
                )
            else:
                experiment = found.experiment_id
        self.experiment_id: str = experiment
        self._folder = config.folder

    def start(self, name: str, params: dict[str, str], tags: dict[str, str], parent: str | None = None) -> str:
        """Create a run, with its parameters and where it comes from, and return its id."""
        stage = tags.get("raygenex.stage", name)
        note = {"mlflow.note.content": f"`{stage}` of raygenex {__version__}, files in `{self._folder}`"}
        tags = run_tags() | note | tags
        if parent is not None:
            tags = {**tags, "mlflow.parentRunId": parent}
        with mlflow_errors(self.uri):
            run_id: str = self.client.create_run(
                self.experiment_id, run_name=name, tags=redact_values(tags)
            ).info.run_id
        self.log_params(run_id, params)
        return run_id

    def log_params(self, run_id: str, params: dict[str, str]) -> None:
        """Log parameters; those that a run has already, with the same values, are not an error."""
        from mlflow.entities import Param

        entries = [Param(key, redact(value)) for key, value in params.items()]
        with mlflow_errors(self.uri):
            for start in range(0, len(entries), _PARAMS_A_CALL):
                self.client.log_batch(run_id, params=entries[start : start + _PARAMS_A_CALL])

    def exists(self, run_id: str) -> bool:
        """Whether the store still has a run.

        Raises
        ------
        TrackingAway
            If it does not answer, which says nothing of the run.
        """
        try:
            with mlflow_errors(self.uri):
                return bool(self.client.get_run(run_id).info.lifecycle_stage == "active")
        except TrackingAway:
            raise
        except TrackingError:
            return False

    def is_running(self, run_id: str) -> bool:
        """Whether a run is marked as running."""
        with mlflow_errors(self.uri):
            return bool(self.client.get_run(run_id).info.status == "RUNNING")

    def reopen(self, run_id: str) -> None:
        """Mark an ended run as running again."""
        with mlflow_errors(self.uri):
            self.client.update_run(run_id, status="RUNNING")

    def log_metrics(self, run_id: str, metrics: dict[str, float], step: int) -> None:
        """Log numbers of one step in one call."""
        self.log_series(run_id, {step: metrics})

    def log_series(self, run_id: str, series: dict[int, dict[str, float]], measured_ms: int | None = None) -> None:
        """Log numbers of many steps in as few calls as MLflow allows.

        ``measured_ms`` is their time, milliseconds since 1970, now by default. MLflow keeps a number once if it is
        logged twice with the same step and time, so a call that is repeated after an outage should give it.
        """
        import time

        from mlflow.entities import Metric

        at = int(time.time() * 1000) if measured_ms is None else measured_ms
        entries = [Metric(key, value, at, step) for step, metrics in series.items() for key, value in metrics.items()]
        with mlflow_errors(self.uri):
            for start in range(0, len(entries), _METRICS_A_CALL):
                self.client.log_batch(run_id, metrics=entries[start : start + _METRICS_A_CALL])

    def logged_steps(self, run_id: str, metric: str) -> set[int]:
        """Return the steps at which a run has a metric."""
        with mlflow_errors(self.uri):
            return {entry.step for entry in self.client.get_metric_history(run_id, metric)}

    def log_dataset(self, run_id: str, context: str, source: list[str], fingerprints: list[str], rows: int) -> None:
        """Record which data a run read: files, their sha256 and the number of genes, under the name of a split."""
        import json

        from mlflow.entities import Dataset, DatasetInput, InputTag
        from mlflow.exceptions import MlflowException

        source = redact_values(source)
        where = json.dumps({"uri": source})
        if len(where) > _LONGEST_SOURCE:
            # The sha256 of every file has room in the profile.
            where = json.dumps({"uri": [source[0], source[-1]], "files": len(source)})
        digest = fingerprints[0] if len(fingerprints) == 1 else "+".join(print_[:12] for print_ in fingerprints)
        dataset = Dataset(
            name=context,
            digest=digest[:36],
            source_type="local",
            source=where,
            profile=json.dumps({"genes": rows, "sha256": fingerprints}),
        )
        with mlflow_errors(self.uri):
            inputs = [DatasetInput(dataset=dataset, tags=[InputTag("mlflow.data.context", context)])]
            try:
                self.client.log_inputs(run_id, inputs)
            except MlflowException as error:
                # Another training made the same dataset in the same moment; it is there now.
                if "datasets" not in str(error):
                    raise
                self.client.log_inputs(run_id, inputs)

    def tag(self, run_id: str, tags: dict[str, str]) -> None:
        """Set tags of a run."""
        with mlflow_errors(self.uri):
            for key, value in tags.items():
                self.client.set_tag(run_id, key, redact(value))

    def children(self, parent: str, stage: str) -> list[Any]:
        """Return MLflow's runs below a run that have the tag ``raygenex.stage``, the oldest first."""
        wanted = f"tags.`mlflow.parentRunId` = '{parent}' and tags.`raygenex.stage` = '{stage}'"
        found: list[Any] = []
        token = None
        with mlflow_errors(self.uri):
            while True:
                page = self.client.search_runs(
                    [self.experiment_id], wanted, order_by=["attributes.start_time ASC"], page_token=token
                )
                found += page
                token = page.token
                if not token:
                    return found

    def log_folder(self, run_id: str, folder: str | Path, artifact_path: str) -> None:
        """Copy a folder's files to the run's artifacts."""
        with mlflow_errors(self.uri):
            self.client.log_artifacts(run_id, str(folder), artifact_path)

    def log_file(self, run_id: str, path: str | Path) -> None:
        """Copy a file to the top of the run's artifacts."""
        with mlflow_errors(self.uri):
            self.client.log_artifact(run_id, str(path))

    def end(self, run_id: str, status: str) -> None:
        """End a run as FINISHED, FAILED or KILLED."""
        with mlflow_errors(self.uri):
            self.client.set_terminated(run_id, status)

    @contextlib.contextmanager
    def ending(self, run_id: str, outbox: Outbox | None = None) -> Iterator[None]:
        """End a run as what happened inside: FINISHED, KILLED by a signal, or FAILED; at once, or by an outbox."""

        def end(status: str) -> None:
            if outbox is None:
                self.end(run_id, status)
            else:
                outbox.add(lambda: self.end(run_id, status), f"the end ({status})")

        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            end("KILLED")
            raise
        except BaseException:
            end("FAILED")
            raise
        end("FINISHED")
