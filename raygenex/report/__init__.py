"""The report of a run: what was trained on what, how good it is and what it looks at, as one page for a colleague."""
