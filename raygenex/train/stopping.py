"""Where training stands, and whether to go on."""

ENDED = "ended"
"""Name of the time at which a worker ended an epoch, in seconds since 1970, among the numbers that it sends."""


SCORE = "valid_score"
"""Name of the number that chooses the epoch of a training of targets; more is better."""


class Progress:
    """The epochs so far, and whether to go on; part of every checkpoint, so that a resumed run decides alike."""

    def __init__(
        self, history: list[dict[str, float]], patience: int | None, epochs: int, monitor: str = "valid_auroc"
    ) -> None:
        self.history = history
        self.patience = patience
        self.epochs = epochs
        self.monitor = monitor
        """Name of what chooses the epoch, among the numbers of each."""

    @property
    def next_epoch(self) -> int:
        """The epoch to train next."""
        return len(self.history)

    @property
    def best_epoch(self) -> int:
        """The first epoch with the highest valid AUROC, or another score."""
        return max(range(len(self.history)), key=lambda epoch: (self.history[epoch][self.monitor], -epoch))

    @property
    def finished(self) -> bool:
        """Whether all epochs are done, or the last ``patience`` of them brought no better valid AUROC."""
        if self.next_epoch >= self.epochs:
            return True
        if self.patience is None or not self.history:
            return False
        return self.next_epoch - 1 - self.best_epoch >= self.patience

    @property
    def why_ended(self) -> str:
        """Why there is no next epoch, in words; empty while there is one."""
        if not self.finished:
            return ""
        if self.next_epoch >= self.epochs:
            return f"all {self.epochs} epochs"
        what = "AUROC" if self.monitor == "valid_auroc" else "score"
        return f"no better valid {what} for {self.patience} epochs"
