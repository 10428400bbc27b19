"""``python -m raygenex``."""

from raygenex.cli.main import main

if __name__ == "__main__":
    main()
