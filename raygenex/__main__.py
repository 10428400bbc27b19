"""``python -m raygenex``."""

from raygenex.cli import main

if __name__ == "__main__":
    main()
