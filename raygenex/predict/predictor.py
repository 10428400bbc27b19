"""A trained model, ready to score genes."""

from pathlib import Path
from typing import Any

import numpy as np

from raygenex.errors import CheckpointError
from raygenex.train.checkpoint import BACKBONE, CheckpointInfo, load_checkpoint, read_usable_info


class Predictor:
    """A checkpoint ready to score base indices, or the embeddings that it was trained on.

    Parameters
    ----------
    checkpoint
        Folder of a trained model; if it reads embeddings, its ``backbone`` folder holds the network that makes them.
    device
        Torch device.
    batch_size
        Genes a forward pass.

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

    def score(self, sequence: np.ndarray, halflife: np.ndarray) -> np.ndarray:
        """Return the probability of high expression, shape ``(n,)``, float64, in [0, 1]; arguments as in `logits`."""
        import torch

        return torch.sigmoid(torch.from_numpy(self.logits(sequence, halflife))).numpy()

    def logits(self, sequence: np.ndarray, halflife: np.ndarray) -> np.ndarray:
        """Return the log-odds of high expression.

        Parameters
        ----------
        sequence
            Base indices, shape ``(n, window)``, uint8; or embeddings, shape ``(n, bins, channels)``.
        halflife
            Features in their own units, shape ``(n, 8)``.

        Returns
        -------
        Shape ``(n,)``, float64.
        """
        import torch

        from raygenex.embed.inference import embed_sequences

        embeds = self.info.inputs.kind == "embedding" and sequence.ndim == 2 and self.model.uses_dna
        if embeds and len(sequence):
            self.load_backbone()
        parts = [np.empty(0)]
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
    if info.threshold is None:
        raise CheckpointError(f"checkpoint {checkpoint} has no threshold: it is an unfinished epoch, train to the end")
