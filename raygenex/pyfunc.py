"""The registered model, as code: MLflow runs this file to rebuild the predictor around a checkpoint, without pickle."""

from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
from mlflow.models import set_model

from raygenex.data.features import HALFLIFE_FEATURES
from raygenex.errors import DataError
from raygenex.sequence import from_string


class RaygenexModel(mlflow.pyfunc.PythonModel):
    """Tables of a DNA column, if the model reads it, and eight half-life columns in; probability and prediction out."""

    def load_context(self, context: Any) -> None:
        """Load the checkpoint among the model's artifacts."""
        from raygenex.predict import Predictor

        self.predictor = Predictor(context.artifacts["checkpoint"])

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score a table.

        Parameters
        ----------
        context
            MLflow's, not used after loading.
        model_input
            Columns ``sequence`` (DNA of the model's window, sense strand, N for unknown; not looked at by a model that
            reads no DNA) and the eight half-life features.
        params
            None are known.

        Returns
        -------
        Columns ``probability`` (float64) and ``prediction`` (0 low, 1 high), one row a gene, in order.

        Raises
        ------
        DataError
            If a sequence has another length or a letter that is not DNA, or a feature is missing.
        """
        dna = self.predictor.info.reads_dna
        if missing := {*(["sequence"] * dna), *HALFLIFE_FEATURES} - set(model_input.columns):
            raise DataError(f"the table lacks the columns {', '.join(sorted(missing))}: add them")
        window = self.predictor.info.inputs.window if dna else 0
        codes = np.empty((len(model_input), window), dtype=np.uint8)
        for row, text in enumerate(model_input["sequence"] if dna else ()):
            if not isinstance(text, str):
                raise DataError(f"row {row}: the sequence is {text!r}, not a string of DNA letters")
            if len(text) != window:
                raise DataError(f"row {row}: the model reads {window} bases and this sequence has {len(text)}")
            try:
                codes[row] = from_string(text)
            except ValueError as error:
                raise DataError(f"row {row}: {error}") from None
        halflife = model_input[list(HALFLIFE_FEATURES)].to_numpy(dtype=np.float32)
        if not np.isfinite(halflife).all():
            row, column = np.argwhere(~np.isfinite(halflife))[0]
            raise DataError(f"row {row}: half-life feature {HALFLIFE_FEATURES[column]} is not a finite number")
        probability = self.predictor.score(codes, halflife)
        prediction = (probability >= self.predictor.threshold).astype(np.int64)
        return pd.DataFrame({"probability": probability, "prediction": prediction}, index=model_input.index)


set_model(RaygenexModel())
