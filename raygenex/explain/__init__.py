"""Looking inside a trained model: what its scores depend on, base by base and feature by feature."""
