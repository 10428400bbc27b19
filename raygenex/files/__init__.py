"""Files: written whole or not at all, locked, found and read."""
