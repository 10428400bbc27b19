"""Training of torch networks under Ray Train."""
