"""The registered model, as code: MLflow runs this file to rebuild the predictor around a checkpoint, without pickle."""

import reprlib
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from numpy.typing import NDArray

from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.errors import DataError
from raygenex.sequence import UNKNOWN, from_one_hot, from_string


class RaygenexModel(mlflow.pyfunc.PythonModel):
    """Tables of a DNA column, if the model reads it, and eight half-life columns in; probability and prediction out.

    Programs that have arrays instead of tables call `predict_arrays` of the loaded model's `unwrap_python_model()`.
    """

    def load_context(self, context: Any) -> None:
        """Load the checkpoint among the model's artifacts."""
        from raygenex.predict.predictor import Predictor

        self.predictor = Predictor(context.artifacts["checkpoint"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score a table.

        Parameters
        ----------
        context
            MLflow's, not used after loading.
        model_input
            Columns ``sequence`` (DNA of the model's window, sense strand, N for unknown, either case; not looked at by
            a model that reads no DNA) and the eight half-life features.
        params
            None are known.

        Returns
        -------
        Columns ``probability`` (float64) and ``prediction`` (0 low, 1 high), one row a gene, in order.

        Raises
        ------
        MlflowException
            If a sequence has another length or a letter that is not DNA, or a feature is missing; one sentence that
            names the row, counted from 0. MLflow's server shows the text of its own kind of error alone.
        """
        try:
            sequence, halflife = self._read_table(model_input)
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None
        return pd.DataFrame(self._score(sequence, halflife), index=model_input.index)

    def predict_arrays(self, sequence: NDArray[Any] | None, halflife: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Score arrays.

        Parameters
        ----------
        sequence
            Base indices, shape ``(genes, window)``, whole numbers 0 to 4 (A, C, G, T, unknown); or one-hot, shape
            ``(genes, window, 4)``, all zeros for unknown. Not looked at by a model that reads no DNA.
        halflife
            The eight half-life features in the order of the table's columns, in their own units, shape
            ``(genes, 8)``.

        Returns
        -------
        ``probability`` (float64) and ``prediction`` (int64, 0 low, 1 high), shape ``(genes,)`` each.

        Raises
        ------
        DataError
            If a shape does not fit, or a value is no base or not finite; one sentence that names the row, counted
            from 0.
        """
        features = np.asarray(halflife)
        if features.ndim != 2 or features.shape[1] != len(HALFLIFE_FEATURES):
            raise DataError(
                f"halflife has shape {features.shape}: give one row a gene and one column for each of "
                f"{', '.join(HALFLIFE_FEATURES)}"
            )
        if not self.predictor.info.reads_dna:
            codes = np.empty((len(features), 0), dtype=np.uint8)
        elif sequence is None:
            raise DataError("sequence is None and the model reads promoters: give base indices or one-hot rows")
        else:
            codes = _base_indices(np.asarray(sequence), self._window)
        if len(codes) != len(features):
            raise DataError(f"sequence has {len(codes)} rows and halflife {len(features)}: give one row a gene in both")
        return self._score(codes, _finite(features))

    @property
    def _window(self) -> int:
        return self.predictor.info.inputs.window if self.predictor.info.reads_dna else 0

    def _read_table(self, table: pd.DataFrame) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
        """Return base indices, shape ``(genes, window)``, and features, shape ``(genes, 8)``, of a table."""
        dna = self.predictor.info.reads_dna
        wanted = [*(["sequence"] * dna), *HALFLIFE_FEATURES]
        if missing := [name for name in wanted if name not in table.columns]:
            raise DataError(f"the table lacks the columns {', '.join(missing)}: add them")
        codes = np.empty((len(table), self._window), dtype=np.uint8)
        for row, text in enumerate(table["sequence"] if dna else ()):
            # A table that came as JSON or CSV has NaN where there was nothing.
            if text is None or (isinstance(text, float) and np.isnan(text)):
                raise DataError(f"row {row}: the sequence is missing: give {self._window} DNA letters")
            if not isinstance(text, str):
                raise DataError(f"row {row}: the sequence is {reprlib.repr(text)}, not a string of DNA letters")
            if len(text) != self._window:
                raise DataError(f"row {row}: the model reads {self._window} bases and this sequence has {len(text)}")
            try:
                codes[row] = from_string(text)
            except ValueError as error:
                raise DataError(f"row {row}: {error}") from None
        return codes, _finite(table[list(HALFLIFE_FEATURES)].to_numpy())

    def _score(self, codes: NDArray[np.uint8], halflife: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        probability = self.predictor.score(codes, halflife)
        return {"probability": probability, "prediction": (probability >= self.predictor.threshold).astype(np.int64)}


def _base_indices(sequence: NDArray[Any], window: int) -> NDArray[np.uint8]:
    """Check base indices or one-hot, and return base indices of shape ``(genes, window)``."""
    if sequence.ndim not in (2, 3) or sequence.shape[1] != window:
        raise DataError(
            f"the model reads {window} bases and sequence has shape {sequence.shape}: give (genes, {window}) base "
            f"indices or (genes, {window}, 4) one-hot"
        )
    if sequence.dtype.kind not in "biuf":
        raise DataError(f"sequence holds values of type {sequence.dtype}: give numbers")
    if sequence.ndim == 3:
        try:
            return from_one_hot(sequence)
        except ValueError as error:
            raise DataError(f"sequence is not one-hot: {error}") from None
    if not np.issubdtype(sequence.dtype, np.integer):
        raise DataError(f"sequence has numbers of type {sequence.dtype}: give base indices as whole numbers 0 to 4")
    bad = np.argwhere((sequence < 0) | (sequence > UNKNOWN))
    if len(bad):
        row, position = bad[0]
        value = sequence[row, position]
        raise DataError(f"row {row}: {value} at position {position} is not a base index: use 0 to {UNKNOWN}")
    return sequence.astype(np.uint8)


def _finite(values: NDArray[Any]) -> NDArray[np.float32]:
    try:
        features = values.astype(np.float32)
    except (TypeError, ValueError):
        raise DataError("a half-life feature is not a number: give numbers in all eight columns") from None
    if not np.isfinite(features).all():
        row, column = np.argwhere(~np.isfinite(features))[0]
        raise DataError(f"row {row}: half-life feature {HALFLIFE_FEATURES[column]} is not a finite number")
    return features


set_model(RaygenexModel())
