"""The registered model, as code: MLflow runs this file to rebuild the predictor around a checkpoint, without pickle."""

import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from numpy.typing import NDArray

# The package as one file beside the logged model; versions that were registered before have it as a folder there, which
# MLflow puts on the path itself.
_SOURCE = Path(__file__).with_name("code") / "raygenex.zip"
if _SOURCE.is_file():
    sys.path.insert(0, str(_SOURCE))

from raygenex.errors import DataError  # noqa: E402


class RaygenexModel(mlflow.pyfunc.PythonModel):
    """Tables of a DNA column, if the model reads it, and eight half-life columns in; the model's predictions out.

    Programs that have arrays instead of tables call `predict_arrays` of the loaded model's `unwrap_python_model()`.
    """

    def load_context(self, context: Any) -> None:
        """Load the checkpoint among the model's artifacts, and score once: a server is ready only after this."""
        from raygenex.predict.predictor import Predictor

        self.predictor = Predictor(context.artifacts["checkpoint"])
        self.predictor.warm_up()

    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """Score a table as `Predictor.predict_table` does.

        Raises
        ------
        MlflowException
            In place of a DataError: MLflow's server shows the text of its own kind of error alone.
        """
        try:
            return self.predictor.predict_table(model_input)
        except DataError as error:
            raise MlflowException.invalid_parameter_value(str(error)) from None

    def predict_arrays(self, sequence: NDArray[Any] | None, halflife: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Score arrays as `Predictor.predict_arrays` does."""
        return self.predictor.predict_arrays(sequence, halflife)


set_model(RaygenexModel())
