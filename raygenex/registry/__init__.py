"""The MLflow model registry: versions of a model, the gate before the champion, and the way back."""
