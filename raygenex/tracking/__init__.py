"""MLflow runs, and the outbox that keeps numbers while a server is away."""
