"""JSON files of anybody: whatever is wrong with one is one kind of error.

The parser is Python's: `pydantic_core.from_json` is faster, but refuses half of a surrogate pair, as which `json.dumps`
writes a byte of a file name that is not UTF-8. Files that are there would no longer be read.
"""

import json
from pathlib import Path
from typing import Any


def parse_json(text: str) -> Any:
    """Return the values of a JSON text.

    Raises
    ------
    json.JSONDecodeError
        If it is not JSON, nests too deep, or has a number of thousands of digits.
    """
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        raise
    except (ValueError, RecursionError) as error:
        raise json.JSONDecodeError(str(error), "", 0) from None


def load_json(path: Path) -> Any:
    """Return the values of a JSON file; raises what reading it as UTF-8 and `parse_json` do."""
    return parse_json(path.read_text(encoding="utf-8"))
