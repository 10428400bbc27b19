"""Known weaknesses of the pinned dependencies, asked of the Python Package Index; for `make lint`."""

import json
import subprocess
import sys
import urllib.request
from pathlib import Path

# An old version whose weaknesses are known: an index that does not name them cannot be asked for others.
KNOWN = "https://pypi.org/pypi/pip/22.0/json"
PINNED = Path(__file__).parents[1] / "constraints.txt"


def answers() -> bool:
    """Whether the advisory service is there; a mirror of the packages alone has no advisories."""
    try:
        with urllib.request.urlopen(KNOWN, timeout=10) as answer:
            return bool(json.load(answer).get("vulnerabilities"))
    except (OSError, ValueError, AttributeError):
        return False


def main() -> int:
    """Return 0 if nothing is known, or nobody can be asked."""
    if not answers():
        print("audit of the dependencies left out: the advisory service does not answer")
        return 0
    command = [sys.executable, "-m", "pip_audit", "--requirement", str(PINNED), "--no-deps", "--disable-pip"]
    return subprocess.run([*command, "--progress-spinner", "off"], check=False).returncode


if __name__ == "__main__":
    sys.exit(main())
