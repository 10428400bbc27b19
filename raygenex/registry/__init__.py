"""The MLflow model registry: versions of a model, the gate before the champion, and the way back."""

from raygenex.registry.models import CANDIDATE, CHAMPION, RegisterResult, fetch_checkpoint, register

__all__ = ["CANDIDATE", "CHAMPION", "RegisterResult", "fetch_checkpoint", "register"]
