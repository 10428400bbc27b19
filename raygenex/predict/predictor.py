"""A trained model, ready to score genes."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from raygenex.data.feature_values import warn_of_unseen_gaps
from raygenex.errors import CheckpointError
from raygenex.predict.arrays import read_arrays, read_table
from raygenex.predict.training_range import check_range
from raygenex.sequence import UNKNOWN
from raygenex.train.checkpoint import BACKBONE, WEIGHTS, CheckpointInfo, load_checkpoint, read_usable_info
from raygenex.train.targets import target_columns

if TYPE_CHECKING:
    import pandas as pd


class Predictor:
    """A checkpoint ready to score tables and arrays of genes, or the embeddings that it was trained on.

    Parameters
    ----------
    checkpoint
        Folder of a trained model; if it reads embeddings, its ``backbone`` folder holds the network that makes them.
    device
        Torch device.
    batch_size
        Genes per forward pass.

    Raises
    ------
    CheckpointError
        If a part of the checkpoint is missing or damaged.
    """

    def __init__(self, checkpoint: str | Path, device: str = "cpu", batch_size: int = 32) -> None:
        self.model, self.info = load_checkpoint(checkpoint)
        self.model = self.model.to(device)
        self.device = device
        self.batch_size = batch_size
        config = self.info.run_config
        self.strict = config.predict.strict
        self._range = self.info.checked_range
        self.targets = self.info.targets
        self.settings = config.embed.model_dump(mode="json") | {"precision": config.embed_precision}
        self.backbone: Any = None
        self._folder = Path(checkpoint, BACKBONE)
        _refuse_unfinished(checkpoint, self.info)

    @classmethod
    def describe(cls, checkpoint: str | Path) -> CheckpointInfo:
        """Return the description of a checkpoint that can be used, as far as the description tells.

        Raises
        ------
        CheckpointError
            If it is missing, damaged, of another raygenex, or of an unfinished epoch.
        """
        info = read_usable_info(checkpoint)
        _refuse_unfinished(checkpoint, info)
        if not Path(checkpoint, WEIGHTS).is_file():
            raise CheckpointError(f"checkpoint {checkpoint} has no {WEIGHTS}: restore it, or train again")
        if info.inputs.kind == "embedding" and info.reads_dna and not Path(checkpoint, BACKBONE).is_dir():
            raise CheckpointError(f"checkpoint {checkpoint} has no {BACKBONE}: restore it, or train again")
        return info

    @classmethod
    def check(cls, checkpoint: str | Path) -> CheckpointInfo:
        """Load everything that scoring bases needs, and keep only the description, which is returned.

        Raises
        ------
        CheckpointError
            If a part of the checkpoint is missing or damaged.
        """
        predictor = cls(checkpoint)
        if predictor.info.inputs.kind == "embedding" and predictor.info.reads_dna:
            predictor.load_backbone()
        return predictor.info

    @property
    def threshold(self) -> float:
        """The probability from which a gene is called high, chosen on valid."""
        assert self.info.threshold is not None, "checked when loading"
        return self.info.threshold

    @property
    def window(self) -> int:
        """Bases that the model reads; 0 for a model that reads no DNA."""
        return self.info.inputs.window if self.info.reads_dna else 0

    def predict_table(self, table: "pd.DataFrame") -> "pd.DataFrame":
        """Score a table of genes.

        Parameters
        ----------
        table
            Columns ``sequence`` (DNA of the model's window, sense strand, N for unknown, either case; not looked at by
            a model that reads no DNA) and the features of the model, the eight of half-life where no others were chosen
            in training; others are not looked at.

        Returns
        -------
        Columns ``probability`` (float64) and ``prediction`` (0 low, 1 high), with the rows and the index of the table;
        those of `target_columns` for a model of targets.

        Raises
        ------
        DataError
            If a sequence has another length or a letter that is not DNA, or a feature is missing; one sentence that
            names the row, counted from 0. Also if features are far outside those of training and ``predict.strict`` was
            set there; they are warned of otherwise.
        """
        import pandas as pd

        return pd.DataFrame(self._call(*read_table(table, self.window, self.info.inputs.features)), index=table.index)

    def predict_arrays(self, sequence: NDArray[Any] | None, halflife: NDArray[Any]) -> dict[str, NDArray[Any]]:
        """Score arrays of genes.

        Parameters
        ----------
        sequence
            Base indices, shape ``(genes, window)``, whole numbers 0 to 4 (A, C, G, T, unknown); or one-hot, shape
            ``(genes, window, 4)``, all zeros for unknown. Not looked at by a model that reads no DNA.
        halflife
            The features of the model in their order, the eight of half-life where no others were chosen, in their own
            units, shape ``(genes, features)``; NaN where one beyond the eight has no value.

        Returns
        -------
        ``probability`` (float64) and ``prediction`` (int64, 0 low, 1 high), shape ``(genes,)`` each.

        Raises
        ------
        DataError
            If a shape does not fit, or a value is no base or not finite; one sentence that names the row, counted
            from 0.
        """
        return self._call(*read_arrays(sequence, halflife, self.window, self.info.inputs.features))

    def _call(self, codes: NDArray[np.uint8], halflife: NDArray[np.float32]) -> dict[str, NDArray[Any]]:
        names = self.info.inputs.features
        check_range(halflife, names, self._range, "the genes", self.strict)
        if self.info.reads_other_features:
            warn_of_unseen_gaps(names, self.info.inputs.lacking, halflife, "the table")
        if self.targets:
            return target_columns(self.targets, self.logits(codes, halflife))
        probability = self.score(codes, halflife)
        return {"probability": probability, "prediction": (probability >= self.threshold).astype(np.int64)}

    def score(self, sequence: np.ndarray, halflife: np.ndarray) -> np.ndarray:
        """Return the probability of high expression, shape ``(n,)``, float64, in [0, 1]; arguments as in `logits`."""
        import torch

        return torch.sigmoid(torch.from_numpy(self.logits(sequence, halflife))).numpy()

    def logits(self, sequence: np.ndarray, halflife: np.ndarray) -> np.ndarray:
        """Return the log-odds of high expression, or the outputs for targets.

        Parameters
        ----------
        sequence
            Base indices, shape ``(n, window)``, uint8; or embeddings, shape ``(n, bins, channels)``.
        halflife
            Features in their own units, shape ``(n, features)``.

        Returns
        -------
        Shape ``(n,)``, float64; of a model with several outputs ``(n, outputs)``.
        """
        import torch

        from raygenex.embed.inference import embed_sequences

        embeds = self.info.inputs.kind == "embedding" and sequence.ndim == 2 and self.model.uses_dna
        if embeds and len(sequence):
            self.load_backbone()
        parts = [np.empty(0 if self.info.outputs == 1 else (0, self.info.outputs))]
        with torch.inference_mode():
            for start in range(0, len(sequence), self.batch_size):
                rows = slice(start, start + self.batch_size)
                inputs = sequence[rows]
                if embeds:
                    # Batch by batch: embeddings of every base are thousands of times larger than the bases.
                    size = self.settings["batch_size"]
                    inputs = embed_sequences(self.backbone, inputs, self.settings, self.device, size)
                logits = self.model(
                    torch.from_numpy(np.array(inputs)).to(self.device),
                    torch.from_numpy(np.array(halflife[rows], dtype=np.float32)).to(self.device),
                )
                parts.append(logits.double().cpu().numpy())
        return np.concatenate(parts)

    def warm_up(self) -> None:
        """Score a gene of unknown bases: what is loaded or compiled by the first score is so now."""
        self.logits(
            np.full((1, self.window), UNKNOWN, np.uint8), np.zeros((1, len(self.info.inputs.features)), np.float32)
        )

    def load_backbone(self) -> None:
        """Load the network that embeds bases, once, and check that it is the one that the model was trained with."""
        from raygenex.embed.hyenadna.weights import load_backbone, weights_sha256

        if self.backbone is not None:
            return
        backbone = load_backbone(str(self._folder), None)
        if weights_sha256(backbone) != self.info.backbone_sha256:
            raise CheckpointError(
                f"{self._folder} holds other weights than the model was trained on: restore the checkpoint"
            )
        self.backbone = backbone.to(self.device).eval()


def _refuse_unfinished(checkpoint: str | Path, info: CheckpointInfo) -> None:
    if not info.is_final:
        raise CheckpointError(f"checkpoint {checkpoint} has no threshold: it is an unfinished epoch, train to the end")
