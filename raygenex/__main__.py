"""``python -m raygenex``."""

from raygenex.cli.main import program

if __name__ == "__main__":
    program()
