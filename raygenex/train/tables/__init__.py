"""Training of models of tables: trees, regressions and autoencoders."""
